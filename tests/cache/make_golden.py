"""Makes golden-v1.h5, the file that every later release must read: `python tests/cache/make_golden.py`.

Run once for format version 1, on 2026-11-20; a new version gets a new file beside it, and this one stays.
"""

import tempfile
from pathlib import Path

import numpy as np

from fusionfer.cache import CacheFolder, RowTable

GOLDEN = Path(__file__).with_name("golden-v1.h5")
KEY = {"size": 48, "weights_sha256": "ab" * 32, "preprocessing": {"mean": [0.5, 0.5, 0.5]}}
RECORD = {"weights": {"name": "imagenet", "trained_on": []}, "device": "cpu"}
FEATURES = np.array([[0, 1, -2.5], [3e-40, 5, 6], [0, 0, 0], [9, 10, 3.4e38], [-0.0, 13, 14]], dtype=np.float32)
STATE = [1, 1, 2, 1, 1]
REASONS = {2: "kein Bild: \u00fc"}


def golden_rows():
    """Five rows, with signs beyond ASCII and an unknown label, split, group and image."""
    return RowTable(
        ids=np.array(["a/\u00e9.png", "a/b.png", "\u6c34.png", "c d.png", "\U0001f600.png"]),
        labels=np.array(["happy", "sad", "fr\u00f6hlich", "", "sad"]),
        splits=np.array(["train", "train", "test", "validation", ""]),
        groups=np.array(["S1", "S1", "S2", "S3", ""]),
        digests=np.array([f"{i:02x}" * 32 for i in (1, 2, 3, 254)] + [""]),
    )


def make(path):
    """Write the file, three blocks of two rows."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = CacheFolder(scratch)
        with folder.lock():
            job = folder.prepare("resnet34", "penultimate", 3, key=KEY, record=RECORD, rows=golden_rows(), block_rows=2)
            done = np.array(STATE) == 1
            job.commit(0, FEATURES[:2], done[:2], {})
            job.commit(2, FEATURES[2:4], done[2:4], {0: REASONS[2]})
            job.commit(4, FEATURES[4:], done[4:], {})
            job.finish()
        path.write_bytes(job.path.read_bytes())


if __name__ == "__main__":
    make(GOLDEN)
