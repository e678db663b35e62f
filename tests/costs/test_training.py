"""The pictures that training keeps are those that its estimate counts."""

import pytest

from fusionfer.costs import most_pictures
from fusionfer.images import generate_faces
from fusionfer.memory import memory_limit
from fusionfer.training._pictures import Pictures

FACES = generate_faces(2, takes=1, size=32)
ALL = len(FACES) * 3 * 32 * 32


@pytest.mark.parametrize(("limit", "kept"), [(None, True), (8 * ALL, True), (8 * ALL - 8, False)])
def test_a_split_stays_in_memory_up_to_an_eighth_of_it(limit, kept):
    """Beyond that nothing of it does; what comes out is the same."""
    assert (most_pictures(limit) >= ALL) is kept
    with memory_limit(limit):
        pictures = Pictures(FACES, 32)
    assert (pictures._kept is not None) is kept
    assert (pictures.take([1]) == FACES.load(1)[0].transpose(2, 0, 1)).all()
