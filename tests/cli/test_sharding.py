"""``--shard`` by hand, torchrun for real, and what a process says that is one of several."""

import os
import subprocess
import sys

import pytest

from fusionfer.cache import CacheFolder, read_feature_file


def features(cache):
    """Return name -> features and marks of each file."""
    stored = [read_feature_file(path) for path in CacheFolder(cache).files()]
    return {one.path.name: (one.X.tobytes(), one.state.tobytes(), one.rows.ids.tolist()) for one in stored}


def test_shards_by_hand_and_the_merge_they_name(cli, shared_faces, shared_cache, small, tmp_path):
    """Each shard says what it is and which command joins them; that command gives the cache of one process."""
    cache = tmp_path / "cache"
    for i in range(2):
        outcome = cli("extract", shared_faces, *small, "--cache", cache, "--shard", f"{i}/2")
        assert outcome.code == 0, outcome.err
        assert f"{(32, 52)[i]} of 84 faces" in outcome.out
        assert f"-{i}-of-2" in outcome.out
        assert "Next, when all 2 shards are there: fusionfer cache merge " in outcome.out
        assert "fusionfer fit" not in outcome.out
    *_, pattern, _, folder = outcome.out.split()
    shards = sorted(tmp_path.glob(pattern.removeprefix(f"{tmp_path}/")))
    assert cli("cache", "merge", *shards, "--out", folder).code == 0
    assert features(cache) == features(shared_cache)
    outcome = cli("extract", shared_faces, *small, "--cache", cache, "--shard", "1/2")
    assert "has it already." in outcome.out
    assert f"fusionfer fit {cache}" in outcome.out


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        (
            "2/2",
            r"Shards are counted from 0: of 2 there is no number 2. Allowed are 0/N to (N-1)/N, with N at least 2.",
        ),
        ("half", r"A shard is I/N, counted from 0, such as 0/4 or 3/4; got 'half'."),
        ("0/9", r"84 faces in batches of 32 are too few for 9 shards, each of which is whole batches. Use fewer"),
    ],
)
def test_a_wrong_shard(cli, shared_faces, small, tmp_path, shard, message):
    """A shard that cannot be is one line, and nothing is written."""
    outcome = cli("extract", shared_faces, *small, "--cache", tmp_path / "cache", "--shard", shard)
    assert outcome.code == 1
    assert outcome.error.startswith(f"fusionfer: error: {message}")
    assert not (tmp_path / "cache").exists()


def test_one_shard_of_one_is_all(cli, shared_faces, small, tmp_path):
    """A script with N = 1 needs no special case: 0/1 writes the cache itself."""
    outcome = cli("extract", shared_faces, *small, "--cache", tmp_path / "cache", "--shard", "0/1")
    assert outcome.code == 0
    assert len(CacheFolder(tmp_path / "cache").files()) == 2


def test_under_srun(cli, shared_faces, small, tmp_path, monkeypatch):
    """Without a place to meet, each process of srun extracts its shard; the first shows the table and the next step."""
    options = ("extract", shared_faces, *small, "--cache", tmp_path / "cache")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    said = []
    for rank in range(2):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        said.append(cli(*options))
    assert [one.code for one in said] == [0, 0]
    assert "fusionfer cache merge" in said[0].out
    assert said[1].out == ""
    shards = sorted((tmp_path / "cache" / "shards").iterdir())
    assert [len(CacheFolder(shard).files()) for shard in shards] == [2, 2]


def test_torchrun(shared_faces, shared_cache, small, tmp_path):
    """``torchrun --nproc-per-node=2 -m fusionfer extract`` leaves the cache of one process, and one table."""
    pytest.importorskip("torch.distributed.run")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "fusionfer"]
    result = subprocess.run(
        [*command, "extract", shared_faces, *small, "--cache", tmp_path / "cache"],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert features(tmp_path / "cache") == features(shared_cache)
    assert result.stdout.count("Made of 2 shards") == 2  # one for each block
    assert result.stdout.count("Next: ") == 1
    assert sorted(path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()) == []
