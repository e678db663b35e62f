"""``fusionfer cache``: verify, repair, ls, merge, prune, as a shell sees them."""

import io
import json
import re
import shutil
import sys

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, read_feature_file


@pytest.fixture
def files(cache):
    """The two files of the copied cache: mobilenet_v2, resnet34."""
    return CacheFolder(cache).files()


def flip(path, row):
    layout = read_feature_file(path).layout
    content = bytearray(path.read_bytes())
    content[layout.offsets["features"] + row * layout.dim * 4] ^= 1
    path.write_bytes(content)


def answer(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_verify_sound(cli, cache):
    """Nothing is damaged: a table, no complaint on stderr, 0."""
    outcome = cli("cache", "verify", cache)
    assert (outcome.code, outcome.notes) == (0, "")
    assert len(re.findall(r"84 +sound$", outcome.out, re.M)) == 2
    assert "mobilenet_v2:penultimate" in outcome.out


def test_verify_names_samples(cli, cache, files):
    """Fault 6: each damaged sample is a line with a tab, each damaged file one on stderr, and the exit code is 1."""
    ids = read_feature_file(files[0]).rows.ids
    flip(files[0], 40)
    outcome = cli("cache", "verify", cache)
    assert outcome.code == 1
    lines = [line for line in outcome.out.splitlines() if "\t" in line]
    assert lines == [f"{files[0].name}\t{row}" for row in ids[32:64]]
    assert outcome.notes == f"fusionfer: {files[0]}: 32 of 84 rows: its checksum differs\n"
    found = json.loads(cli("cache", "verify", cache, "--json").out)
    assert [one["sound"] for one in found] == [False, True]
    assert found[0]["damaged"] == ids[32:64].tolist()
    assert (found[0]["path"], found[0]["named_by"]) == (str(files[0]), None)
    assert cli("cache", "verify", files[1]).code == 0


def test_verify_of_a_wreck(cli, cache, files):
    """Fault 6: where nothing can be read, the other file of the data set gives the names."""
    files[0].write_bytes(bytes(1000))
    outcome = cli("cache", "verify", cache)
    assert outcome.code == 1
    assert len([line for line in outcome.out.splitlines() if "\t" in line]) == 84
    assert f"All samples are damaged; their names are from {files[1].name}." in outcome.err


def test_verify_usage(cli, tmp_path):
    """No path is wrong usage, a wrong path a named error."""
    assert cli("cache", "verify").code == 2
    outcome = cli("cache", "verify", tmp_path / "nowhere")
    assert (outcome.code, outcome.error) == (
        1,
        f"fusionfer: error: {tmp_path / 'nowhere'} does not exist. Give a cache file, or a folder of caches.",
    )


def test_repair_restores_every_byte(cli, cache, files, faces):
    """Fault 6: damaged rows only are extracted again, of networks rebuilt from the record; verify is content again."""
    whole = {path: np.array(read_feature_file(path).X) for path in files}
    flip(files[0], 40)
    files[1].write_bytes(files[1].read_bytes()[:-5000])
    outcome = cli("cache", "repair", cache, faces, "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"{files[0].name} +32 +1 of 1 blocks", outcome.out)
    assert re.search(rf"{files[1].name} +20 +1 of 1 blocks", outcome.out)
    assert cli("cache", "verify", cache).code == 0
    assert all(np.array_equal(read_feature_file(path).X, X) for path, X in whole.items())
    assert cli("cache", "repair", cache, faces).out == "Nothing to repair: no complete cache is damaged.\n"


def test_repair_of_a_wreck(cli, cache, files, faces):
    """Fault 6: a file of zeros is made anew: its name proves what it was, the other file says how it was made."""
    whole = np.array(read_feature_file(files[0]).X)
    files[0].write_bytes(bytes(files[0].stat().st_size))
    outcome = cli("cache", "repair", cache, faces, "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(rf"{files[0].name} +84 +nothing was readable", outcome.out)
    assert np.array_equal(read_feature_file(files[0]).X, whole)


def test_repair_refuses_other_weights(cli, cache, files, faces, tmp_path):
    """Fault 11: other weights are refused by their hash, and a missing file by its name; nothing is changed."""
    import torch

    from fusionfer.networks import build_module

    torch.save(build_module("mobilenet_v2", seed=7).state_dict(), tmp_path / "other.pth")
    flip(files[0], 40)
    before = files[0].read_bytes()
    outcome = cli("cache", "repair", cache, faces, "-q", "--weights", f"mobilenet_v2={tmp_path / 'other.pth'}")
    assert outcome.code == 1
    assert re.search(r"mobilenet_v2:penultimate cannot be computed here as it was \(weights_sha256: ", outcome.error)
    outcome = cli("cache", "repair", cache, faces, "-q", "--weights", f"mobilenet_v2={tmp_path / 'none.pth'}")
    assert (outcome.code, "Cannot read the weights" in outcome.error) == (1, True)
    assert cli("cache", "repair", cache, faces, "--weights", "some.pth").code == 2
    assert files[0].read_bytes() == before


def test_repair_without_the_pictures(cli, cache, files, faces):
    """Samples that are gone from the data are named."""
    row = str(read_feature_file(files[0]).rows.ids[40])
    flip(files[0], 40)
    (faces / row).unlink()
    outcome = cli("cache", "repair", cache, faces, "-q")
    assert outcome.code == 1
    assert f"1 are not in it (first: {row})" in outcome.error


def test_ls(cli, cache, files):
    """What is there, how large, how complete, by which weights; of one cache, and of all below a folder."""
    size = sum(path.stat().st_size for path in files)
    (cache / "x.h5.part.new").write_bytes(b"half")
    (cache / "wreck.h5").write_bytes(b"")
    outcome = cli("cache", "ls", cache.parent)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{cache}: {(size + 4) / 1e6:.1f} MB\n")
    assert re.search(
        r"resnet34:penultimate +512 +84 +0\.\d +complete +none \(sha256 [0-9a-f]{8}, seed 0\)", outcome.out
    )
    assert re.search(r"x\.h5\.part\.new +0\.0 +left by a kill", outcome.out)
    assert re.search(r"wreck\.h5 +0\.0 +unreadable", outcome.out)
    (listing,) = json.loads(cli("cache", "ls", cache, "--json").out)
    assert (listing["folder"], listing["bytes"]) == (str(cache), size + 4)
    assert [one["kind"] for one in listing["files"]] == ["complete", "complete", "unreadable", "draft"]
    assert listing["files"][1]["weights"]["seed"] == 0


def test_ls_of_an_unfinished_cache(cli, cache, files, faces):
    """How far an extraction is stands in percent."""
    stored = read_feature_file(files[0])
    content = bytearray(files[0].read_bytes())
    content[stored.layout.offsets["state"] : stored.layout.offsets["state"] + 32] = bytes(32)
    files[0].with_name(files[0].name + ".part").write_bytes(content)
    files[0].unlink()
    assert re.search(
        r"\.part +mobilenet_v2:penultimate +1280 +84 +0\.\d +61 %, 32 rows to come", cli("cache", "ls", cache).out
    )


def test_ls_finds_nothing(cli, tmp_path, monkeypatch):
    """Without a path it looks at features_cache here, and says how to make one."""
    monkeypatch.chdir(tmp_path)
    outcome = cli("cache", "ls")
    assert outcome.code == 1
    assert "features_cache holds no cache, nor does any folder in it" in outcome.error


def test_merge(cli, faces, tmp_path, small):
    """Two shards by the command line are one cache, equal to that of one process; a second time they are there."""
    names = sorted(path.relative_to(faces) for path in faces.rglob("*.png"))
    options = [*small, "--batch-size", 4]
    for shard, some in enumerate((names[:8], names[8:14], names[:14])):
        for name in some:
            copy = tmp_path / "data" / str(shard) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(faces / name, copy)
        assert cli("extract", tmp_path / "data" / str(shard), "--cache", tmp_path / str(shard), *options).code == 0
    outcome = cli("cache", "merge", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "all", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("made of 2 shards") == 2
    for path in CacheFolder(tmp_path / "all").files():
        one, other = read_feature_file(path), read_feature_file(tmp_path / "2" / path.name)
        assert one.rows.same_as(other.rows)
        assert np.array_equal(one.X, other.X)
        assert np.array_equal(one.layout.map("crc32"), other.layout.map("crc32"))
    again = cli("cache", "merge", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "all", "-q")
    assert again.out.count("was there already") == 2
    swapped = cli("cache", "merge", tmp_path / "1", tmp_path / "0", "--out", tmp_path / "other", "-q")
    assert swapped.code == 1
    assert "has 6 rows, which is no multiple of its batches of 4" in swapped.error


@pytest.mark.parametrize(
    ("options", "text", "removed", "said"),
    [
        (["--yes"], "", True, "Removed 1 files."),
        ([], "y\n", True, "Removed 1 files."),
        ([], "n\n", False, "Nothing removed."),
        (["--dry-run"], "", False, "Would remove 1 files."),
        (["--dry-run", "--yes"], "", False, "Would remove 1 files."),
    ],
)
def test_prune_asks(cli, cache, monkeypatch, options, text, removed, said):
    """Only a yes removes; what would go is shown before, with the reason."""
    draft = cache / "x.h5.part.new"
    draft.write_bytes(b"half")
    answer(monkeypatch, text)
    outcome = cli("cache", "prune", cache, *options)
    assert outcome.code == 0
    assert draft.exists() is not removed
    assert re.search(r"x\.h5\.part\.new +0\.0 +a kill left it", outcome.out)
    assert outcome.out.rstrip().endswith(said)
    assert len(CacheFolder(cache).files()) == 2


def test_prune_names_shards(cli, cache):
    """What lies among the shards is named by its place in the cache; the folder goes with what was in it."""
    shard = cache / "shards" / "0123abcd-0-of-2"
    shard.mkdir(parents=True)
    (shard / "x.h5.part.new").write_bytes(b"half")
    outcome = cli("cache", "prune", cache, "--yes")
    assert re.search(r"shards/0123abcd-0-of-2/x\.h5\.part\.new +0\.0 +a kill left it", outcome.out)
    assert outcome.out.endswith("Removed 1 files.\n")
    assert not (cache / "shards").exists()


def test_prune_where_nobody_answers(cli, cache, monkeypatch):
    """Without a terminal and without --yes nothing is removed, and the option is named."""
    (cache / "x.h5.part.new").write_bytes(b"half")
    answer(monkeypatch, "")
    outcome = cli("cache", "prune", cache)
    assert outcome.code == 2
    assert "Nothing was removed, as nobody answered. Give --yes." in outcome.err
    assert (cache / "x.h5.part.new").exists()


def test_prune_of_a_tidy_cache(cli, cache):
    """There is nothing to ask."""
    outcome = cli("cache", "prune", cache)
    assert (outcome.code, outcome.out) == (0, "Nothing removed.\n")


@pytest.mark.parametrize(
    "arguments",
    [["extract", "FACES", "--cache", "CACHE"], ["cache", "repair", "CACHE", "FACES"], ["cache", "prune", "CACHE"]],
)
def test_no_locks_must_be_agreed_to(cli, cache, faces, monkeypatch, small, arguments):
    """Fault 5: where the file system has no locks each writing verb says so, and goes on with --no-lock."""
    import errno

    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    arguments = [{"FACES": faces, "CACHE": cache}.get(word, word) for word in arguments]
    arguments += small if arguments[0] == "extract" else []
    outcome = cli(*arguments)
    assert outcome.code == 1
    assert "this file system has no locks" in outcome.error
    assert "--no-lock" in outcome.error
    assert cli(*arguments, "--no-lock").code == 0
