"""From sub-word tokens to words: which tokens make a word, and attention between words.

A word is what stands between white space: tokens whose character ranges touch belong to one word. Scripts that write no spaces
(Chinese, Japanese, Thai and others) stay as the tokenizer cut them, except where tokens share a character. Special tokens stand alone.
Without character ranges the tokenizer's own marks say where words begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from attnlog.record import Axis, FloatArray

_BEGINS = ("▁", "Ġ", "Ċ", "ĉ")  # a token that follows a space (SentencePiece, byte-level), a line feed, a tab
_CONTINUES = "##"  # WordPiece
_ENDS = "</w>"  # the tokens of OpenAI GPT, XLM and CLIP that end a word
_GOES_ON = "@@"  # those of CTRL and FSMT that do not
_UNSPACED = (  # first and last character of scripts that write no spaces between words
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3001", "\u312f"),  # punctuation, kana, bopomofo
    ("\u31f0", "\u31ff"),  # more kana
    ("\u3400", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),  # more Han
    ("\uff66", "\uff9d"),  # half-width kana
    ("\U00020000", "\U0003ffff"),  # rarer Han
)


class Word(NamedTuple):
    """One word: its text, and the range of its tokens."""

    text: str
    start: int
    end: int  # one past the last token


def words_of(axis: Axis) -> tuple[Word, ...]:
    """Merge the tokens of an axis to words. Every token belongs to exactly one."""
    count = len(axis.tokens)
    joined = _by_offsets(axis) if axis.starts is not None and axis.ends is not None else _by_marks(axis)
    begins = [n for n in range(count) if n == 0 or not joined[n]]
    return tuple(Word(_text(axis, start, end), start, end) for start, end in pairwise([*begins, count]))


def between_words(weights: FloatArray, queries: Sequence[Word], keys: Sequence[Word]) -> FloatArray:
    """Attention between words: summed over the tokens of a key word, and the mean over those of a query word.

    So Clark et al. 2019, "What Does BERT Look At? An Analysis of BERT's Attention", section 4.1; rows keep their sum.

    Args:
        weights: float32 ``[heads, queries, keys]``.
        queries: words of the query axis.
        keys: words of the key axis.

    Returns:
        float32 ``[heads, query words, key words]``.
    """
    if not queries or not keys:
        return np.zeros((len(weights), len(queries), len(keys)), dtype=np.float32)
    merged = np.add.reduceat(weights, [word.start for word in keys], axis=2)
    merged = np.add.reduceat(merged, [word.start for word in queries], axis=1)
    sizes = np.array([word.end - word.start for word in queries], dtype=np.float32)
    return np.asarray(merged / sizes[:, None], dtype=np.float32)


def _alone(axis: Axis, n: int) -> bool:
    return axis.special is not None and axis.special[n]


def _source(axis: Axis, n: int) -> str | None:
    """The text that a token is from."""
    second = axis.pair is not None and axis.segments is not None and axis.segments[n] == 1
    return axis.pair if second else axis.text


def _by_offsets(axis: Axis) -> list[bool]:
    """Say of each token whether it goes on with the word of the token before."""
    assert axis.starts is not None
    assert axis.ends is not None
    joined = [False] * len(axis.tokens)
    for n in range(1, len(axis.tokens)):
        before = (axis.starts[n - 1], axis.ends[n - 1])
        start, end = axis.starts[n], axis.ends[n]
        other = axis.segments is not None and axis.segments[n] != axis.segments[n - 1]
        if _alone(axis, n) or _alone(axis, n - 1) or other or start >= end or before[0] >= before[1]:
            continue
        text = _source(axis, n)
        if start < before[1] and end > before[0]:  # they share a character
            joined[n] = True
        elif start == before[1]:
            joined[n] = text is None or not _parted(text[start - 1 : start], text[start : start + 1])
    return joined


def _by_marks(axis: Axis) -> list[bool]:
    tokens = axis.tokens
    plain = [token for n, token in enumerate(tokens) if not _alone(axis, n)]
    ends, begins = any(t.endswith(_ENDS) for t in plain), any(t.startswith(_BEGINS) for t in plain)
    joined = [False] * len(tokens)
    for n in range(1, len(tokens)):
        token, before = tokens[n], tokens[n - 1]
        if _alone(axis, n) or _alone(axis, n - 1) or (axis.segments is not None and axis.segments[n] != axis.segments[n - 1]):
            continue
        if ends:
            joined[n] = not before.endswith(_ENDS)
        elif begins:
            here, there = _readable(token), _readable(before)
            joined[n] = not token.startswith(_BEGINS) and not before.startswith(("Ċ", "ĉ")) and not _parted(there[-1:], here[:1])
        else:
            joined[n] = token.startswith(_CONTINUES) or before.endswith(_GOES_ON)
    return joined


def _parted(before: str, after: str) -> bool:
    """Whether a word ends between two characters that touch."""
    return before.isspace() or after.isspace() or _unspaced(before) or _unspaced(after)


def _unspaced(character: str) -> bool:
    return any(first <= character <= last for first, last in _UNSPACED)


@cache
def _bytes_of_characters() -> dict[str, int]:
    """The characters by which byte-level tokenizers write bytes: printable ones stand for themselves, the others from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _readable(token: str) -> str:
    """Tokens as the text they stand for, whether they are bytes or SentencePiece's; what is neither as it is."""
    known = _bytes_of_characters()
    if all(character in known for character in token):
        with suppress(UnicodeDecodeError):  # a part of a character, or no bytes at all
            return bytes(known[character] for character in token).decode("utf-8")
    return token.replace("▁", " ")


def _text(axis: Axis, start: int, end: int) -> str:
    if _alone(axis, start):
        return axis.tokens[start]
    text = _source(axis, start)
    if text is not None and axis.starts is not None and axis.ends is not None and axis.starts[start] < axis.ends[end - 1]:
        return text[axis.starts[start] : axis.ends[end - 1]].strip() or axis.tokens[start]
    parts = axis.tokens[start:end]
    if any(token.startswith(_BEGINS) for token in axis.tokens):
        return _readable("".join(parts)).strip() or parts[0]
    return "".join(part.removeprefix(_CONTINUES).removesuffix(_ENDS).removesuffix(_GOES_ON) for part in parts) or parts[0]
