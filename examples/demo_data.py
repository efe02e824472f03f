"""Text for the demo that every Python ships, a tokenizer trained on it, and rows of it mixed with repeated sequences."""

from __future__ import annotations

import pydoc_data.topics
import random
import re

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 512
LENGTH = 64  # tokens of a row


def text() -> str:
    """The documentation topics of the running Python: about 465 000 characters of English."""
    return "\n\n".join(re.sub(r"[*=\-~^\"]{3,}", "", topic) for topic in pydoc_data.topics.topics.values())


def tokenizer(corpus: str) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of 512 tokens; it takes less than a second."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [corpus], trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, special_tokens=["<pad>"], show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>")


def repeated(choose: random.Random) -> list[int]:
    """One segment of 8 to 32 random tokens, again and again until the row is full: only looking back predicts it."""
    size = choose.randint(8, 32)
    segment = [choose.randrange(1, VOCABULARY) for _ in range(size)]
    return (segment * (LENGTH // size + 1))[:LENGTH]


def repeated_text(made: PreTrainedTokenizerFast, *, size: int = 12, times: int = 3, seed: int = 3) -> str:
    """Write a repeated sequence as text: random tokens that begin a word, so that the tokenizer gives just them back."""
    words = sorted(word[1:] for word in made.get_vocab() if word.startswith("Ġ") and word[1:].isalpha())
    chosen = random.Random(seed).sample(words, size)
    return " " + " ".join(chosen * times)


class Rows(torch.utils.data.Dataset):
    """Rows of 64 tokens: 30 % text, 70 % repeated sequences, the same ones for the same seed."""

    def __init__(self, ids: list[int], count: int, seed: int, share_of_text: float = 0.3) -> None:
        choose = random.Random(seed)
        self.rows = []
        for _ in range(count):
            if choose.random() < share_of_text:
                start = choose.randrange(len(ids) - LENGTH)
                self.rows.append(ids[start : start + LENGTH])
            else:
                self.rows.append(repeated(choose))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        row = torch.tensor(self.rows[number])
        return {"input_ids": row, "labels": row}
