"""The demo's model, trained once and kept in ``build/``: real attention, induction heads included, for benches to measure."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, set_seed

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))
import demo
import demo_data

KEPT = ROOT / "build" / "demo-model"
STEPS = 800


def trained() -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase, list[int]]:
    """The model, its tokenizer, and held-out token ids."""
    corpus = demo_data.text()
    tokenizer = demo_data.tokenizer(corpus)
    ids = tokenizer(corpus, verbose=False)["input_ids"]
    split = int(0.95 * len(ids))
    if not (KEPT / "config.json").exists():
        _train(ids[:split]).save_pretrained(KEPT)
    return LlamaForCausalLM.from_pretrained(KEPT).eval(), tokenizer, ids[split:]


def _train(ids: list[int]) -> LlamaForCausalLM:
    """Train it by the demo's recipe, in a plain loop."""
    print(f"training the demo's model for {STEPS} steps …", file=sys.stderr, flush=True)
    set_seed(1)
    model = demo.model().train()
    rows = demo_data.Rows(ids, STEPS * 32, seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20)
        batch = [rows[n] for n in range(step * 32, step * 32 + 32)]
        given = {key: torch.stack([torch.as_tensor(row[key]) for row in batch]) for key in batch[0]}
        loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 99:
            print(f"  step {step + 1}: loss {float(loss):.3f}", file=sys.stderr, flush=True)
    return model
