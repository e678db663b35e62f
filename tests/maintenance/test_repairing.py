"""repair restores damaged files to the bit, from the damaged samples' pictures alone, or changes nothing."""

import dataclasses
import importlib
import shutil

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import (
    CacheError,
    CacheFormatError,
    CacheLockedError,
    DataError,
    ExtractionInterrupted,
    StoreFullError,
)
from fusionfer.features import Features
from fusionfer.maintenance import repair


@pytest.mark.parametrize("order", [range(22), range(21, -1, -1)])
def test_repair_gives_back_the_undamaged_file(folder, order, tools):
    """Fault 6: damaged rows are extracted again, whatever order the data have by now; all bytes are back."""
    whole = tools.contents(folder)
    conv, out = CacheFolder(folder).files()
    tools.flip(conv, 9)
    tools.cut(out, 3)
    faces = tools.faces(broken=(5,), rows=order)
    mended = repair(folder, faces, backbones=[tools.backbone()])
    assert [(one.path, one.identical, one.blocks, one.failed) for one in mended] == [(conv, 1, 1, ()), (out, 2, 2, ())]
    assert mended[0].samples == tuple(f"{i:02d}.png" for i in range(8, 12))
    assert tools.contents(folder) == whole
    assert set(faces.source.read_keys) == {8, 9, 10, 11, 16, 17, 18, 19, 20, 21}
    assert repair(folder, faces, backbones=[tools.backbone()]) == []


def test_repair_needs_the_damaged_pictures_only(folder, tools):
    """A part of the data set is enough; a failed row of a damaged block fails again, with its reason."""
    whole = tools.contents(folder)
    conv, _ = CacheFolder(folder).files()
    tools.flip(conv, 4)
    (mended,) = repair(conv, tools.faces(broken=(5,), rows=range(4, 8)), backbones=[tools.backbone()])
    assert mended.failed == (("05.png", "The picture is gone."),)
    assert tools.contents(folder) == whole


def test_repair_keeps_what_now_could_be_read(folder, tools):
    """Only damaged rows: one that failed in a sound block stays failed, though its picture is back."""
    whole = tools.contents(folder)
    conv, _ = CacheFolder(folder).files()
    tools.flip(conv, 9)
    repair(conv, tools.faces(), backbones=[tools.backbone()])
    assert tools.contents(folder) == whole


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (range(10), r"2 damaged samples: 2 are not in it \(first: 10.png\)"),
        ([1], r"4 are not in it \(first: 08.png\)"),
    ],
)
def test_repair_refuses_other_data(folder, rows, said, tools):
    """Pictures that are missing are named, and nothing is changed."""
    conv, _ = CacheFolder(folder).files()
    tools.flip(conv, 9)
    before = {path: path.read_bytes() for path in folder.glob("*.h5*")}
    with pytest.raises(DataError, match=said):
        repair(folder, tools.faces(rows=rows), backbones=[tools.backbone()])
    assert {path: path.read_bytes() for path in folder.glob("*.h5*")} == before


def test_repair_refuses_changed_pictures(folder, tools):
    """Fault 9: another picture under an old id is no repair."""
    tools.flip(CacheFolder(folder).files()[0], 9)
    faces = tools.faces()
    faces.source.pictures[9] ^= 255
    with pytest.raises(DataError, match=r"1 are other pictures by now \(first: 09.png\).*`fusionfer extract`"):
        repair(folder, faces, backbones=[tools.backbone()])


@pytest.mark.parametrize(
    ("backbone", "decoder", "said"),
    [
        ({"seed": 1}, None, r"weights_sha256: '[0-9a-f]{64}' in the file, '[0-9a-f]{64}' here"),
        ({"size": 48}, None, r"preprocess\.size: 32 in the file, 48 here"),
        ({}, "other 2", r"decoder: 'opencv.*' in the file, 'other 2' here"),
    ],
)
def test_repair_refuses_another_key(folder, backbone, decoder, said, tools):
    """Fault 11: the fields that differ are listed, and nothing is changed."""
    conv, out = CacheFolder(folder).files()
    tools.flip(conv, 9)
    tools.flip(out, 9)
    before = {path: path.read_bytes() for path in folder.glob("*.h5*")}
    faces = tools.faces() if decoder is None else dataclasses.replace(tools.faces(), decoder=decoder)
    with pytest.raises(CacheError, match=rf"tiny:conv cannot be computed here as it was \(.*{said}"):
        repair(folder, faces, backbones=[tools.backbone(**backbone)])
    assert {path: path.read_bytes() for path in folder.glob("*.h5*")} == before


def test_repair_of_what_is_not_known(folder, tools):
    """A file that neither it nor its name leads to, and features that came from arrays, are refused with what to do."""
    conv, _ = CacheFolder(folder).files()
    conv.write_bytes(b"")
    before = {path: path.read_bytes() for path in folder.glob("*.h5*")}
    for backbones in ([], [tools.backbone(seed=1)], [tools.backbone(size=48)]):
        with pytest.raises(CacheFormatError, match=r"cannot be repaired.*it is empty.*move it out of the folder"):
            repair(folder, tools.faces(), backbones=backbones)
    assert {path: path.read_bytes() for path in folder.glob("*.h5*")} == before
    conv.unlink()
    ids = [f"{i:02d}.png" for i in range(22)]
    (path,) = Features.from_arrays(ids, np.ones((22, 3)), blocks={"own": slice(0, 3)}).to_hdf5(folder)
    tools.flip(path, 9)
    with pytest.raises(CacheError, match="own: these features were not extracted from images"):
        repair(folder, tools.faces(), backbones=[tools.backbone()])


def test_repair_can_be_stopped_and_goes_on(folder, tools):
    """Fault 2: what was computed is kept in the part; the next repair does the rest, and the file is as before."""
    whole = tools.contents(folder)
    conv, _ = CacheFolder(folder).files()
    for row in (1, 9, 17):
        tools.flip(conv, row)
    damaged = conv.read_bytes()
    with pytest.raises(ExtractionInterrupted, match="Stopped after 4 of 12 images"):
        repair(folder, tools.faces(broken=(5,)), backbones=[tools.backbone()], stop=tools.StopLater(1))
    assert conv.read_bytes() == damaged
    faces = tools.faces(broken=(5,))
    (mended,) = repair(folder, faces, backbones=[tools.backbone()])
    assert set(faces.source.read_keys) >= {8, 9, 10, 11, 16, 17, 18, 19}
    assert (mended.identical, mended.blocks) == (3, 3)
    assert tools.contents(folder) == whole


def test_repair_needs_the_lock_and_room(folder, monkeypatch, tools):
    """Faults 3, 5: another writer is named; a full disk changes nothing."""
    conv, _ = CacheFolder(folder).files()
    tools.flip(conv, 9)
    before = conv.read_bytes()
    with CacheFolder(folder).lock(), pytest.raises(CacheLockedError, match="is being written by process"):
        repair(folder, tools.faces(), backbones=[tools.backbone()])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": 100})())
    with pytest.raises(StoreFullError, match="are needed"):
        repair(folder, tools.faces(), backbones=[tools.backbone()])
    assert conv.read_bytes() == before


def test_other_versions_are_recorded_and_told(folder, monkeypatch, tools):
    """Rows of another torch are not passed off as the old ones: the record keeps both."""
    forward = importlib.import_module("fusionfer.extraction._mending")
    conv, _ = CacheFolder(folder).files()
    old = read_feature_file(conv).record
    tools.flip(conv, 9)
    run_record = forward.run_record
    monkeypatch.setattr(forward, "run_record", lambda *a: {**run_record(*a), "versions": {"torch": "9"}})
    repair(folder, tools.faces(), backbones=[tools.backbone()])
    record = read_feature_file(conv).record
    assert record["versions"] == {"torch": "9"}
    assert record["history"] == [old]


@pytest.mark.parametrize("wreck", [b"", bytes(9000), b"\xff\xd8 a picture"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_wreck_is_made_anew(folder, tools, wreck, number):
    """Fault 6: where nothing can be read, the name proves which key it had, and another file gives rows and batches."""
    whole = tools.contents(folder)
    path = CacheFolder(folder).files()[number]
    path.write_bytes(wreck)
    (mended,) = repair(folder, tools.faces(broken=(5,)), backbones=[tools.backbone()])
    assert (mended.path, len(mended.samples), mended.identical, mended.blocks) == (path, 22, 0, 0)
    assert mended.failed == (("05.png", "The picture is gone."),)
    assert tools.contents(folder) == whole


def test_a_sound_file_under_anothers_name_is_not_replaced(folder, tools):
    """It may be the only copy of what it holds; its own name is told."""
    conv, out = CacheFolder(folder).files()
    shutil.move(out, conv)
    before = conv.read_bytes()
    with pytest.raises(CacheFormatError, match=rf"another file's content.* Its own name is {out.name}: rename it"):
        repair(folder, tools.faces(), backbones=[tools.backbone()])
    assert conv.read_bytes() == before
