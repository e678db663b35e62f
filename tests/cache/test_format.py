"""Keys, names, reasons and checksums are what docs/cache_format.md says."""

import hashlib
import zlib

import numpy as np
import pytest

from fusionfer.cache._format import REASON_BYTES, block_crc, block_name, canonical_json, file_name, key8, reason_bytes
from fusionfer.exceptions import CacheError


def test_key8_is_the_hash_of_canonical_json():
    """The text that is hashed is written out here."""
    text = '{"backbone":"resnet34","mean":[0.5,1],"name":"\\u00e9"}'
    key = {"name": "é", "mean": [0.5, 1], "backbone": "resnet34"}
    assert canonical_json(key) == text
    assert key8(key) == hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", np.float32(1)])
def test_only_json_is_stored(value):
    """What JSON cannot say exactly is refused, not guessed at."""
    with pytest.raises(CacheError, match="text, numbers, booleans"):
        canonical_json({"x": value})


@pytest.mark.parametrize(
    ("backbone", "level", "start"),
    [
        ("resnet34", "penultimate", "resnet34.penultimate."),
        ("timm:vit_b/16.augreg", "blocks.3:in", "timm-vit_b-16-augreg.blocks-3-in."),
        ("../../etc/passwd", "a\nb", "-etc-passwd.a-b."),
        ("x" * 300, "", "x" * 60 + "."),
    ],
)
def test_file_names_are_safe(backbone, level, start):
    """No name leads out of the folder, or is too long for a file system."""
    name = file_name(backbone, level, {"size": 1})
    assert name == start + key8({"size": 1}) + ".h5"
    assert len(name) < 150


def test_block_name():
    """Features that came from arrays may have no level."""
    assert block_name("resnet34", "multi") == "resnet34:multi"
    assert block_name("mine", "") == "mine"


def test_reasons_fit():
    """A reason is one line, visibly cut between two characters, and never empty."""
    assert reason_bytes("a\n b\0c") == b"a b c"
    assert reason_bytes("é" * 64) == ("é" * 64).encode()
    assert reason_bytes("é" * 65) == ("é" * 62).encode() + b"..."
    assert len(reason_bytes("x" + "é" * 100)) == REASON_BYTES
    assert reason_bytes(" ") == b"no reason given"


def test_block_crc_covers_features_states_and_reasons():
    """It is the CRC-32 of the three, one after the other."""
    features, state = np.arange(6, dtype="<f4").reshape(2, 3), np.array([1, 2], np.uint8)
    reasons = np.array([b"", b"bad"], dtype=f"S{REASON_BYTES}")
    stored = features.tobytes() + b"\x01\x02" + b"\0" * REASON_BYTES + b"bad".ljust(REASON_BYTES, b"\0")
    assert block_crc(features, state, reasons) == zlib.crc32(stored)
