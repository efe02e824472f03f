"""Which configuration types there are, and which model class stands for each."""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

# The bare model first; then the tasks that need least beside it.
MAPPINGS = (
    "MODEL", "MODEL_FOR_CAUSAL_LM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM", "MODEL_FOR_SPEECH_SEQ_2_SEQ", "MODEL_FOR_IMAGE_TEXT_TO_TEXT",
    "MODEL_FOR_MULTIMODAL_LM", "MODEL_FOR_IMAGE_CLASSIFICATION", "MODEL_FOR_BACKBONE", "MODEL_FOR_DEPTH_ESTIMATION",
    "MODEL_FOR_OBJECT_DETECTION", "MODEL_FOR_SEMANTIC_SEGMENTATION", "MODEL_FOR_UNIVERSAL_SEGMENTATION", "MODEL_FOR_IMAGE_MATTING",
    "MODEL_FOR_POSE_ESTIMATION", "MODEL_FOR_KEYPOINT_DETECTION", "MODEL_FOR_KEYPOINT_MATCHING", "MODEL_FOR_TEXT_TO_WAVEFORM",
    "MODEL_FOR_RETRIEVAL", "MODEL_FOR_PRETRAINING",
)  # fmt: skip


def types() -> list[str]:
    """Return every configuration type that transformers knows."""
    return list(CONFIG_MAPPING_NAMES)


def config_class(name: str) -> type[PreTrainedConfig]:
    found: type[PreTrainedConfig] = CONFIG_MAPPING[name]
    return found


@cache
def model_class(name: str) -> type[PreTrainedModel]:
    """Return the model class for a configuration type.

    Raises:
        LookupError: no model takes this configuration alone.
    """
    config = config_class(name)
    for mapping in MAPPINGS:
        names: Any = getattr(modeling_auto, f"{mapping}_MAPPING_NAMES").get(name)
        if names:
            return _load(config, names if isinstance(names, str) else names[0])
    module = importlib.import_module(config.__module__.replace(".configuration_", ".modeling_"))
    found = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, PreTrainedModel) and cls.config_class is config and not cls.__name__.endswith("PreTrainedModel")
    ]
    if not found:
        raise LookupError(f"no model class takes a {config.__name__} alone")
    return min(found, key=lambda cls: (not cls.__name__.endswith("Model"), len(cls.__name__)))


def _load(config: type[PreTrainedConfig], name: str) -> type[PreTrainedModel]:
    module = importlib.import_module(config.__module__.replace(".configuration_", ".modeling_"))
    found = getattr(module, name, None)
    if found is None:
        import transformers

        found = getattr(transformers, name)
    model: type[PreTrainedModel] = found
    return model
