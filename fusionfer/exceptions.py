"""Errors and warnings: one root each, every error also a builtin, one sentence a class."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CacheError",
    "CacheFormatError",
    "CacheLockedError",
    "ClusterError",
    "DataError",
    "DeviceMemoryError",
    "ExtractionInterrupted",
    "FusionferError",
    "FusionferWarning",
    "ImageError",
    "IncompleteCacheError",
    "LeakError",
    "MemoryLimitError",
    "ModelError",
    "NonFiniteFeaturesError",
    "ReportError",
    "StoreFullError",
    "UnknownNameError",
    "UntrustedTypeError",
    "WeightsError",
    "WeightsUnavailableError",
    "unknown_name",
]


class FusionferError(Exception):
    """Root of every error that fusionfer raises on purpose."""


class DataError(FusionferError, ValueError):
    """A data set cannot be read as it is: its layout, labels, splits, groups or rows are wrong."""


class ImageError(DataError):
    """One image cannot be decoded, or is refused before it is decoded."""


class UnknownNameError(FusionferError, LookupError):
    """A head, backbone, level, split or block is named that does not exist, or names more than one."""


class WeightsError(FusionferError, ValueError):
    """A weight file does not fit the backbone, is damaged, or has another hash than recorded."""


class WeightsUnavailableError(WeightsError, OSError):
    """Weights are neither on this machine nor to be downloaded."""


class CacheError(FusionferError, OSError):
    """A feature cache cannot be used as asked."""


class CacheFormatError(CacheError, ValueError):
    """A file is no feature cache, is damaged, or has another format version."""


class IncompleteCacheError(CacheError):
    """A cache lacks rows that are asked for."""


class CacheLockedError(CacheError, TimeoutError):
    """Another process writes the same cache."""


class StoreFullError(CacheError):
    """The disk, or the quota, is full; what was committed is intact."""


class ClusterError(FusionferError, ConnectionError):
    """A cluster does not answer, has no workers that can do the work, or lost those that it had."""


class DeviceMemoryError(FusionferError, MemoryError):
    """A device has too little memory for what is to run there; what was committed is intact."""


class MemoryLimitError(FusionferError, MemoryError):
    """A step would take more memory than it may; it was not begun."""


class NonFiniteFeaturesError(FusionferError, FloatingPointError, ValueError):
    """Features hold NaN or infinity: a network returned them, and no such row is stored; or a matrix does."""


class LeakError(FusionferError, ValueError):
    """Samples of one split, or of one group, stand in another split too."""


class ModelError(FusionferError, ValueError):
    """A model file is damaged, of another format, or does not fit the features it is given."""


class UntrustedTypeError(ModelError, TypeError):
    """A model file holds types that fusionfer does not know to be harmless."""


class ReportError(FusionferError, OSError):
    """A report, or a table of results, cannot be written."""


class ExtractionInterrupted(FusionferError, InterruptedError):  # noqa: N818  (a state, not a fault)
    """Extraction was asked to stop; all finished batches are committed."""

    exit_code = 130  # 143 where it was SIGTERM that asked


class FusionferWarning(UserWarning):
    """Root of every warning that fusionfer gives."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, plural: str | None = None) -> UnknownNameError:
    """Return the error for a name that is not known, with the known ones and the closest match.

    Parameters
    ----------
    kind : str
        What is named, in lower case, such as ``"head"``.
    name : str
        The name that came.
    known : iterable of str
        The names that are allowed.
    plural : str, optional
        Plural of `kind`; by default `kind` and "s".

    Returns
    -------
    UnknownNameError
        To be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("head", "xgbwn", ["ecoc", "svm", "xgb-wn"]))
    Unknown head 'xgbwn'. Known heads: ecoc, svm, xgb-wn. Did you mean 'xgb-wn'?
    """
    names = sorted(known)
    message = f"Unknown {kind} {name!r}. Known {plural or kind + 's'}: {', '.join(names) or 'none'}."
    lower = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.5)
    if close:
        message += f" Did you mean {lower[close[0]]!r}?"
    return UnknownNameError(message)
