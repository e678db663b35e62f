"""Batches and the memory of a device (fault 25): what fits is found once and kept to; what does not is told."""

import threading
from dataclasses import replace

import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess
from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import DataError, DeviceMemoryError, ExtractionInterrupted
from fusionfer.extraction import Rank, Shard, Team, compute_features, extract_to_cache
from fusionfer.extraction import _batch_size as batch_size
from fusionfer.extraction._batch_size import BATCH_SIZE, SIZES, find_batch_size
from fusionfer.extraction._sharding import SHARDS
from fusionfer.extraction._workers import Crew
from fusionfer.networks import load_backbone

CPU = torch.device("cpu")
ALONE = Crew(1, 1, alone=True)


class Limited(torch.nn.Module):
    """A device that runs out of memory above so many pictures; remembers the size of each batch it was given."""

    def __init__(self, limit):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = torch.nn.Conv2d(3, 6, 3)
        self.limit, self.tried = limit, []

    def forward(self, x):
        self.tried.append(len(x))
        if len(x) > self.limit:
            msg = f"CUDA out of memory. Tried to allocate {len(x)} MiB. GPU 0 has a total capacity of {self.limit} MiB."
            raise torch.OutOfMemoryError(msg)
        return self.conv(x)


@pytest.fixture
def device(monkeypatch):
    """Return a backbone on a device of which memory is tried, with room for 20 pictures."""
    monkeypatch.setattr(batch_size, "_tries", lambda device: True)
    return Backbone("tiny", Limited(20), Preprocess(size=32), {"out": "conv"})


def run(faces, backbone, cache, size="auto", **options):
    return extract_to_cache(faces, backbone, "out", cache=cache, batch_size=size, device="cpu", **options)


def stop_after_a_batch(faces, backbone, cache, size="auto"):
    """Begin an extraction that is asked to stop as soon as a batch is committed."""
    stop = threading.Event()
    with pytest.raises(ExtractionInterrupted):
        run(
            faces, backbone, cache, size, stop=stop,
            progress=lambda done, total, what: what == "extracting" and stop.set(),
        )  # fmt: skip


def block_rows(report):
    return read_feature_file(report.files["tiny:out"]).layout.block_rows


def test_it_is_halved_until_it_fits_and_recorded(tmp_path, make_faces, device):
    """Fault 25: out of memory at 32, not at 16: that is what all batches have, and what the file says."""
    report = run(make_faces(50), device, tmp_path)
    assert device.module.tried == [1, 32, 16, 16, 16, 16, 16]
    assert (report.batch_sizes, block_rows(report)) == ((16,), 16)
    assert read_feature_file(report.files["tiny:out"]).record["batch_size"] == 16
    by_number = run(make_faces(50), device, tmp_path / "number", 16)
    assert by_number.features().X.tobytes() == report.features().X.tobytes()


def test_a_resumed_run_keeps_what_was_found(tmp_path, make_faces, device):
    """With more memory by now, an interrupted file goes on as it was begun: nothing is tried, all bits are equal."""
    faces = make_faces(50)
    whole = run(faces, device, tmp_path / "whole").features().X
    stop_after_a_batch(faces, device, tmp_path / "cut")
    device.module.limit = 1000
    device.module.tried.clear()
    resumed = run(faces, device, tmp_path / "cut")
    assert device.module.tried == [1, 16, 16, 16]
    assert resumed.features().X.tobytes() == whole.tobytes()
    assert run(make_faces(50), device, tmp_path / "cut").computed == 0
    assert device.module.tried[-1:] == [1]  # to learn the length of the vectors; no batch was tried for a hit
    grown = run(make_faces(60), device, tmp_path / "cut")
    assert (block_rows(grown), set(device.module.tried)) == (16, {1, 16})


def test_a_new_block_beside_an_old_one_finds_its_own(tmp_path, make_faces, device):
    """The finished file is a hit in its batches; the other backbone's are found."""
    run(make_faces(50), device, tmp_path)
    other = Backbone("other", Limited(9), Preprocess(size=32), {"out": "conv"})
    report = extract_to_cache(make_faces(50), [device, other], "out", cache=tmp_path, batch_size="auto", device="cpu")
    assert report.batch_sizes == (8, 16)
    assert read_feature_file(report.files["other:out"]).layout.block_rows == 8
    assert block_rows(report) == 16


def test_a_number_that_does_not_fit_is_told_with_one_that_does(tmp_path, make_faces, device):
    """Fault 25: one message and no loop; no empty file stays behind that would bind the next run to that number."""
    with pytest.raises(DeviceMemoryError, match=r"^There is no room for batches of 48 in the memory of cpu\. --"):
        run(make_faces(50), device, tmp_path, 48)
    assert set(device.module.tried) == {1, 48, 24, 12}
    assert device.module.tried[-2:] == [24, 12]
    assert not CacheFolder(tmp_path).parts()
    with pytest.raises(DeviceMemoryError, match=r"--batch-size 12 fits\.$"):
        run(make_faces(50), device, tmp_path, 48)
    assert block_rows(run(make_faces(50), device, tmp_path, 12)) == 12


def test_memory_that_is_gone_in_the_middle_costs_no_rows(tmp_path, make_faces, device):
    """What was committed stays, the message names the file and both ways on, and the same command finishes it."""
    faces = make_faces(200)  # many more batches than workers can have computed when the first is committed
    whole = run(faces, device, tmp_path / "whole").features().X

    def taken_by_others(done, total, what):
        if what == "extracting":
            device.module.limit = 9

    said = r"tiny\.out\..*\.h5 was begun with 16 and keeps to it: free .* or give another --cache and --batch-size 8\."
    with pytest.raises(DeviceMemoryError, match=said):
        run(faces, device, tmp_path / "cut", progress=taken_by_others)
    with pytest.raises(DeviceMemoryError, match=said):
        run(faces, device, tmp_path / "cut")
    device.module.limit = 20
    device.module.tried.clear()
    resumed = run(faces, device, tmp_path / "cut")
    assert len(device.module.tried) <= -(-200 // 16)
    assert resumed.features().X.tobytes() == whole.tobytes()


def test_no_room_for_a_single_picture(make_faces, device):
    """Then there is nothing to halve: it is said, once, with the ways out."""
    network = load_backbone(device, ["out"])
    device.module.limit = 0
    tried = device.module.tried = []
    with pytest.raises(DeviceMemoryError, match=r"^cpu has no memory for tiny and a single picture\. Free .* --device"):
        find_batch_size([network], CPU, ALONE, 100)
    assert tried == [64, 32, 16, 8, 4, 2, 1]
    with pytest.raises(DeviceMemoryError, match=r"no room for batches of 4 .* Give a smaller --batch-size"):
        compute_features(make_faces(8), [network], batch_size=4, device=CPU)  # as predict does
    with pytest.raises(DeviceMemoryError, match=r"^There is no room for tiny in the memory of cpu\.$"):
        load_backbone(device, ["out"])


@pytest.mark.parametrize(
    ("n", "processes", "first"),
    [(35_710, 1, 256), (35_710, 4, 256), (1000, 4, 128), (100, 1, 64), (5, 1, 32), (50, 3, 16), (3, 3, 1), (2, 3, 1)],
)
def test_no_larger_than_the_pictures_fill(device, n, processes, first):
    """Each process has a full batch of pictures, if there are so many; alone it is never below the usual size."""
    network = load_backbone(device, ["out"])
    device.module.limit = 1000
    assert find_batch_size([network], CPU, ALONE, n, processes) == first


def test_what_fits_leaves_room_for_batches_of_other_workers(device, monkeypatch):
    """While one batch is in the networks, every other worker holds its own on the device."""
    made = []
    real = batch_size.Buffers
    monkeypatch.setattr(batch_size, "Buffers", lambda *args: made.append(args[1]) or real(*args))
    assert find_batch_size([load_backbone(device, ["out"])], CPU, Crew(3, 1, alone=True), 64) == 16
    assert made == [64] * 3 + [32] * 3 + [16] * 3


def test_the_cpu_is_not_tried(tmp_path, make_faces, make_backbone):
    """There the usual size is taken, and a network that never ran in vain."""
    backbone = make_backbone()
    report = run(make_faces(50), backbone, tmp_path)
    assert report.batch_sizes == (BATCH_SIZE,)
    assert [shape[0] for shape in backbone.module.shapes] == [1, 32, 32]


@pytest.mark.parametrize("size", [0, -1, "many", "32", True])
def test_sizes_that_are_none(tmp_path, make_faces, make_backbone, size):
    """Neither a number from 1 nor "auto"."""
    with pytest.raises(DataError, match=rf"^batch_size must be at least 1, or 'auto', got {size!r}\.$"):
        run(make_faces(4), make_backbone(), tmp_path, size)


def test_shards_agree_on_the_smallest(tmp_path, make_faces, device):
    """Processes whose devices differ take what fits everywhere, and go on with it, whatever fits by then."""
    faces, told = make_faces(100), []

    def least(mine):
        told.append(mine)
        return min(mine, 8)

    first = run(faces, device, tmp_path, shard=Shard(0, 2, least=least))
    assert (told, first.batch_sizes) == ([16], (8,))
    device.module.limit = 1000
    device.module.tried.clear()
    second = run(faces, device, tmp_path, shard=Shard(1, 2, least=least))
    assert (told, second.batch_sizes) == ([16, 8], (8,))
    assert set(device.module.tried) == {1, 8}
    assert len(list((tmp_path / SHARDS).iterdir())) == 2
    whole = run(faces, device, tmp_path / "whole", 8).features().X
    parts = [report.features().X for report in (first, second)]
    assert b"".join(X.tobytes() for X in parts) == whole.tobytes()


def test_shards_of_a_finished_cache_try_nothing(tmp_path, make_faces, device):
    """A hit needs no size, and no agreement."""
    run(make_faces(100), device, tmp_path)
    device.module.tried.clear()
    report = run(make_faces(100), device, tmp_path, shard=Shard(0, 2, least=lambda mine: pytest.fail("asked")))
    assert (report.computed, device.module.tried) == (0, [1])


def test_shards_that_do_not_meet_need_a_number(tmp_path, make_faces, device):
    """Each for itself could find another size: refused, with what to give."""
    with pytest.raises(DataError, match=r"^Shards that are computed one by one cannot agree on a batch size: give all"):
        run(make_faces(100), device, tmp_path, shard=Shard(0, 2))
    assert not (tmp_path / SHARDS).exists()


@pytest.mark.parametrize("index", [0, 1])
def test_ranks_of_which_only_some_were_given_auto(monkeypatch, index):
    """One error on all ranks, told by rank 0, instead of a size that is taken for something else."""
    team = Team(replace(Rank(0, 2), index=index))
    team.open = True
    monkeypatch.setattr(team, "_exchange", lambda mine: [mine, mine])
    assert team._least(8) == 8
    monkeypatch.setattr(team, "_exchange", lambda mine: [{"size": 16}, {"host": "b", "plan": {}}])
    for ask in (lambda: team._least(8), lambda: team._agree({})):
        with pytest.raises(DataError, match=r"^Some ranks were given --batch-size auto and others a number\."):
            ask()
    assert (team.open, team.told) == (False, index > 0)


def test_sizes_are_halves_of_each_other():
    """What "auto" may find is what shards that were begun are looked for by."""
    assert SIZES == (256, 128, 64, 32, 16, 8, 4, 2, 1)
