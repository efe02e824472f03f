"""What the rules of `shrink` cannot know: per configuration type the fields that must fit each other."""

from __future__ import annotations

from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {}

INPUTS: dict[str, Any] = {}  # type → function of the model that returns its inputs
MODELS: dict[str, Any] = {}  # name → function that builds the model, where a type alone does not say it
