"""The faces that are measured: real ones where they are at hand, else generated ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fusionfer.images import FaceSet, generate_faces, read_faces

__all__ = ["REAL", "pictures", "unpack"]

#: FER-2013 as the project's machines have it: beside the repository, never in it.
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "fer2013" / "fer2013.zip"


def pictures(n: int) -> tuple[FaceSet, str]:
    """Return `n` faces of 48 x 48 pixels, and in words what they are."""
    if REAL.is_file():
        faces = read_faces(REAL)
        what = "real faces of FER-2013"
    else:
        faces = generate_faces(n_identities=max(2, -(-n // 35)), size=48)
        what = f"generated faces ({REAL} is not there)"
    if n > len(faces):
        msg = f"There are {len(faces)} faces, {n} were asked for."
        raise SystemExit(msg)
    return faces.take(np.linspace(0, len(faces) - 1, n).astype(int)), what


def unpack(faces: FaceSet, folder: Path) -> None:
    """Write the faces as PNG files in class folders, as a user has them."""
    for i, label in enumerate(faces.labels):
        stored = faces.read(i)
        if isinstance(stored, np.ndarray):
            stored = cv2.imencode(".png", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR))[1].tobytes()
        path = folder / str(label) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored)
