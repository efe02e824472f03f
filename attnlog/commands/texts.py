"""Inputs and numbers as they are written on a command line, or in a file that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnlog.errors import ArgumentError, InputError

Text = str | tuple[str, str]
_LONGEST = 16_000_000  # bytes of a file of inputs: attention is for some examples, not for a data set


def inputs_of(texts: Sequence[str], pairs: Sequence[tuple[str, str]], files: Sequence[Path]) -> list[Text]:
    """Put inputs together: the texts, then the pairs, then what the files hold.

    Raises:
        InputError: there are none, or one is empty.
    """
    found: list[Text] = [*texts, *pairs]
    for file in files:
        found += _read(file)
    if not found:
        raise InputError('no inputs: give --input "a text", --pair "a text" "its pair" or --inputs FILE')
    for number, text in enumerate(found):
        if not (text if isinstance(text, str) else text[0]).strip():
            raise InputError(f"input {number} is empty: give it at least one word")
    return found


def _read(file: Path) -> list[Text]:
    try:
        if file.stat().st_size > _LONGEST:
            raise InputError(f"{file} has more than {_LONGEST} bytes: attention is recorded of some examples, so name a file of those")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"there is no file {file}: --inputs takes a text file with one input a line, or .jsonl") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}; --inputs takes UTF-8 text with one input a line, or .jsonl") from error
    as_json = file.suffix.lower() in (".jsonl", ".ndjson")
    return [_line(file, number, line) if as_json else line for number, line in enumerate(lines, start=1) if line.strip()]


def _line(file: Path, number: int, line: str) -> Text:
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} line {number} is not JSON: {error}") from None
    if isinstance(said, dict):
        said = said["text"] if said.get("pair") is None and "text" in said else [said.get("text"), said.get("pair")]
    if isinstance(said, str):
        return said
    if isinstance(said, list) and len(said) == 2 and all(isinstance(part, str) for part in said):
        return said[0], said[1]
    raise InputError(f'{file} line {number} is no input: write "text", ["text", "pair"], {{"text": …}} or {{"text": …, "pair": …}}')


def numbers_of(name: str, text: str | None) -> tuple[int, ...] | None:
    """Read numbers and spans, such as ``0,3-5``; None: all."""
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ArgumentError(f"{name} is {text!r}: write numbers and spans from 0, such as 0,3-5")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(dict.fromkeys(found))
