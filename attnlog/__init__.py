"""attnlog: attention beside your loss curves. Public names only; each is imported when it is first used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from attnlog.boundary import AttnlogWarning as AttnlogWarning
    from attnlog.capture.api import capture as capture
    from attnlog.capture.generation import capture_generation as capture_generation
    from attnlog.capture.tensors import from_tensors as from_tensors
    from attnlog.capture.watch import watch as watch
    from attnlog.compare import drift as drift
    from attnlog.errors import AttnlogError as AttnlogError
    from attnlog.outputs import Loss as Loss
    from attnlog.outputs import Prediction as Prediction
    from attnlog.outputs import SaliencyMap as SaliencyMap
    from attnlog.record import Capture as Capture
    from attnlog.record import Input as Input
    from attnlog.record import Missing as Missing
    from attnlog.run import Run as Run
    from attnlog.saliency import Saliency as Saliency
    from attnlog.sparse import SparseWeights as SparseWeights
    from attnlog.store.open import SavedRun as SavedRun
    from attnlog.store.open import SavedStep as SavedStep
    from attnlog.store.open import open_run as open
    from attnlog.view.export import export_html as export
    from attnlog.view.server import view as view
    from attnlog.words import Word as Word
    from attnlog_integrations.transformers.callback import AttentionCallback as AttentionCallback

# public name → (module, name there, extra that brings its packages)
_PUBLIC: dict[str, tuple[str, str, str | None]] = {
    "AttentionCallback": ("attnlog_integrations.transformers.callback", "AttentionCallback", "transformers"),
    "AttnlogError": ("attnlog.errors", "AttnlogError", None),
    "AttnlogWarning": ("attnlog.boundary", "AttnlogWarning", None),
    "Capture": ("attnlog.record", "Capture", None),
    "Input": ("attnlog.record", "Input", None),
    "Loss": ("attnlog.outputs", "Loss", None),
    "Missing": ("attnlog.record", "Missing", None),
    "Prediction": ("attnlog.outputs", "Prediction", None),
    "Run": ("attnlog.run", "Run", None),
    "Saliency": ("attnlog.saliency", "Saliency", None),
    "SaliencyMap": ("attnlog.outputs", "SaliencyMap", None),
    "SavedRun": ("attnlog.store.open", "SavedRun", None),
    "SavedStep": ("attnlog.store.open", "SavedStep", None),
    "SparseWeights": ("attnlog.sparse", "SparseWeights", None),
    "Word": ("attnlog.words", "Word", None),
    "capture": ("attnlog.capture.api", "capture", "transformers"),
    "capture_generation": ("attnlog.capture.generation", "capture_generation", "transformers"),
    "drift": ("attnlog.compare", "drift", None),
    "export": ("attnlog.view.export", "export_html", None),
    "from_tensors": ("attnlog.capture.tensors", "from_tensors", None),
    "open": ("attnlog.store.open", "open_run", None),
    "view": ("attnlog.view.server", "view", None),
    "watch": ("attnlog.capture.watch", "watch", "transformers"),
}

__all__ = [
    "AttentionCallback",
    "AttnlogError",
    "AttnlogWarning",
    "Capture",
    "Input",
    "Loss",
    "Missing",
    "Prediction",
    "Run",
    "Saliency",
    "SaliencyMap",
    "SavedRun",
    "SavedStep",
    "SparseWeights",
    "Word",
    "capture",
    "capture_generation",
    "drift",
    "export",
    "from_tensors",
    "open",
    "view",
    "watch",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that importing attnlog loads no torch, pyarrow or tracker."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'attnlog' has no attribute {name!r}")
    module, attribute, extra = _PUBLIC[name]
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if extra is None or package in ("attnlog", "attnlog_integrations", ""):
            raise
        from attnlog.errors import MissingExtraError

        raise MissingExtraError(package, extra, f"attnlog.{name}") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `attnlog.capture` and `attnlog.view` the functions, though packages of those names exist.

    Importing a subpackage binds it as an attribute of its parent; for a name that is public that binding is left out.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
