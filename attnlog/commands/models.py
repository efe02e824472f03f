"""Saved models by transformers' Auto classes: which class one is of, said before it is loaded, then its weights and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnlog.commands.checkpoints import has_tokenizer
from attnlog.errors import ArgumentError, InputError, ModelError

#: What of a configuration tells two sizes of one model apart.
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "d_model", "encoder_layers", "decoder_layers"),
    *("n_embd", "n_layer", "n_head", "num_layers", "num_heads", "dim", "n_layers", "n_heads"),
)
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Kind:
    """Which model it is: what must agree for two checkpoints to be of one."""

    name: str  # of its class
    type: str
    sizes: Mapping[str, Any]

    def __str__(self) -> str:
        """Name it as a user knows it."""
        return f"{self.name} ({self.type})"

    def differs(self, other: Kind) -> str | None:
        """Say in what another model differs; None: in nothing that is known."""
        if (self.name, self.type) != (other.name, other.type):
            return f"{self} is not {other}"
        for key in self.sizes.keys() & other.sizes.keys():
            if self.sizes[key] != other.sizes[key]:
                return f"{key} is {self.sizes[key]}, not {other.sizes[key]}"
        return None

    @classmethod
    def said(cls, header: Mapping[str, Any]) -> Kind | None:
        """What a manifest says of its model; None: nothing."""
        model, config = header.get("model"), header.get("config")
        if not isinstance(model, dict) or not model.get("class"):
            return None
        sizes = {key: config[key] for key in _SIZES if key in config} if isinstance(config, dict) else {}
        return cls(str(model["class"]), str(model.get("type", "")), sizes)


def class_named(name: str) -> Any:
    """Find a class of transformers.

    Raises:
        ArgumentError: it has none of this name that loads checkpoints.
    """
    import transformers

    found = getattr(transformers, name, None) if name.isidentifier() else None
    if not hasattr(found, "from_pretrained"):
        raise ArgumentError(
            f"--class is {name!r}, which transformers {transformers.__version__} does not have: such as AutoModelForMaskedLM"
        )
    return found


def kind_of(place: str, asked: Any = None) -> tuple[Kind, Any]:
    """Read a checkpoint's configuration: which model it is, and the class that loads it with its heads.

    Raises:
        ModelError: its class is not one of transformers.
        OSError, ValueError: transformers cannot read it.
    """
    import transformers

    if Path(place).is_dir() and not (Path(place) / "config.json").is_file():
        if (Path(place) / "adapter_config.json").is_file():
            raise ModelError(
                f"{place} holds an adapter only: merge it into its model first (PEFT: model.merge_and_unload().save_pretrained)"
            )
        raise ModelError(f"{place} has no config.json: it was not saved whole")
    config = transformers.AutoConfig.from_pretrained(place)
    made: Any = asked
    named = (getattr(config, "architectures", None) or [None])[0]
    if made is None and named is not None:
        made = getattr(transformers, str(named), None)
        if made is None:
            raise ModelError(f"{place} is a {named}, which transformers {transformers.__version__} does not have: name one with --class")
    made = made or transformers.AutoModel
    # An Auto class knows which class it makes of a configuration; what it cannot tell, the model says when it is there.
    mapping = getattr(made, "_model_mapping", None)
    if mapping is not None and type(config) not in mapping:
        raise ModelError(f"{place} is of type {config.model_type}, which {made.__name__} does not load")
    resolved = made if mapping is None else mapping[type(config)]
    resolved = resolved[0] if isinstance(resolved, tuple) else resolved
    known = config.to_dict()
    return Kind(resolved.__name__, str(config.model_type), {key: known[key] for key in _SIZES if key in known}), made


def device_of(name: str | None) -> Any:
    """Choose where to run: the device that is named, else the first GPU, else the processor.

    Raises:
        ArgumentError: there is no such device here.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentError(f"--device is {name!r}, which cannot be used here: {str(error).splitlines()[0]}") from None
    return device


def tokenizer_at(place: str) -> Any:
    """Load a checkpoint's tokenizer, with its processor's where that is what was saved.

    Raises:
        InputError: it has none.
    """
    import transformers

    if Path(place).is_dir() and not has_tokenizer(Path(place)):
        raise InputError(f"{place} has no tokenizer: name a folder or model that has one with --tokenizer")
    return transformers.AutoTokenizer.from_pretrained(place)


def load(place: str, made: Any, *, device: Any, dtype: str) -> tuple[Any, list[str]]:
    """Load a model; return it with the names of weights that the checkpoint lacks, which are random."""
    model, report = made.from_pretrained(place, dtype=dtype, output_loading_info=True)
    return model.to(device).eval(), sorted(report.get("missing_keys") or ())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own bars and tables off the screen: what matters of them is said in one line each."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
