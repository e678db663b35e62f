"""Features are what the caches hold, aligned by id, and refuse what does not fit together."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, RowTable
from fusionfer.exceptions import (
    CacheError,
    CacheFormatError,
    DataError,
    NonFiniteFeaturesError,
    UnknownNameError,
)
from fusionfer.features import Features
from fusionfer.fusion import fingerprints
from fusionfer.images import SplitFile

IDS = [f"{i}.png" for i in range(8)]


def value(row_id, backbone, dim):
    """The feature that `backbone` has for an id; float32, shape (dim,)."""
    seed = int(hashlib.sha256(f"{row_id}{backbone}".encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).normal(size=dim).astype(np.float32)


def store(folder, backbone, dim, ids=IDS, *, level="logits", bad=(), digest="", key=None, weights=None, **columns):
    """Write one complete cache and return its path."""
    n = len(ids)
    known = {
        "labels": ["happy", "sad"] * n,
        "splits": ["train", "train", "validation", "test"] * n,
        "groups": ["S1"] * n,
    }
    texts = {name: np.array(columns.get(name, values[:n])) for name, values in known.items()}
    digests = np.array([hashlib.sha256((i + digest).encode()).hexdigest() for i in ids])
    rows = RowTable(ids=np.array(ids), **texts, digests=digests)
    record = {"weights": {"name": weights}} if weights else {}
    with (
        folder.lock(),
        folder.prepare(backbone, level, dim, key=key or {}, record=record, rows=rows, block_rows=n) as job,
    ):
        failed = {i: "broken" for i in range(n) if ids[i] in bad}
        done = np.array([i not in bad for i in ids])
        job.commit(0, np.array([value(i, backbone, dim) for i in ids]), done, failed)
        job.finish()
    return job.path


@pytest.fixture
def folder(tmp_path):
    return CacheFolder(tmp_path / "cache")


def test_one_cache_stays_a_memory_map(folder):
    """Fault 32: the file is not copied into memory, nor are rows that follow each other."""
    path = store(folder, "a", 3)
    features = Features.read(folder)
    assert isinstance(features.X, np.memmap)
    assert not features.X.flags.writeable
    assert features.X.filename == path
    assert np.shares_memory(features.take([2, 3, 4]).X, features.X)
    assert not np.shares_memory(features.take([2, 4, 3]).X, features.X)


def test_blocks_are_aligned_by_id(folder):
    """Two caches of different order and number of rows give the rows that both have, with each one's numbers."""
    store(folder, "a", 3, IDS)
    store(folder, "b", 4, [*IDS[:1:-1], "extra.png"], labels=["sad", "happy"] * 3 + [""], splits=[""] * 7)
    features = Features.read(str(folder.path))
    assert features.ids.tolist() == IDS[2:]
    assert features.blocks == {"a:logits": slice(0, 3), "b:logits": slice(3, 7)}
    for i, row_id in enumerate(features.ids.tolist()):
        assert np.array_equal(features.block("a:logits")[i], value(row_id, "a", 3))
        assert np.array_equal(features.block("b:logits")[i], value(row_id, "b", 4))


def test_labels_must_agree(folder):
    """The same ids with other labels or groups are another state of the data set; what is unknown is no clash."""
    store(folder, "a", 3)
    store(folder, "b", 4, labels=[""] * 8, splits=[""] * 8)
    assert Features.read(folder).y.tolist() == ["happy", "sad"] * 4
    store(folder, "c", 2, labels=["sad"] * 8, groups=["S2"] * 8)
    with pytest.raises(
        DataError, match=r"c:logits has other labels for 4 common ids \(first: 0.png\); c:logits has other g"
    ):
        Features.read(folder)


def test_images_must_agree(folder):
    """Fault 12: equal ids with other bytes behind them are never joined."""
    store(folder, "a", 3)
    store(folder, "b", 4, digest="!")
    with pytest.raises(DataError, match=r"different data sets.* b:logits has other images for 8 common ids"):
        Features.read(folder)


def test_failed_rows_are_left_out_and_counted(folder):
    """A row that failed in any block is in none, and the user is told."""
    store(folder, "a", 3, bad=IDS[:1])
    store(folder, "b", 4, bad=IDS[4:6])
    features = Features.read(folder)
    assert features.ids.tolist() == [*IDS[1:4], *IDS[6:]]
    assert features.notes == ("3 of 8 samples are left out, as a block has no features of them.",)
    store(folder, "c", 1, bad=IDS)
    with pytest.raises(DataError, match=r"no sample has features in each of a:logits, b:logits, c:logits"):
        Features.read(folder)


def test_samples_of_one_block_only_are_counted(folder):
    """Rows that not every cache has are left out with a note."""
    store(folder, "a", 3)
    store(folder, "b", 4, IDS[:6])
    assert Features.read(folder).notes == (
        "6 samples are in every block (a:logits 8, b:logits 6); the others are left out.",
    )


def test_choosing_blocks(folder):
    """By name, by weights, under names of one's own; unknown and doubled ones are errors."""
    store(folder, "a", 3, weights="imagenet")
    store(folder, "a", 3, key={"weights_sha256": "ab" * 32}, weights="mine")
    store(folder, "b", 4)
    with pytest.raises(
        UnknownNameError, match=r"more than one cache of one backbone: a:logits@imagenet, a:logits@mine"
    ):
        Features.read(folder)
    chosen = Features.read(folder, ["b:logits", "a:logits@mine"])
    assert list(chosen.blocks) == ["b:logits", "a:logits@mine"]
    assert chosen.provenance["a:logits@mine"]["key"]["weights_sha256"] == "ab" * 32
    assert chosen.provenance["a:logits@mine"]["record"] == {"weights": {"name": "mine"}}
    assert list(Features.read(folder, {"left": "a:logits@abab"}).blocks) == ["left"]
    assert list(Features.read(folder, "b:logits").blocks) == ["b:logits"]
    with pytest.raises(DataError, match="named twice: b:logits, b:logits"):
        Features.read(folder, ["b:logits", "b:logits"])
    with pytest.raises(UnknownNameError, match="Did you mean 'b:logits'"):
        Features.read(folder, ["b:logit"])
    with pytest.raises(UnknownNameError, match="Unknown block"):
        Features.read(folder, [])


def test_damaged_and_unfinished_caches_are_refused(folder):
    """Faults 6, 7: a flipped byte is found before anything learns from it."""
    path = store(folder, "a", 3)
    good = path.read_bytes()
    place = good.index(value("5.png", "a", 3).tobytes())
    path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    with pytest.raises(CacheFormatError, match="rows 0-7 do not have the checksum"):
        Features.read(folder)
    assert len(Features.read(folder, verify=False)) == 8
    path.rename(path.with_name(path.name + ".part"))
    with pytest.raises(CacheError, match="no complete cache in it, but unfinished ones"):
        Features.read(folder)


def test_round_trip_through_hdf5(folder):
    """Blocks of any extractor become caches that are read back bit by bit; writing them again changes nothing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 5)).astype(np.float32)
    ids = [f"s{i}" for i in range(600)]
    given = Features.from_arrays(
        ids,
        X,
        y=rng.choice(["a", "b"], 600),
        blocks={"mine": slice(0, 2), "net:layer:in@own": slice(2, 5)},
        splits=["train"] * 300 + ["test"] * 300,
        groups=np.arange(600) // 2,
    )
    paths = given.to_hdf5(folder)
    read = Features.read(folder)
    assert list(read.blocks) == ["mine", "net:layer:in"]
    for name in ("ids", "y", "splits", "groups", "X"):
        assert np.array_equal(getattr(read, name), getattr(given, name)), name
    assert read.provenance["mine"]["key"]["source"] == "arrays"
    assert list(Features.read(folder, ["net:layer:in@own"]).blocks) == ["net:layer:in"]
    before = [path.stat().st_mtime_ns for path in paths]
    assert given.to_hdf5(folder) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_other_content_is_another_key(folder):
    """Changed numbers never pass for the old ones."""
    first = Features.from_arrays(["a", "b"], np.eye(2)).to_hdf5(folder)
    second = Features.from_arrays(["a", "b"], 2 * np.eye(2)).to_hdf5(folder)
    assert first != second
    with pytest.raises(UnknownNameError, match="more than one cache of one backbone: features@"):
        Features.read(folder)


def test_arrays_beside_extracted_caches(folder):
    """Own features join those of a backbone, as far as the ids go; labels come from where they are known."""
    store(folder, "a", 3)
    Features.from_arrays(IDS[::-1], np.arange(8.0)[:, None], blocks={"age": slice(0, 1)}).to_hdf5(folder)
    features = Features.read(folder, ["a:logits", "age"])
    assert features.block("age").ravel().tolist() == list(range(7, -1, -1))
    assert features.classes == ("happy", "sad")
    assert (features.digests != "").all()


def test_provenance_survives_a_copy(folder, tmp_path):
    """Caches that are read and written elsewhere say what they were made from."""
    store(folder, "a", 3, key={"size": 48})
    Features.read(folder).to_hdf5(tmp_path / "copy")
    copied = Features.read(tmp_path / "copy").provenance["a:logits"]
    assert copied["record"]["copied_from"]["key"]["size"] == 48


def test_split():
    """One split, several, and an unknown one with the sizes of those there are."""
    features = Features.from_arrays("abcde", np.eye(5), splits=["train", "train", "test", "validation", ""])
    assert features.split("train").ids.tolist() == ["a", "b"]
    assert features.split("test+train").ids.tolist() == ["a", "b", "c"]
    with pytest.raises(UnknownNameError, match=r"Did you mean 'train'\? Here are: test \(1 rows\), train \(2 rows\), "):
        features.split("training")
    with pytest.raises(UnknownNameError, match=r"There is no split 'test': none of the 1 rows has one\."):
        Features.from_arrays("a", [[1.0]]).split("test")


def test_take_and_only():
    """Rows by index or mask, in the order asked for; columns by block, in the order asked for."""
    X = np.arange(12, dtype=np.float32).reshape(4, 3)
    features = Features.from_arrays("abcd", X, y=[3, 1, 2, 1], blocks={"p": slice(0, 1), "q": slice(1, 3)})
    taken = features.take([3, 0])
    assert (taken.ids.tolist(), taken.y.tolist(), taken.X[:, 0].tolist()) == (["d", "a"], ["1", "3"], [9, 0])
    assert features.take(np.array([False, True, True, False])).ids.tolist() == ["b", "c"]
    assert len(features.take([])) == 0
    assert features.classes == ("1", "2", "3")
    turned = features.only("q", "p")
    assert turned.blocks == {"q": slice(0, 2), "p": slice(2, 3)}
    assert np.array_equal(turned.X, X[:, [1, 2, 0]])
    assert np.shares_memory(features.only("q").X, features.X)
    assert np.shares_memory(features.only("p", "q").X, features.X)
    with pytest.raises(UnknownNameError, match=r"Unknown block 'r'\. Known blocks: p, q"):
        features.only("r")


def test_column_names(folder):
    """Each column says its block."""
    store(folder, "a", 3)
    assert Features.read(folder).column_names[2].startswith("a.logits_0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"X": np.eye(3)}, r"X is float32 \(3, 3\) instead of float32 \(2, columns\)"),
        ({"X": np.ones(2)}, r"X is float32 \(2,\)"),
        ({"X": [["x", "y"]]}, "X must be an array of numbers"),
        ({"X": [[1, 2], [3]]}, "X must be an array of numbers"),
        ({"ids": ["a", "a"]}, r"1 ids occur more than once \(first: a\)"),
        ({"y": ["x"]}, r"y are <U1 \(1,\) instead of text \(2,\)"),
        ({"blocks": {"p": slice(0, 1)}}, "blocks must tile the 2 columns"),
        ({"blocks": {"p": slice(0, 2), "q": slice(1, 2)}}, "overlap"),
        ({"blocks": {}}, "tile the 2 columns"),
        ({"ids": ["a", "a"], "y": ["x"]}, r"y are .*; 1 ids occur"),
    ],
)
def test_what_does_not_fit_together(options, said):
    """All complaints come in one error."""
    with pytest.raises(DataError, match=said):
        Features.from_arrays(**{"ids": ["a", "b"], "X": np.eye(2), **options})


@pytest.mark.parametrize("number", [np.nan, -np.inf, 1e39])
def test_non_finite_numbers_are_refused(number):
    """Also those that are too large for float32; the row is named."""
    with pytest.raises(NonFiniteFeaturesError, match=r"beyond float32 in 1 rows \(first: 'b'\)"):
        Features.from_arrays("ab", [[1.0], [number]])


def test_no_torch_and_no_images():
    """Reading features imports neither torch nor OpenCV."""
    code = "import sys, fusionfer.features; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def with_weights(features, **weights):
    """The same features, whose blocks say these things of their weights."""
    known = {name: {"key": {}, "record": {"weights": said}} for name, said in weights.items()}
    return replace(features, digests=np.array([f"{i:064x}" for i in range(len(features))]), provenance=known)


def test_rows_that_weights_have_seen(make_features):
    """Found by the hash of the picture, for each block whose weights say it; rows without a hash never."""
    digests = [f"{i:064x}" for i in range(60)]
    features = with_weights(
        make_features(),
        left={"trained_on": fingerprints([*digests[3:8], ""]), "selected_on": fingerprints(digests[50:])},
        right={"trained_on": None, "metadata": {"trained_on": "FER-2013"}},
    )
    assert {name: np.flatnonzero(rows).tolist() for name, rows in features.seen().items()} == {"left": [3, 4, 5, 6, 7]}
    assert np.flatnonzero(features.seen("selected_on")["left"]).tolist() == list(range(50, 60))
    assert np.flatnonzero(features.take([4, 20, 5]).seen()["left"]).tolist() == [0, 2]
    unknown = replace(features, digests=np.full(60, ""))
    assert not unknown.seen()["left"].any()
    assert make_features().seen() == {}
    assert with_weights(make_features(), left={"trained_on": ""}).seen()["left"].tolist() == [False] * 60


def test_weights_are_known_through_copies(make_features, tmp_path):
    """What a cache records of weights is found again in a copy of a copy; arrays know nothing."""
    features = with_weights(make_features(), left={"name": "mine", "sha256": "ab"})
    assert features.weights("left") == {"name": "mine", "sha256": "ab"}
    assert features.weights("right") == {}
    for folder in ("one", "two"):
        features.to_hdf5(tmp_path / folder)
        features = Features.read(tmp_path / folder)
    assert features.weights("left") == {"name": "mine", "sha256": "ab"}


def split_file(features, **columns):
    """A split file that says what the features themselves say."""
    known = {
        "ids": features.ids,
        "sha256": features.digests,
        "labels": features.y,
        "splits": features.splits,
        "groups": features.groups,
        "reasons": np.full(len(features), ""),
    }
    return SplitFile(**{**known, **columns}, name="clean.csv")


def test_resplit(make_features):
    """Splits and groups are those of the file, X is the same memory; what is left out stays as a row without split."""
    features = replace(make_features(), digests=np.array([f"{i:064x}" for i in range(60)]))
    splits = np.array(["", *["train"] * 29, *["test"] * 30])
    file = split_file(
        features,
        splits=splits,
        groups=np.array([f"g{i % 7}" for i in range(60)]),
        reasons=np.array(["copy in test: x", *[""] * 59]),
        labels=np.array(["b", "a", *features.y[2:]]),
    )
    turned = features.take(np.arange(60)[::-1])
    found = turned.resplit(file)
    assert found.X is turned.X
    assert found.ids.tolist() == turned.ids.tolist()
    assert found.splits.tolist() == splits[::-1].tolist()
    assert found.groups.tolist() == [f"g{i % 7}" for i in range(60)][::-1]
    assert found.y.tolist() == turned.y.tolist()
    assert found.notes == (
        "Splits of clean.csv: train 29, test 30; 1 pictures are left out (copy in test 1).",
        "1 pictures have another label in clean.csv: those of the data count.",
    )
    assert len(found.split("train")) == 29


def test_resplit_refuses_other_data(make_features):
    """Rows that only one of both has, and other pictures under the same ids; a hash that is not known is none."""
    features = replace(make_features(), digests=np.array([f"{i:064x}" for i in range(60)]))
    file = split_file(features, sha256=np.array(["f" * 64, *features.digests[1:]]))
    with pytest.raises(DataError, match=r"clean\.csv is not of the features: 1 pictures have changed .*: 000\. Write"):
        features.resplit(file)
    with pytest.raises(DataError, match=r"clean\.csv is not of the features: 1 of its pictures are not among the feat"):
        features.take(np.arange(59)).resplit(split_file(features))
    with pytest.raises(DataError, match=r"clean\.csv is not of the features: 1 of the features are not in it: 059\."):
        features.resplit(split_file(features.take(np.arange(59))))
    assert len(make_features().resplit(file)) == 60
