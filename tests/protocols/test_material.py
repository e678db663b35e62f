"""What is known of the faces of a replay: by whose weights, which are copies, which are no faces."""

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.fusion import fingerprints
from fusionfer.images import generate_faces
from fusionfer.protocols._material import Material, look_for_copies, read_material
from fusionfer.protocols._protocol import Protocol, change_protocol


@pytest.fixture
def folder(tmp_path):
    """Eight pictures of two classes in FER-2013's names, one of them in both splits."""
    root = tmp_path / "faces"
    pictures = np.random.default_rng(0).integers(0, 256, (8, 16, 16), dtype=np.uint8)
    for row in range(8):
        usage, split = ("Training", "train") if row < 5 else ("PrivateTest", "test")
        path = root / split / ("happy" if row % 2 else "sad") / f"{usage}_{row:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pictures[1 if row == 7 else row])
    return root


@pytest.fixture
def votes(tmp_path):
    """FER+ for these eight: row 3 is no face, row 4 has no majority."""
    lines = ["Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"]
    for row in range(8):
        usage = "Training" if row < 5 else "PrivateTest"
        counts = {3: "0,1,0,0,0,0,0,0,0,9", 4: "5,0,0,5,0,0,0,0,0,0"}.get(row, "0,9,0,1,0,0,0,0,0,0")
        lines.append(f"{usage},fer{row:07d}.png,{counts}")
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def protocol(**changes):
    """Return a protocol of features, with ``data_labels`` for data.labels."""
    return change_protocol(Protocol("mine"), {key.replace("_", ".", 1): value for key, value in changes.items()})


def read(given, data, **options):
    """Read with nothing said but what is given."""
    return read_material(given, data, **{"labels": None, "weights": "none", **options})


def test_labels_and_non_faces_come_from_ferplus(folder, votes):
    """The majority's labels, or the labels of the data without what is no face."""
    plus = read(protocol(data_labels="ferplus"), folder, labels=votes)
    assert sorted(plus.faces.ids) == sorted(one for one in read(protocol(), folder).faces.ids if one[-5] not in "34")
    assert set(plus.faces.labels) == {"happiness"}
    faces = read(protocol(cleaning_non_faces="remove"), folder, labels=votes)
    assert len(faces.faces) == 7
    assert set(faces.faces.labels) == {"happy", "sad"}
    assert "1 pictures are left out: most annotators of FER+ call them no face." in faces.notes


@pytest.mark.parametrize("changes", [{"data_labels": "ferplus"}, {"cleaning_non_faces": "remove"}])
def test_a_protocol_that_needs_ferplus_says_so(folder, changes):
    """Without the file nothing is replaced silently."""
    with pytest.raises(DataError, match=r"from FER\+: give its fer2013new.csv as labels"):
        read(protocol(**changes), folder)


def test_known_splits_and_the_copies_of_their_pictures(folder):
    """A test picture that is a copy of a training picture is known, too."""
    found = read(protocol(), folder, known=["train"])
    known = set(found.faces.ids[found.known].tolist())
    assert known == {one for one in found.faces.ids if one.startswith("train/") or "0000007" in one}
    assert found.notes[-1] == "6 of 8 faces, or their copies, have trained the weights."
    with pytest.raises(UnknownNameError, match="Unknown split 'training'"):
        read(protocol(), folder, known=["training"])


def test_checkpoints_say_what_they_have_seen(folder, monkeypatch, tmp_path):
    """By the hashes in a checkpoint, whatever the faces are called now; other weights do not say it."""
    from fusionfer.exceptions import WeightsError

    faces = read(protocol(), folder).faces
    seen = faces.digest(2)

    class Info:
        trained_on = fingerprints([seen])

    def checkpoint(path):
        if path.name == "foreign.safetensors":
            raise WeightsError("plain")
        return Info, None

    monkeypatch.setattr("fusionfer.protocols._material.read_checkpoint", checkpoint)
    for name in ("foreign.safetensors", "ours.safetensors", "lr=0.1.safetensors"):
        (tmp_path / name).write_bytes(b"x")
    found = read(protocol(), folder, weights=[f"resnet34={tmp_path}/foreign.safetensors"])
    assert not found.known.any()
    for given in (
        [f"resnet34={tmp_path}/ours.safetensors"],
        {"resnet34": f"{tmp_path}/ours.safetensors"},
        f"{tmp_path}/ours.safetensors",
        f"{tmp_path}/lr=0.1.safetensors",
        f"resnet34={tmp_path}/lr=0.1.safetensors",
    ):
        found = read(protocol(), folder, weights=given)
        assert found.faces.ids[found.known].tolist() == [faces.ids[2]]


def test_copies_are_looked_for_among_the_faces_that_take_part(folder):
    """The exact copy is found; where its partner takes no part, there is none."""
    found = look_for_copies(read(protocol(), folder), ["keep"])
    twins = [set(ids) for ids in found.copies]
    assert {one for one in found.faces.ids if "0000001" in one or "0000007" in one} in twins
    alone = look_for_copies(read(protocol(), folder), ["keep"], ("train",))
    assert not any("0000007" in one for ids in alone.copies for one in ids)


def test_a_pool_does_not_depend_on_the_order_of_the_faces():
    """A limit draws by ids and seed."""
    faces = generate_faces(3, takes=1, size=16)
    order = np.random.default_rng(0).permutation(len(faces))
    none = np.zeros(len(faces), dtype=bool)
    first, second = (Material(some, none, 10, 1) for some in (faces, faces.take(order)))
    assert faces.ids[first.pool("keep")].tolist() == faces.take(order).ids[second.pool("keep")].tolist()
    assert len(first.pool("keep", ("train",))) == 10
    other = Material(faces, none, 10, 2)
    assert faces.ids[other.pool("keep")].tolist() != faces.ids[first.pool("keep")].tolist()
