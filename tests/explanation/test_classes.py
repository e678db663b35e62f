"""Maps averaged over a set, and the parts of the face with their intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.explanation import Settings, draw_faces, explain, explain_classes
from fusionfer.explanation._classes import _estimates
from fusionfer.occlusion import region_masks

COARSE = Settings(size=16, stride=8, fill="zero")


@pytest.fixture(scope="module")
def found(face_set, classifier):
    return explain_classes(face_set, classifier, limit=2, seed=1, settings=COARSE, batch_size=16, samples=50)


def test_maps_are_the_means_of_the_pictures_own_class(found, face_set, classifier):
    """Each picture follows the probability of its own label."""
    label = "happy"
    rows = [face_set.ids.tolist().index(sample) for sample in found.ids[label]]
    ones = [
        explain(face_set.load(i)[0], classifier, classes=[label], settings=COARSE, alone=False, batch_size=16)
        for i in rows
    ]
    mean = np.mean([one.maps[0, 0] for one in ones], axis=0)
    assert found.maps[found.classes.index(label)] == pytest.approx(mean, abs=1e-9)
    assert found.right[label] == sum(one.predicted == label for one in ones)
    assert {face_set.splits[i] for i in rows} == {"test"}
    assert found.mean_faces.shape == found.maps.shape == (7, 32, 32)


def test_figures_as_json(found):
    """Shares of each class add up to one, and intervals hold them."""
    told = found.to_dict()
    assert [one["class"] for one in told["classes"]] == list(found.classes)
    for one in told["classes"]:
        assert one["pictures"] == 2
        assert sum(region["share"] for region in one["regions"]) == pytest.approx(1)
        assert all(region["low"] <= region["share"] <= region["high"] for region in one["regions"])


def test_regions_that_are_known():
    """Maps that lie two thirds on the mouth and a third on the eyes, in each: no doubt, and no negative part."""
    masks = region_masks((48, 48))
    one = masks["mouth"] * (2.0 / masks["mouth"].sum()) + masks["eyes"] / masks["eyes"].sum() - masks["chin"]
    found = {r.region: r for r in _estimates("happy", np.stack([one, 3 * one, one]), 100, 0)}
    for region, share in (("mouth", 2 / 3), ("eyes", 1 / 3), ("chin", 0)):
        assert (found[region].share, found[region].low, found[region].high) == pytest.approx((share,) * 3)
    assert found["mouth"].density == pytest.approx(2 / 3 / masks["mouth"].mean())
    mixed = _estimates("happy", np.stack([masks["mouth"] * 1.0] * 5 + [masks["eyes"] * 1.0] * 5), 200, 0)
    mouth = next(r for r in mixed if r.region == "mouth")
    assert mouth.low < mouth.share < mouth.high


def test_maps_that_are_nowhere_positive(found):
    """Nothing can be shared out: no share, no interval and no density, and JSON says null, as for one picture."""
    some = _estimates("happy", np.full((3, 48, 48), -0.1), 20, 0)
    assert np.isnan([(one.share, one.low, one.high, one.density) for one in some]).all()
    half = _estimates("happy", np.stack([np.zeros((48, 48)), np.ones((48, 48))]), 50, 0)
    assert [one.low for one in half] == pytest.approx([one.area for one in half])
    one = _estimates(found.classes[0], np.ones((1, 48, 48)), 20, 0)
    told = replace(found, regions=tuple(one)).to_dict()
    assert {region["low"] for region in told["classes"][0]["regions"]} == {None}
    json.dumps(told, allow_nan=False)


def test_no_face_at_all(face_set, classifier):
    """Where every picture was left out before, the error says why, and speaks of no split."""
    none = replace(face_set.take(np.zeros(len(face_set), dtype=bool)), skipped=(("a.png", "No face was found."),))
    with pytest.raises(DataError, match=r"not one picture can be used; 1 were left out\. The first, a\.png: No face"):
        explain_classes(none, classifier)


def test_what_is_drawn(face_set):
    """A seeded choice within the split, the same for a class whichever others there are."""
    drawn = draw_faces(face_set, split="train", limit=3, seed=5)
    assert len(drawn) == 21
    assert set(drawn.splits) == {"train"}
    happy = face_set.take(face_set.labels == "happy")
    again = draw_faces(happy, split="train", limit=3, seed=5)
    assert set(again.ids) == set(drawn.ids[drawn.labels == "happy"])
    assert set(draw_faces(face_set, split="train", limit=3, seed=6).ids) != set(drawn.ids)
    assert len(draw_faces(face_set, limit=None)) == (face_set.splits == "test").sum()


def test_what_cannot_be_drawn(face_set, classifier):
    """Splits that do not exist or are empty, and labels that the model does not know."""
    with pytest.raises(UnknownNameError, match=r"Unknown split 'tests'.*Did you mean 'test'"):
        draw_faces(face_set, split="tests")
    with pytest.raises(DataError, match=r"no labelled pictures in the split validation. Splits there: test, train"):
        draw_faces(face_set, split="validation")
    with pytest.raises(DataError, match="limit must be a whole number from 1, got 0"):
        draw_faces(face_set, limit=0)
    strange = replace(face_set, labels=np.where(face_set.labels == "happy", "joy", face_set.labels))
    with pytest.raises(DataError, match=r"does not know the labels joy, only angry.*--classes"):
        explain_classes(strange, classifier)
