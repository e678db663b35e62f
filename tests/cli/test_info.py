"""``fusionfer info``: what a file holds, how complete, whether intact; exit 1 where it is not."""

import json
import re

import pytest

from fusionfer.cache import CacheFolder


def test_a_folder(cli, shared_cache):
    """One line a file: columns, rows, size, state, weights."""
    outcome = cli("info", shared_cache)
    assert (outcome.code, outcome.notes) == (0, "")
    assert outcome.err.startswith("fusionfer: info: about ")
    assert re.search(r"^ resnet34\.penultimate\.\w{8}\.h5 +512 +84 +\d\.\d +intact +none \(sha256 ", outcome.out, re.M)
    assert re.search(r"^ mobilenet_v2\.penultimate\.\w{8}\.h5 +1280 +84 ", outcome.out, re.M)


def test_a_cache_file(cli, shared_cache):
    """Rows, labels, splits, weights and every field of the key."""
    outcome = cli("info", CacheFolder(shared_cache).files()[1])
    assert outcome.code == 0
    for text in ("resnet34:penultimate, 512 columns", "84 done, 0 failed, 0 absent, of 84", "happy 12",
                 "test 28, train 56", "seed 0", "key weights_sha256", "key decoder"):  # fmt: skip
        assert text in outcome.out


def test_a_model(cli, shared_model):
    """What it was trained on, what was selected and why, which blocks and weights."""
    outcome = cli("info", shared_model)
    assert outcome.code == 0
    for text in ("56 rows of train", "Kept ", "angry, disgust, fear, happy, neutral, sad, surprise", "weights none"):
        assert text in outcome.out


@pytest.mark.parametrize("what", ["shared_cache", "shared_model"])
def test_json(cli, request, what):
    """--json prints one object."""
    path = request.getfixturevalue(what)
    outcome = cli("info", path, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["path"] == str(path)


def test_a_damaged_cache_is_exit_1(cli, make_cache):
    """A changed number is found, the rows are named, and scripts see it by the exit code."""
    h5py = pytest.importorskip("h5py")
    folder = make_cache()
    path = next(folder.glob("left*.h5"))
    with h5py.File(path, "r+") as file:
        file["features"][3, 1] += 1
    outcome = cli("info", path)
    assert outcome.code == 1
    assert re.search(r"^ intact +no: 60 rows damaged$", outcome.out, re.M)
    assert re.search(r"^ 0-59 +its checksum differs$", outcome.out, re.M)
    assert cli("info", folder).code == 1


def test_a_folder_with_an_unreadable_file(cli, make_cache):
    """The other files are described all the same; the reason stands below."""
    folder = make_cache()
    path = next(folder.glob("left*.h5"))
    path.write_bytes(path.read_bytes()[:3000])
    outcome = cli("info", folder)
    assert outcome.code == 1
    assert re.search(r"^ left\S+ +\? +\? +0\.0 +unreadable +\?$", outcome.out, re.M)
    assert re.search(r"^ right\S+ +3 +60 +0\.0 +intact ", outcome.out, re.M)
    assert re.search(r"^ left\S+ +\S+ is damaged: .*truncated", outcome.out, re.M)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (None, r"x does not exist\. Give a cache file, a folder of caches, a model, a checkpoint, or an export"),
        (b"", r"x is no feature cache: not HDF5, it is empty"),
        (b"%PDF", r"x is no feature cache: not HDF5, it begins with b'%PDF'"),
        (b"PK\x03\x04 and no more", r"x is no fusionfer model, or is damaged"),
    ],
)
def test_something_else(cli, tmp_path, content, pattern):
    """One line that says what it is not."""
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    outcome = cli("info", tmp_path / "x")
    assert outcome.code == 1
    assert re.search(pattern, outcome.error), outcome.error


def test_an_empty_folder(cli, tmp_path):
    """The command that fills it is named."""
    outcome = cli("info", tmp_path)
    assert outcome.code == 1
    assert re.search(r"holds no cache\. `fusionfer extract DATA --cache \S+` makes one\.", outcome.error)
