"""Extraction: what is in the cache is what the network says, computed once, resumable, and never wrong."""

import threading

import numpy as np
import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess
from fusionfer.cache import read_feature_file
from fusionfer.exceptions import (
    CacheLockedError,
    DataError,
    ExtractionInterrupted,
    ImageError,
    NonFiniteFeaturesError,
    UnknownNameError,
)
from fusionfer.extraction import extract, extract_to_cache


def run(faces, backbone, cache, **options):
    """Extract with the options that most tests share."""
    return extract_to_cache(faces, backbone, ["out"], cache=cache, batch_size=8, device="cpu", **options)


def images(backbone):
    """Pictures of full batches that went through the network (the probe is a batch of one)."""
    return sum(shape[0] for shape in backbone.module.shapes if shape[0] > 1)


def test_features_equal_a_plain_forward_pass(tmp_path, make_faces, make_backbone):
    """Each row is the network's answer to its own picture, whatever the batch."""
    faces, backbone = make_faces(19), make_backbone()
    features = extract(faces, backbone, ["conv", "out"], cache=tmp_path, batch_size=8)
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack([backbone.preprocess(faces.load(i)[0]) for i in range(19)]))
        conv = backbone.module.conv(batch)
        expected = torch.cat([conv.mean(dim=(2, 3)), conv.relu().mean(dim=(2, 3))], dim=1).numpy()
    np.testing.assert_allclose(features.X, expected, rtol=1e-5, atol=1e-6)
    assert features.ids.tolist() == faces.ids.tolist()
    assert features.y.tolist() == faces.labels.tolist()
    assert features.splits.tolist() == faces.splits.tolist()
    assert list(features.blocks) == ["tiny:conv", "tiny:out"]


def test_a_second_run_does_no_forward_pass(tmp_path, make_faces, make_backbone):
    """The cache proves its hit by hashes; not one picture goes through the network again."""
    faces, backbone = make_faces(), make_backbone()
    first = run(faces, backbone, tmp_path)
    assert (first.computed, images(backbone)) == (50, 56)
    backbone.module.shapes.clear()
    second = run(faces, backbone, tmp_path)
    assert (second.computed, images(backbone)) == (0, 0)
    assert second.files == first.files


def test_one_decode_feeds_every_backbone(tmp_path, make_faces, make_backbone):
    """Two backbones read each picture once for its hash and once for its pixels, not twice."""
    faces = make_faces(16)
    extract(faces, [make_backbone("a"), make_backbone("b", seed=1)], "out", cache=tmp_path, batch_size=8)
    assert faces.source.reads == 2 * 16


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(tmp_path, make_faces, make_backbone):
    """Fault 2: stopped after every possible number of batches, the resumed file equals an uninterrupted one."""
    faces, backbone = make_faces(), make_backbone()
    whole = run(faces, backbone, tmp_path / "whole").files["tiny:out"]
    for batches in range(1, 7):
        stop = threading.Event()
        seen = []

        def progress(done, total, what, stop=stop, seen=seen, batches=batches):
            if what == "extracting":
                seen.append(done)
                if len(seen) == batches:
                    stop.set()

        cache = tmp_path / f"stopped{batches}"
        with pytest.raises(ExtractionInterrupted, match=r"Stopped after \d+ of 50 images; they are kept"):
            run(faces, backbone, cache, progress=progress, stop=stop)
        assert not list(cache.glob("*.h5"))
        backbone.module.shapes.clear()
        resumed = run(faces, backbone, cache)
        assert resumed.computed == 50 - 8 * batches
        a, b = read_feature_file(whole), read_feature_file(resumed.files["tiny:out"])
        assert a.X.tobytes() == b.X.tobytes()
        assert a.state.tobytes() == b.state.tobytes()


def test_a_resumed_run_keeps_its_batch_size(tmp_path, make_faces, make_backbone):
    """Another --batch-size on resuming would change bits: the recorded one is used."""
    faces, backbone = make_faces(), make_backbone()
    stop = threading.Event()
    with pytest.raises(ExtractionInterrupted, match="Stopped after 8 of 50"):
        run(
            faces, backbone, tmp_path, stop=stop, progress=lambda done, total, what: what == "extracting" and stop.set()
        )
    backbone.module.shapes.clear()
    extract_to_cache(faces, backbone, "out", cache=tmp_path, batch_size=16)
    assert {shape[0] for shape in backbone.module.shapes} == {1, 8}


def test_a_stop_while_images_are_checked_does_not_wait_for_the_first_batch(tmp_path, make_faces, make_backbone):
    """Asked to stop before anything is computed, it says so and leaves no file."""
    backbone, stop = make_backbone(), threading.Event()
    stop.set()
    with pytest.raises(ExtractionInterrupted, match="Stopped while checking images; nothing was computed"):
        run(make_faces(), backbone, tmp_path, stop=stop)
    assert images(backbone) == 0
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".h5", ".part"}]


def test_only_new_and_changed_images_are_computed(tmp_path, make_faces, make_backbone):
    """Faults 9, 12: added images, and one whose pixels changed, are misses; reordering is none; rows follow ids."""
    backbone = make_backbone()
    run(make_faces(40), backbone, tmp_path)
    more = make_faces(50)
    more.source.pictures[:40] = make_faces(40).source.pictures
    more.source.pictures[7] = 255 - more.source.pictures[7]
    report = run(more, backbone, tmp_path)
    assert report.computed == 11
    assert "10 new, 1 changed" in report.explanations["tiny:out"]
    fresh = run(more, backbone, tmp_path / "fresh")
    np.testing.assert_allclose(report.features().X, fresh.features().X, rtol=1e-6)
    shuffled = more.take(np.random.default_rng(0).permutation(50))
    report = run(shuffled, backbone, tmp_path)
    assert report.computed == 0
    assert report.features().ids.tolist() == shuffled.ids.tolist()
    index = {i: k for k, i in enumerate(more.ids)}
    np.testing.assert_allclose(report.features().X, fresh.features().X[[index[i] for i in shuffled.ids]], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": 1}, "weights_sha256"), ({"size": 40}, "preprocess")],
)
def test_other_weights_or_size_are_a_miss_that_names_the_field(tmp_path, make_faces, make_backbone, change, field):
    """Fault 11: a new file is written beside the old one, which stays, and the message names what differs."""
    faces = make_faces(16)
    old = run(faces, make_backbone(), tmp_path).files["tiny:out"]
    report = run(faces, make_backbone(**change), tmp_path)
    assert report.computed == 16
    assert field in report.explanations["tiny:out"]
    assert old.is_file()
    assert report.files["tiny:out"] != old


def test_bad_images_fail_by_name_or_are_recorded(tmp_path, make_faces, make_backbone):
    """Fault 13: fail: the sample is named; skip: it is listed with its reason, keeps its place, and counts agree."""
    faces, backbone = make_faces(20, broken=[3, 17]), make_backbone()
    with pytest.raises(ImageError, match=r"0003\.png: The picture is gone\. Mend or remove it"):
        run(faces, backbone, tmp_path / "fail")
    report = run(faces, backbone, tmp_path / "skip", on_error="skip")
    assert [i for i, _ in report.skipped] == ["0003.png", "0017.png"]
    assert report.skipped[0][1] == "The picture is gone."
    features = report.features()
    assert len(features) + len(report.skipped) == report.n == 20
    good = run(make_faces(20), make_backbone(), tmp_path / "good").features()
    kept = [i for i in range(20) if i not in (3, 17)]
    assert features.X.tobytes() == good.X[kept].tobytes()
    again = run(faces, backbone, tmp_path / "skip", on_error="skip")
    assert (again.computed, again.skipped) == (0, report.skipped)
    assert report.computed == 18


def test_a_run_that_must_not_skip_tries_recorded_failures_again(tmp_path, make_faces, make_backbone):
    """Recorded failures do not pass for done under "fail": they are tried again, alone, and fail or are mended."""
    backbone = make_backbone()
    run(make_faces(20, broken=[3]), backbone, tmp_path, on_error="skip")
    with pytest.raises(ImageError, match=r"0003\.png: The picture is gone"):
        run(make_faces(20, broken=[3]), backbone, tmp_path)
    mended = make_faces(20)
    first = extract_to_cache(make_faces(20, broken=[3]), backbone, "out", cache=tmp_path, on_error="skip")
    assert [i for i, _ in first.skipped] == ["0003.png"]
    report = run(mended, backbone, tmp_path)
    assert (report.computed, report.skipped) == (1, ())
    fresh = run(mended, backbone, tmp_path / "fresh")
    assert report.features().X.tobytes() == fresh.features().X.tobytes()


def test_nan_is_an_error_that_names_the_sample_and_stores_nothing(tmp_path, make_faces):
    """Fault 26: a network that returns NaN for one picture stops the run; its batch is not in the file."""

    class Poisoned(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flat = torch.nn.Flatten()

        def forward(self, x):
            return self.flat(torch.where(x.amax() > 2.6, torch.nan, x))

    faces = make_faces(20)
    faces.source.pictures[:] //= 2
    faces.source.pictures[13] = 255
    backbone = Backbone("poisoned", Poisoned(), Preprocess(size=32), {"out": "flat"})
    with pytest.raises(NonFiniteFeaturesError, match=r"^00(08|13)\.png: poisoned:out returned NaN or infinity"):
        run(faces, backbone, tmp_path)
    assert not list(tmp_path.glob("*.h5"))


def test_a_preprocessing_without_description_is_refused(tmp_path, make_faces):
    """The cache cannot prove what it does not know: such a backbone never runs."""
    backbone = Backbone("mine", torch.nn.Flatten(), lambda pixels: np.zeros((3, 32, 32), np.float32), {"out": ""})
    with pytest.raises(DataError, match=r"mine: the cache needs a stable description.*describe\(\)"):
        run(make_faces(4), backbone, tmp_path)


def test_a_described_preprocessing_of_ones_own_is_used(tmp_path, make_faces, make_backbone):
    """Any callable with describe() works, beside a Preprocess of another size in the same pass."""

    class Halves:
        def describe(self):
            return {"halves": 1}

        def __call__(self, pixels):
            return np.full((3, 8, 8), 0.5, np.float32)

    own = Backbone("own", torch.nn.Sequential(torch.nn.Flatten()), Halves(), {"out": "0"})
    report = extract_to_cache(make_faces(9), [own, make_backbone()], "out", cache=tmp_path, batch_size=4)
    assert np.all(read_feature_file(report.files["own:out"]).X == 0.5)


def test_two_writers_never_interleave(tmp_path, make_faces, make_backbone):
    """Fault 5: while one holds the folder's lock, another fails by name of the first."""
    from fusionfer.cache import CacheFolder

    with CacheFolder(tmp_path).lock(), pytest.raises(CacheLockedError, match=r"pid|process"):
        run(make_faces(4), make_backbone(), tmp_path)


def test_wrong_options_are_named(tmp_path, make_faces, make_backbone):
    """on_error, batch_size, device and an empty set each give one clear error."""
    faces, backbone = make_faces(4), make_backbone()
    with pytest.raises(DataError, match="on_error must be 'fail' or 'skip', got 'ignore'"):
        run(faces, backbone, tmp_path, on_error="ignore")
    with pytest.raises(DataError, match="batch_size must be at least 1, or 'auto', got 0"):
        extract_to_cache(faces, backbone, "out", cache=tmp_path, batch_size=0)
    with pytest.raises(DataError, match=r"Device .tpu. is not available here\. Available: auto"):
        extract_to_cache(faces, backbone, "out", cache=tmp_path, device="tpu")
    with pytest.raises(DataError, match="Device 'cpu:x' is not available here"):
        extract_to_cache(faces, backbone, "out", cache=tmp_path, device="cpu:x")
    with pytest.raises(DataError, match="noise holds no faces"):
        run(faces.take([]), backbone, tmp_path)


def test_a_recorded_failure_that_can_be_decoded_by_now_is_tried_again(tmp_path, make_faces, make_backbone):
    """A run that skips takes back what it skipped once the limit, or the file, allows it."""
    from dataclasses import replace

    faces, backbone = make_faces(9), make_backbone()
    first = run(replace(faces, max_pixels=100), backbone, tmp_path, on_error="skip")
    assert len(first.skipped) == 9
    again = run(replace(faces, max_pixels=100), backbone, tmp_path, on_error="skip")
    assert (len(again.skipped), again.computed) == (9, 0)
    report = run(faces, backbone, tmp_path, on_error="skip")
    assert (report.skipped, report.computed) == ((), 9)


def test_a_hit_leaves_no_unfinished_file_behind(tmp_path, make_faces, make_backbone):
    """What a failed try began is taken away once the complete file is all that is wanted."""
    backbone = make_backbone()
    run(make_faces(20, broken=[3]), backbone, tmp_path, on_error="skip")
    with pytest.raises(ImageError):
        run(make_faces(20, broken=[3]), backbone, tmp_path)
    assert list(tmp_path.glob("*.part"))
    report = run(make_faces(20, broken=[3]), backbone, tmp_path, on_error="skip")
    assert report.computed == 0
    assert not list(tmp_path.glob("*.part"))


def test_wrong_levels_leave_no_folder_behind(tmp_path, make_faces, make_backbone):
    """Names are checked before anything is made."""
    with pytest.raises(UnknownNameError, match="Unknown level or node 'nowhere' of tiny"):
        extract(make_faces(4), make_backbone(), "nowhere", cache=tmp_path / "c")
    assert not (tmp_path / "c").exists()
