"""find_preparation: as the model records, as the caller says, and a word where both differ."""

import json
import warnings
from types import SimpleNamespace

import pytest

from fusionfer.exceptions import FusionferWarning, ModelError
from fusionfer.faces import FacePreparation
from fusionfer.persistence import load_model
from fusionfer.prediction import find_preparation


@pytest.fixture(scope="module")
def model(shared_model):
    return load_model(shared_model)


def recording(model, *described):
    """Return what stands for the model with one block for each entry, as a file keeps it: sorted JSON."""
    described = json.loads(json.dumps(described, sort_keys=True))
    block = next(iter(model.blocks.values()))
    blocks = {f"block {k}": {**block, "key": {**block["key"], "faces": entry}} for k, entry in enumerate(described)}
    return SimpleNamespace(blocks=blocks)


def quiet(*given, **options):
    """find_preparation, which must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return find_preparation(*given, **options)


def test_a_model_that_records_nothing_takes_pictures_as_they_are(model):
    """And faces are cut out of photographs at the side of its inputs, without a warning."""
    assert not quiet(model).changes
    assert quiet(model, "align") == FacePreparation("align", size=32)


def test_what_is_recorded_is_done_and_parts_can_be_replaced(model):
    """All of the record by default; another mode or margin is done, with a warning that names it."""
    made = FacePreparation("align", "clahe", margin=0.1, size=48)
    other = recording(model, made.describe())
    assert quiet(other) == made
    with pytest.warns(FusionferWarning, match="mode 'none' instead of 'align'"):
        assert find_preparation(other, "none").describe() == FacePreparation("none", "clahe").describe()
    with pytest.warns(FusionferWarning, match=r"margin 0\.5 instead of 0\.1"):
        assert find_preparation(other, margin=0.5).margin == 0.5


def test_another_detector_is_warned_of(model):
    """A callable with a description of its own."""

    def find(pixels):
        return []

    find.describe = lambda: {"name": "mine"}
    other = recording(model, FacePreparation("align", detector=find).describe())
    assert quiet(other, detector=find).find.function is find
    with pytest.warns(FusionferWarning, match="detector .*'haar'.* instead of 'mine'"):
        find_preparation(other, detector="haar")
    with pytest.raises(ModelError, match="detector 'mine', which must be given"):
        find_preparation(other)


def test_a_recorded_light_follows_into_cutting(model):
    """A model of whole pictures in one light: a face is cut out and brought to it, without a warning."""
    other = recording(model, FacePreparation("none", "standardise").describe())
    assert quiet(other, "detect").photometric == "standardise"


def test_blocks_of_several_preparations_are_refused(model):
    """Sizes may differ, and the largest counts, which is said; anything else cannot be one picture."""
    one, two = (FacePreparation("align", size=size).describe() for size in (48, 64))
    with pytest.warns(FusionferWarning, match="48 and 64 pixels; here all are cut out at 64"):
        assert find_preparation(recording(model, one, two)).size == 64
    with pytest.raises(ModelError, match="prepared in different ways"):
        find_preparation(recording(model, one, None))
