"""``fit`` on a cluster, by function and by command: what one machine chooses, from a shared cache or from shards."""

import hashlib
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.cache import SHARDS, CacheFolder, RowTable
from fusionfer.cluster import ClusterMatrix, _team, connect
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fitting import fit, folds_side_by_side, read_on_cluster
from fusionfer.heads.boosting import sliced_size
from fusionfer.memory import memory_limit
from fusionfer.persistence import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two caches of 240 rows: both blocks know something of three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    ids = [f"{i:03d}.png" for i in range(240)]
    X = rng.normal(size=(240, 30)).astype(np.float32)
    X[:, :3] += 1.2 * np.eye(3, dtype=np.float32)[y]
    X[:, 12:15] += 1.2 * np.eye(3, dtype=np.float32)[y]
    splits = np.array(["train", "test"])[(np.arange(240) % 4 == 3).astype(int)]
    blocks = {"left": slice(0, 12), "right": slice(12, 30)}
    path = tmp_path_factory.mktemp("cluster") / "cache"
    Features.from_arrays(ids, X, np.array(["angry", "happy", "sad"])[y], blocks, splits).to_hdf5(path)
    return path


def _agree(mine, theirs, features):
    assert mine.selector.selected_ == theirs.selector.selected_
    for name, scores in theirs.selector.scores_.items():
        assert_allclose(mine.selector.scores_[name], scores, atol=0.021)  # one row of a fold of 60
    X = features.split("test").only(*theirs.model.blocks).X
    assert np.mean(mine.model.predict(X) == theirs.model.predict(X)) >= 0.98
    assert_allclose(mine.model.predict_proba(X), theirs.model.predict_proba(X), atol=0.02)


@pytest.mark.parametrize(
    ("head", "params"), [("softmax", {}), ("xgb-wn", {"n_rounds": 4, "early_stopping_rounds": None})]
)
def test_a_selection_on_two_workers(folder, team, head, params):
    """Scores, choice and model are those of one machine, though this process reads no row for it."""
    read = Features.read(folder)
    theirs = fit(read, head, cv=3, params=params)
    features = read_on_cluster(folder, team)
    assert isinstance(features.X, ClusterMatrix)
    mine = fit(features, head, cv=3, params=params)
    _agree(mine, theirs, read)
    X = features.only(*mine.model.blocks).X  # scored on the workers, too
    assert_array_equal(mine.model.predict(X), mine.model.predict(np.asarray(read.only(*mine.model.blocks).X)))


def _shard(whole, cuts, *caches):
    """Write the rows between some cuts as shards, each into the cache given for it."""
    for i, cache in enumerate(caches):
        folder = CacheFolder(cache / SHARDS / f"0123abcd-{i}-of-{len(caches)}")
        part = whole.take(np.arange(cuts[i], cuts[i + 1]))
        digests = np.array([hashlib.sha256(one.encode()).hexdigest() for one in part.ids.tolist()])
        table = RowTable(part.ids, part.y, part.splits, part.groups, digests)
        with folder.lock():
            for name, columns in whole.blocks.items():
                dim = columns.stop - columns.start
                weights = {"weights": {"name": "of a test"}}
                with folder.prepare(
                    name, "logits", dim, key={}, record=weights, rows=table, block_rows=len(part)
                ) as job:
                    job.commit(0, np.ascontiguousarray(part.X[:, columns]), np.ones(len(part), dtype=bool), {})
                    job.finish()


def test_shards_that_only_workers_see(folder, team, elsewhere, tmp_path):
    """Where this process has no such folder, the workers are asked; blocks are chosen and named as of joined caches."""
    whole = Features.read(folder)
    _shard(whole, (0, 100, 240), tmp_path / "one", tmp_path / "two")
    there = elsewhere(tmp_path / "one", tmp_path / "two")
    assert not (there / SHARDS).exists()
    features = read_on_cluster(there, team, {"mine": "right:logits"})
    assert features.blocks == {"mine": slice(0, 18)}
    assert features.weights("mine") == {"name": "of a test"}
    assert_array_equal(np.asarray(features.X), whole.X[:, 12:])
    mine = fit(features, "ecoc", cv=2, search=None)
    theirs = fit(replace(whole.only("right"), blocks={"mine": slice(0, 18)}, provenance={}), "ecoc", cv=2, search=None)
    _agree(mine, theirs, features.split("train+test"))
    assert list(read_on_cluster(there, team, ["right:logits", "left:logits"]).blocks) == ["right:logits", "left:logits"]
    with pytest.raises(DataError, match=r"named backbone:level, got 'left:logits@x'\. Leave @x out"):
        read_on_cluster(there, team, ["left:logits@x"])


def test_shards_that_were_never_joined(folder, team, tmp_path):
    """Each shard is a cache of some rows; together they are fitted as the whole, and a note says so."""
    whole = Features.read(folder)
    shards = tmp_path / "sharded" / SHARDS
    _shard(whole, (0, 100, 240), tmp_path / "sharded", tmp_path / "sharded")
    features = read_on_cluster(tmp_path / "sharded", team)
    assert features.notes == ("The rows are read from 2 shards that were not joined.",)
    assert_array_equal(np.asarray(features.X), whole.X)
    assert features.weights("left:logits") == {"name": "of a test"}
    renamed = replace(
        whole, blocks={f"{name}:logits": columns for name, columns in whole.blocks.items()}, provenance={}
    )
    _agree(fit(features, "softmax", cv=3), fit(renamed, "softmax", cv=3), renamed)
    shutil.rmtree(shards / "0123abcd-1-of-2")
    with pytest.raises(OSError, match="of shard 1 of 2 is to be seen neither here nor by any of the 2 workers"):
        read_on_cluster(tmp_path / "sharded", team)


def test_the_command(folder, team, cli, tmp_path):
    """``fit --dask ADDRESS`` says who works and where to look on, and saves what ``fit`` saves."""
    alone = cli("fit", folder, "--head", "softmax", "--folds", 3, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.err
    together = cli(
        "fit", folder, "--head", "softmax", "--folds", 3, "--out", tmp_path / "together", "--dask", team.address
    )
    assert together.code == 0, together.err
    told = r"^fusionfer: 2 workers with 2 threads at tcp://127\.0\.0\.1:\d+; dashboard: http://127\.0\.0\.1:\d+/status$"
    assert re.search(told, together.err, re.M), together.err
    coef = [load_model(tmp_path / name).estimator[-1].coef_ for name in ("alone", "together")]
    assert_allclose(coef[1], coef[0], atol=0.02)
    assert together.out.replace("together", "alone") == alone.out


def test_no_scheduler(folder, cli, tmp_path):
    """An address where nobody answers is one line, and nothing is written."""
    outcome = cli("fit", folder, "--out", tmp_path / "model", "--dask", "tcp://127.0.0.1:9")
    assert outcome.code == 1
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in outcome.error
    assert not (tmp_path / "model").exists()


def test_folds_have_room_or_not(team, monkeypatch):
    """As many fits side by side as every worker has threads, and memory for."""
    distributed = pytest.importorskip("distributed")
    assert folds_side_by_side(team, 1000, 30, 3) == 1
    needed = sliced_size(500, 30, 3).in_memory
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=3, processes=False, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        with connect(client) as three:
            assert folds_side_by_side(three, 1000, 30, 3) == 3
        with memory_limit(4 * needed + 1), connect(client) as three:
            assert folds_side_by_side(three, 1000, 30, 3) == 2
            assert three.share_of_memory(three.workers[0].address) == (4 * needed + 1) // 2
        # Where nobody said how much, the two share what their machine has.
        monkeypatch.setattr(_team, "planned_bytes", lambda: 2 * (4 * needed + 1))
        with connect(client) as three:
            assert three.share_of_memory(three.workers[0].address) is None
            assert folds_side_by_side(three, 1000, 30, 3) == 2
            assert three.share_of_memory(three.workers[0].address) == (4 * needed + 1) // 2
