"""One cause after the other is switched off, until nothing is left that makes the figure too good."""

from dataclasses import replace

import numpy as np

from fusionfer.images import generate_faces
from fusionfer.protocols import CAUSES, PROTOCOLS, read_protocol
from fusionfer.protocols._causes import steps_to_honest
from fusionfer.protocols._material import Material
from fusionfer.protocols._protocol import Protocol, change_protocol

FACES = generate_faces(3, takes=1, size=16)
STRANGERS = replace(FACES, groups=None)


def material(*, known=False, copies=(), persons=False):
    """Return faces of which so much is known."""
    return Material(FACES if persons else STRANGERS, np.full(len(FACES), known), None, 0, copies=copies)


EVERYTHING = change_protocol(
    Protocol("worst"),
    {
        "score.on": "train",
        "data.known": "keep",
        "augmentation.when": "before-split",
        "split.how": "draw",
        "split.groups": "ignore",
        "choice.by": "test",
    },
)


def test_the_worst_protocol_is_cured_in_the_order_of_the_causes():
    """Each step changes what its cause says, keeps what was cured before, and names what remains."""
    steps, notes = steps_to_honest(EVERYTHING, material(known=True, copies=(("a", "b"),), persons=True))
    assert [step.cause for step in steps] == ["", *(cause.name for cause in CAUSES)]
    assert [len(step.remaining) for step in steps] == [6, 5, 4, 3, 2, 1, 0]
    assert notes == []
    honest = steps[-1].protocol
    assert (honest.score.on, honest.data.known, honest.augmentation.when) == ("test", "leave-out", "after-split")
    assert (honest.split.groups, honest.cleaning.copies, honest.choice.by) == ("respect", "apart", "training")
    assert not any(cause.allowed(honest) for cause in CAUSES)


def test_causes_that_the_faces_cannot_show_are_told_and_not_run():
    """Without known faces, persons and duplicates three causes have no effect: a note each, and no run."""
    steps, notes = steps_to_honest(EVERYTHING, material())
    assert [step.cause for step in steps] == [
        "",
        "scoring on training faces",
        "augmented copies on both sides",
        "selection on the test faces",
    ]
    assert [note.partition(", but ")[2] for note in notes] == [
        "no face is known to have trained the weights.",
        "no person is known in these faces.",
        "no picture has a copy among these faces.",
    ]


def test_the_papers_protocols_have_the_causes_that_they_allow():
    """What is switched off of each, on faces that show everything."""
    everything = material(known=True, copies=(("a", "b"),), persons=True)
    steps = {name: steps_to_honest(read_protocol(name), everything)[0] for name in PROTOCOLS}
    found = {name: [step.cause for step in some[1:]] for name, some in steps.items()}
    assert found["singh-mandloi-2025"] == [
        "augmented copies on both sides",
        "persons on both sides",
        "duplicates across the split",
        "selection on the test faces",
    ]
    assert found["multilevel-xgb"] == ["duplicates across the split"]
    assert found["fer2013/private-test"] == ["weights that know the pictures", "duplicates across the split"]
    assert found["fer2013/private-test-clean"] == []
    assert found["ckplus/random-80-20"] == ["persons on both sides", "duplicates across the split"]


def test_networks_may_begin_with_weights_that_know_the_pictures():
    """A protocol that trains its network has this cause where the weights that it begins with know faces."""
    protocol = change_protocol(read_protocol("malik-2025"), {"data.known": "keep"})
    cause = "weights that know the pictures"
    assert cause in [step.cause for step in steps_to_honest(protocol, material(known=True))[0]]
    assert cause not in [step.cause for step in steps_to_honest(protocol, material())[0]]
