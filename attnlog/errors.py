"""Every error attnlog raises by name. A message says what was wrong, where, and what to do."""

from __future__ import annotations


class AttnlogError(Exception):
    """Base of all named errors."""


class ArgumentError(AttnlogError, ValueError):
    """An argument has a value that cannot be used; raised before any work is done."""


class MissingExtraError(AttnlogError, ImportError):
    """A package that this feature needs is not installed."""

    def __init__(self, package: str, extra: str, feature: str) -> None:
        super().__init__(f"{feature} needs {package}, which is not installed: pip install 'attnlog[{extra}]'")


class MissingPackageError(MissingExtraError):
    """A package that attnlog has no extra for is not installed; the message names its own pip line."""

    def __init__(self, package: str | None, feature: str, why: str) -> None:
        remedy = f"{package}, which is not installed: pip install {package}" if package else f"a package that is not installed ({why})"
        ImportError.__init__(self, f"{feature} needs {remedy}")


class InputError(ArgumentError):
    """The inputs to record are empty, of a wrong kind, or need a tokenizer that was not given."""


class ModelError(AttnlogError):
    """The model cannot be captured."""


class NoAttentionError(ModelError):
    """The model has no attention, or none that a tap can see."""


class LayerError(ArgumentError):
    """A layer or head was asked for that the model does not have."""


class TargetError(ArgumentError):
    """Saliency was asked for of a class, token or position that the model or an input does not have."""


class NotRecordedError(AttnlogError, LookupError):
    """Something was asked of a capture or a run that was never recorded there."""


class RunError(AttnlogError):
    """A run folder cannot be used."""


class RunNotFoundError(RunError, FileNotFoundError):
    """There is no run at this place."""


class AssetError(AttnlogError):
    """An asset is not what its manifest says."""


class AssetMissing(AssetError):
    """A manifest names an asset that is not there."""


class AssetTruncated(AssetError):
    """An asset is shorter than its manifest says."""


class AssetDigestMismatch(AssetError):
    """An asset's bytes do not have the digest its manifest or index names."""


class AssetTooLarge(AssetError):
    """An asset is, or would decode to be, larger than the reader's cap."""


class AssetSchemaError(AssetError):
    """An asset's columns, types or lengths are not those of the format."""


class AssetValueError(AssetError):
    """An asset holds numbers that cannot be: weights outside [0, 1], or vectors and metrics that are not finite."""


class AssetVersionError(AssetError):
    """An asset was written by a later version of the format than this reader knows."""


class TrackerError(AttnlogError):
    """A tracker cannot be used or refused an asset."""
