"""What the format fixes: names, versions, types, the canonical key and the checksum of a block."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import Any

import numpy as np

from fusionfer.exceptions import CacheError

__all__ = [
    "ABSENT",
    "DONE",
    "FAILED",
    "FORMAT",
    "KEY_BYTES",
    "NEEDS",
    "PAGE",
    "PART",
    "REASON_BYTES",
    "RECORD_BYTES",
    "SHARDS",
    "SUFFIX",
    "TEXT_BYTES",
    "VERSION",
    "block_crc",
    "block_name",
    "canonical_json",
    "file_name",
    "key8",
    "key_differences",
    "reason_bytes",
]

FORMAT = "fusionfer-features"
VERSION = 1
#: The first release that reads VERSION; written into every file, so that an old reader can name what it lacks.
NEEDS = "fusionfer 0.1"

SUFFIX = ".h5"
PART = ".part"
SHARDS = "shards"  # folder inside that of a cache, for those that will be joined into it
PAGE = 4096  # /features starts on such a boundary, so that it can be mapped into memory

ABSENT, DONE, FAILED = 0, 1, 2  # what /state says of a row

REASON_BYTES = 128
TEXT_BYTES = 4096  # longest id, label, split or group
KEY_BYTES = 60_000  # an attribute of HDF5's default format holds at most 64 KiB
RECORD_BYTES = 1 << 28


def canonical_json(value: Any) -> str:
    """Return JSON text that is the same for equal values: sorted keys, no blanks, ASCII, no NaN."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"A cache's key and record hold text, numbers, booleans, None, lists and dicts only: {error}."
        raise CacheError(msg) from error


def key8(key: dict[str, Any]) -> str:
    """First 8 hexadecimal digits of the SHA-256 of the key's canonical JSON.

    Examples
    --------
    >>> key8({"size": 224, "backbone": "resnet34"}) == key8({"backbone": "resnet34", "size": 224})
    True
    """
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()[:8]


def key_differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return field -> (value in one, value in the other), None where there is none; dicts within as ``outer.inner``.

    Examples
    --------
    >>> key_differences({"preprocess": {"size": 48, "mean": 0}, "rules": 1}, {"preprocess": {"size": 224, "mean": 0}})
    {'preprocess.size': (48, 224), 'rules': (1, None)}
    """
    old, new = _flat(one), _flat(other)
    fields = sorted({*old, *new})
    return {field: (old.get(field), new.get(field)) for field in fields if old.get(field) != new.get(field)}


def _flat(key: dict[str, Any], start: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field, value in key.items():
        flat |= _flat(value, f"{start}{field}.") if isinstance(value, dict) else {start + field: value}
    return flat


def block_name(backbone: str, level: str) -> str:
    """``backbone:level``, or the backbone alone where there is no level (features that came from arrays)."""
    return f"{backbone}:{level}" if level else backbone


def file_name(backbone: str, level: str, key: dict[str, Any]) -> str:
    """Return the file's name; the true names stand inside, so that theirs may hold any sign and any length."""
    parts = [re.sub(r"[^A-Za-z0-9_+-]+", "-", part)[:60] for part in (backbone, level)]
    return ".".join([*(part for part in parts if part), key8(key)]) + SUFFIX


def reason_bytes(reason: str) -> bytes:
    """Return the text on one line in UTF-8, cut between two characters where it is too long."""
    text = " ".join(reason.replace("\0", " ").split()) or "no reason given"
    stored = text.encode("utf-8", "replace")
    if len(stored) <= REASON_BYTES:
        return stored
    return stored[: REASON_BYTES - 3].decode("utf-8", "ignore").encode() + b"..."


def block_crc(features: np.ndarray, state: np.ndarray, reasons: np.ndarray) -> int:
    """CRC-32 of one block as stored: bytes of its features, then of its states, then of its reasons."""
    return zlib.crc32(reasons.tobytes(), zlib.crc32(state.tobytes(), zlib.crc32(np.ascontiguousarray(features).data)))
