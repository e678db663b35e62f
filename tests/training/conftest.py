"""Small faces and a recipe that trains in a second."""

import numpy as np
import pytest

from fusionfer.images import generate_faces


def draw_faces():
    """Return generated faces of 12 persons with seven expressions, 32 pixels: 6 to train, 3 to tune, 3 to test."""
    drawn = generate_faces(n_identities=12, takes=1, size=32, seed=0)
    persons = np.unique(drawn.groups)
    place = {str(name): k for k, name in enumerate(persons)}
    number = np.array([place[str(group)] for group in drawn.groups])
    splits = np.where(number < 6, "train", np.where(number < 9, "validation", "test"))
    return type(drawn)(drawn.ids, drawn.keys, drawn.source, drawn.labels, splits, drawn.groups, name="drawn")


@pytest.fixture(scope="session")
def faces():
    """`draw_faces`, once."""
    return draw_faces()


#: One network with dropout and batch norm, small pictures, everything that draws numbers switched on.
QUICK = {
    "size": 36, "crop": 32, "stem": "standard", "batch_size": 14, "epochs": 3, "warmup": 0, "schedule": "plateau",
    "plateau_patience": 0, "patience": 3, "mixup": 0.4, "ema": 0.9, "tta": "flip", "rate": 0.01,
}  # fmt: skip


@pytest.fixture(scope="session")
def quick_keys():
    """Overrides of the recipe fer."""
    return dict(QUICK)
