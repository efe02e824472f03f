"""How large a commit is beside BertViz's head-view HTML for the same tensors: 12 × 12 heads, 128 tokens. Prints JSON.

Vectors are left out: BertViz's head view has none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from bertviz import head_view

import attnlog
from attnlog.format.write import write_assets
from attnlog.record import to_codes, to_weights

sys.path.insert(0, str(Path(__file__).parent))
from tensors import attentions, names


def main() -> None:
    rows = []
    for tokens in (32, 64, 128):
        weights, words = attentions(tokens), names(tokens)
        page = head_view(tuple(torch.tensor(w)[None] for w in weights), words, html_action="return").data
        capture = attnlog.from_tensors(weights, words)
        assets = write_assets(capture)
        stored = to_weights(to_codes(np.stack(weights), "u8"))
        rows.append(
            {
                "tokens": tokens,
                "bertviz head view bytes": len(page.encode()),
                "commit bytes": assets.bytes + len(assets.inputs.data),
                "times smaller": round(len(page.encode()) / (assets.bytes + len(assets.inputs.data)), 1),
                "bytes per weight": round(assets.bytes / np.stack(weights).size, 3),
                "worst error": float(abs(stored - np.stack(weights)).max()),
                "mean error": float(abs(stored - np.stack(weights)).mean()),
            }
        )
    print(json.dumps({"size": rows}, indent=2))


if __name__ == "__main__":
    main()
