"""What all Python tests share: tiny models and tokenizers, made once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chromium import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")

TEXT = "the cat sat on the mat and the cat saw the dog while the nurse said that he was tired of the cat on the mat".split()


@pytest.fixture(scope="session")
def tokenizer():  # type: ignore[no-untyped-def]
    """A word-level tokenizer with BERT's special tokens and text pairs."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(TEXT))]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


@pytest.fixture(scope="session")
def plain_tokenizer():  # type: ignore[no-untyped-def]
    """A word-level tokenizer that adds nothing, as decoders' do."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<s>", "</s>", *sorted(set(TEXT))]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = launch(playwright)
        yield made
        made.close()


def build(name: str):  # type: ignore[no-untyped-def]
    """Make a tiny model of a family with random weights, the same ones every time."""
    import torch
    import transformers as t

    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 64}
    tokens = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    grouped = {**small, "num_key_value_heads": 2, **tokens}
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**small, max_position_embeddings=300)),
        "gpt2": lambda: t.GPT2LMHeadModel(t.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=300, **tokens)),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**grouped)),
        "gemma2": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**grouped, head_dim=8, sliding_window=5, attn_logit_softcapping=0.5)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**grouped, sliding_window=5)),
        "t5": lambda: t.T5ForConditionalGeneration(
            t.T5Config(
                d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=3, num_heads=4, vocab_size=64, decoder_start_token_id=0
            )
        ),
        "bart": lambda: t.BartForConditionalGeneration(
            t.BartConfig(
                d_model=32,
                encoder_layers=2,
                decoder_layers=3,
                encoder_attention_heads=4,
                decoder_attention_heads=2,
                encoder_ffn_dim=64,
                decoder_ffn_dim=64,
                vocab_size=64,
                max_position_embeddings=300,
                decoder_start_token_id=3,
                **tokens,
            )
        ),
        "mamba": lambda: t.MambaForCausalLM(t.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=64, state_size=4)),
        "bloom": lambda: t.BloomForCausalLM(t.BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=64)),
    }
    torch.manual_seed(0)
    model = makers[name]()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # larger than at initialisation, so that attention is not flat
                parameter.normal_(std=0.15, generator=generator)
    return model.eval()


FAMILIES = ("bert", "gpt2", "llama", "gemma2", "mistral", "t5", "bart")
