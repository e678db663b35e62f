"""Shards: by content, whole batches, joined into the file of one process; real processes that meet, fail and die."""

import signal
import socket
from dataclasses import dataclass, replace

import pytest
import torch

from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import CacheError, CacheLockedError, DataError
from fusionfer.extraction import Rank, Shard, Team, extract, extract_to_cache, find_rank
from fusionfer.extraction._sharding import SHARDS, differences, join_shards
from fusionfer.maintenance import merge

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
SLURM = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}


def stored_tables(cache):
    """Return name -> all that the files of a cache hold of features, marks and rows."""
    found = {}
    for path in CacheFolder(cache).files():
        stored = read_feature_file(path)
        arrays = {name: stored.layout.map(name).tobytes() for name in ("features", "state", "crc32", "reasons")}
        tables = [getattr(stored.rows, name).tolist() for name in ("ids", "labels", "splits", "groups", "digests")]
        found[path.name] = arrays, tables, stored.key, stored.record
    return found


# What a shard is.


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_are_whole_batches_and_tile_the_rows(count):
    """Each row is in one shard, in order; shards begin at batches, and have as many of them, or one less."""
    for n in (7 * 4, 50, 101):
        slices = [Shard(i, count).slice(n, 4) for i in range(count)]
        assert [row for one in slices for row in range(n)[one]] == list(range(n))
        assert all(one.start % 4 == 0 for one in slices)
        batches = [-(-(one.stop - one.start) // 4) for one in slices]
        assert max(batches) - min(batches) <= 1


def test_too_few_batches():
    """A shard without rows would be no cache: it is refused, with what to do."""
    with pytest.raises(DataError, match=r"^8 faces in batches of 4 are too few for 3 shards.*Use fewer processes"):
        Shard(0, 3).slice(8, 4)


@pytest.mark.parametrize("text", ["", "1", "a/b", "-1/4", "1/4/2", " 0/2", "4/4", "0/1", "0/0", "0/9999999999"])
def test_a_shard_that_is_none(text):
    """What reads otherwise than I/N, or is not below N, is refused with an example or what is allowed."""
    with pytest.raises(DataError, match=r"^A shard is I/N, counted from 0|^Shards are counted from 0"):
        Shard.parse(text)


@pytest.fixture
def extract_shards(make_backbone, tmp_path):
    """Return a function that extracts faces in shards, one after the other, into tmp_path/cache."""

    def run(faces, count=3, **options):
        options = {"batch_size": 4, "device": "cpu", **options}
        return [
            extract_to_cache(
                faces, make_backbone(), ("conv", "out"), cache=tmp_path / "cache", shard=Shard(i, count), **options
            )
            for i in range(count)
        ]

    return run


def test_shards_joined_by_hand_are_the_files_of_one_process(make_faces, make_backbone, extract_shards, tmp_path):
    """`fusionfer cache merge` of all shards gives each byte that one process writes; each shard is a cache itself."""
    faces = make_faces(50)
    reports = extract_shards(faces)
    assert [report.computed for report in reports] == [16, 16, 18]
    assert [len(report.features().ids) for report in reports] == [16, 16, 18]
    assert {report.cache.parent for report in reports} == {tmp_path / "cache" / SHARDS}
    merge([report.cache for report in reversed(reports)], tmp_path / "cache")
    extract(faces, make_backbone(), ("conv", "out"), cache=tmp_path / "one", batch_size=4, device="cpu")
    assert stored_tables(tmp_path / "cache") == stored_tables(tmp_path / "one")


def test_data_name_the_folder_of_a_shard(make_faces, extract_shards):
    """Another picture, label, order or batch size is another folder, so that shards of different data never meet."""
    faces = make_faces(50)
    other = make_faces(50)
    other.source.pictures[49, 0, 0] ^= 1
    order = make_faces(50, order=[1, 0, *range(2, 50)])
    labels = faces.take(range(50))
    labels.labels[3] = "angry"
    folders = [extract_shards(one)[0].cache for one in (faces, other, order, labels)]
    folders.append(extract_shards(faces, batch_size=8)[0].cache)
    assert len(set(folders)) == 5
    assert extract_shards(make_faces(50))[0].cache == folders[0]


def test_a_block_that_is_there_is_not_computed(make_faces, make_backbone, extract_shards, tmp_path):
    """What the cache holds for just these rows is a hit for all shards; only the other level is computed."""
    faces = make_faces(50)
    extract(faces, make_backbone(), "conv", cache=tmp_path / "cache", batch_size=4, device="cpu")
    reports = extract_shards(faces, count=2)
    assert [list(report.explanations) for report in reports] == [["tiny:conv", "tiny:out"]] * 2
    assert all(report.explanations["tiny:conv"].endswith("has it already.") for report in reports)
    assert [len(CacheFolder(report.cache).files()) for report in reports] == [1, 1]
    extract(faces, make_backbone(), "out", cache=tmp_path / "cache", batch_size=4, device="cpu")
    assert [report.computed for report in extract_shards(faces, count=2)] == [0, 0]


def test_a_cache_of_other_rows_is_not_replaced(make_faces, make_backbone, extract_shards, tmp_path):
    """Where the cache has rows that one process would take over, several refuse, before they compute anything."""
    extract(make_faces(40), make_backbone(), "conv", cache=tmp_path / "cache", batch_size=4, device="cpu")
    with pytest.raises(CacheError, match=r"has tiny:conv already.*\(images: 10 new\).*in one process"):
        extract_shards(make_faces(50))
    path = CacheFolder(tmp_path / "cache").files()[0]
    path.rename(path.with_name(path.name + ".part"))
    with pytest.raises(CacheError, match=r"has tiny:conv already.*h5.part is unfinished.*in one process"):
        extract_shards(make_faces(40))
    assert not (tmp_path / "cache" / SHARDS).exists()


def test_a_damaged_or_failed_block_is_no_hit(make_faces, make_backbone, extract_shards, tmp_path):
    """A flipped bit, or rows to be tried again, send the user to one process, which mends them."""
    faces = make_faces(50, broken=[7])
    options = {"cache": tmp_path / "cache", "batch_size": 4, "device": "cpu", "on_error": "skip"}
    extract(faces, make_backbone(), ("conv", "out"), **options)
    assert [report.skipped[0][0] for report in extract_shards(faces, on_error="skip")] == ["0007.png"] * 3
    with pytest.raises(CacheError, match=r"\(1 rows have no features and are to be tried again\)"):
        extract_shards(faces)
    path = CacheFolder(tmp_path / "cache").files()[0]
    place = read_feature_file(path).layout.offsets["features"]
    with path.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(CacheError, match=r"\(it is damaged\)"):
        extract_shards(faces, on_error="skip")


def test_another_data_set_in_the_cache(make_faces, make_backbone, extract_shards, tmp_path):
    """Shards of a second data set are refused at once, not when they would be merged."""
    extract(make_faces(50), make_backbone(), "conv", cache=tmp_path / "cache", batch_size=4, device="cpu")
    with pytest.raises(CacheError, match=r"holds another data set: only 0 of the 50 ids"):
        extract_shards(replace(make_faces(50), ids=[f"new/{i}" for i in range(50)]))


def test_joining_removes_shards_and_nothing_else(make_faces, extract_shards, tmp_path):
    """After a join only the cache is left; a file that somebody put beside a shard stays."""
    reports = extract_shards(make_faces(50), count=2)
    folders, names = [report.cache for report in reports], [path.name for path in reports[0].files.values()]
    mine = folders[0] / "notes.txt"
    mine.write_text("mine")
    cache = CacheFolder(tmp_path / "cache")
    options = {"wait": 0.0, "lock": True, "progress": None}
    with CacheFolder(cache.path).lock(), pytest.raises(CacheLockedError):
        join_shards(cache, folders, names, **options)
    assert sorted(join_shards(cache, folders, names, **options)) == sorted(names)
    assert [path for path in (cache.path / SHARDS).rglob("*") if path.is_file()] == [mine]
    assert not folders[1].exists()
    with pytest.raises(CacheError, match=r"not to be seen from here: the cache must lie on a file system that all"):
        join_shards(cache, folders, names, **options)


def test_differences_are_named():
    """Each thing in which two processes differ is said, and nothing where they do not."""
    columns = {"ids": "a", "labels": "a", "splits": "a", "groups": "a"}
    kinds = {"rows": 10, "batch_size": 4, "engine": "torch", "device": "cpu"}
    one = {**kinds, **columns, "images": "00000000" * 3, "blocks": {"x": {"size": 48}}, "there": []}
    assert differences(one, dict(one)) == []
    other = {**one, "images": "00000000" + "1" * 8 + "2" * 8}
    assert differences(one, other) == ["other images in 2 of 3 batches (the first: rows 4 to 7, counted from 0)"]
    assert differences(one, {**one, "labels": "b"}) == ["other labels"]
    assert differences(one, {**one, "rows": 9, "ids": "b"}) == ["9 faces instead of 10"]
    assert differences(one, {**one, "blocks": {"x": {"size": 32}}}) == ["x.size 32 instead of 48"]
    assert differences(one, {**one, "engine": "openvino", "device": "cuda"}) == [
        "engine openvino instead of torch",
        "device cuda instead of cpu",
    ]
    assert differences(one, {**one, "there": ["x"]}) == ["a cache that has x, not nothing"]


# Which of several processes this is.


def test_ranks_by_torchrun_slurm_and_hand():
    """torchrun's variables, srun's, and --shard, which goes before both; one process of one is no rank."""
    local = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert find_rank(environ={**TORCHRUN, **local, **SLURM}) == Rank(1, 4, 1, 2, meets=True)
    assert find_rank(environ=TORCHRUN) == Rank(1, 4, meets=True)
    assert find_rank(environ=SLURM) == Rank(5, 8, 1, 4)
    assert find_rank(environ={**SLURM, "MASTER_ADDR": "n1", "MASTER_PORT": "1"}) == Rank(5, 8, 1, 4, meets=True)
    assert find_rank("2/3", environ=TORCHRUN) == Rank(2, 3, launched=False)
    for alone in ({}, {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}):
        assert find_rank(environ=alone) is None
    assert find_rank("0/1", environ=TORCHRUN) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"RANK": "first"}, r"^RANK must be a number.*'first'"), ({"RANK": "4"}, r"^Shards are counted from 0: of 4")],
)
def test_a_launcher_that_says_nonsense(wrong, message):
    """A variable that is no number, or no rank below the count, is told by name."""
    with pytest.raises(DataError, match=message):
        find_rank(environ={**TORCHRUN, **wrong})


def test_each_rank_has_its_own_device(monkeypatch):
    """cuda:LOCAL_RANK, modulo the devices that it sees; a device that was named, or a shard by hand, keeps its own."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [Rank(i, 4, i, 4).device("auto") for i in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert Rank(1, 4, 1, 4).device("cuda") == "cuda:1"
    assert [Rank(1, 4, 1, 4).device(name) for name in ("cpu", "cuda:0")] == ["cpu", "cuda:0"]
    assert Rank(1, 4, launched=False).device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert Rank(1, 4, 1, 4).device("auto") == "auto"


def test_ranks_share_the_cores(monkeypatch):
    """Cores by local ranks, at least one; SLURM's own figure; a number of threads that somebody set is kept."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert [Rank(0, 32, 0, count).threads({}) for count in (2, 5, 32)] == [8, 3, 1]
    assert Rank(0, 2, 0, 2).threads({"OMP_NUM_THREADS": "1"}) == 8
    assert Rank(0, 2, 0, 2).threads({"OMP_NUM_THREADS": "3"}) == torch.get_num_threads()
    assert Rank(0, 8, 0, 4).threads({"SLURM_CPUS_PER_TASK": "6"}) == 6
    assert Rank(0, 8, 0, 4).threads({"SLURM_CPUS_PER_TASK": "6", "LOCAL_RANK": "0"}) == 4
    assert Rank(0, 8, launched=False).threads({}) == torch.get_num_threads()


def test_a_team_gives_threads_back(monkeypatch):
    """A rank's number of threads is in force inside the team only."""
    before = torch.get_num_threads()
    monkeypatch.setattr(Rank, "threads", lambda _: before + 1)
    with Team(Rank(0, 2)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# Real processes.


@dataclass
class Ranks:
    """Two processes that are launched as by srun: nobody ends one when the other ends."""

    servers: list
    job: object

    def start(self, *, before=("", ""), data=(None, None), options=()):
        """Start both; `before` are statements for each, `data` other folders."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runs = []
        for i, server in enumerate(self.servers):
            # As if 64 ranks shared this machine: one thread each, as in the reference.
            told = {"RANK": i, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 64, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            setting = f"os.environ.update({ {name: str(value) for name, value in told.items()} })"
            arguments = [*self.job.arguments, *options]
            arguments[1] = str(data[i] or self.job.data)
            runs.append(server.start(arguments, before=f"{setting}\n{before[i]}"))
        return runs

    def codes(self, **options):
        """Start both and return their exit codes."""
        return [run.wait(120) for run in self.start(**options)]

    def said(self, i):
        """Return what a rank said."""
        return self.servers[i].said()


@pytest.fixture(scope="module")
def servers(bench, server, tmp_path_factory):
    """Two parents of processes."""
    with bench.ForkServer(tmp_path_factory.mktemp("second") / "log") as second:
        yield [server, second]


@pytest.fixture
def ranks(bench, servers, faces, tmp_path):
    """Two ranks of one extraction into a new cache."""
    if not torch.distributed.is_available() or not hasattr(signal, "SIGKILL"):
        pytest.skip("needs torch.distributed and POSIX signals")
    return Ranks(servers, bench.Job(faces, tmp_path / "cache"))


def test_two_ranks_leave_what_one_process_leaves(bench, ranks, reference):
    """The joined files equal those of one process in each byte but the time; shards are gone; a second run is a hit."""
    assert ranks.codes() == [0, 0], ranks.said(0)
    bench.check_equal(ranks.job.cache, reference)
    assert {path.suffix for path in ranks.job.cache.iterdir()} == {".h5", "", ".json"}
    assert not (ranks.job.cache / SHARDS).exists()
    assert "Made of 2 shards" in ranks.said(0)
    assert "Computed 126 faces" in ranks.said(0)
    assert ranks.said(1) == ""
    assert ranks.codes() == [0, 0]
    assert "has it already." in ranks.said(0)
    assert "Computed" not in ranks.said(0)


@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_rank_costs_its_open_batch(bench, ranks, reference, dead):
    """The other finishes and says which shard is not; the same command computes only what is left, and equals."""
    before = ["", ""]
    before[dead] = "signal_at_steps('_write', [81])"  # 4 writes of two steps in two files for a batch: in its sixth
    codes = ranks.codes(before=before)
    assert codes[dead] == -signal.SIGKILL
    assert codes[1 - dead] == 1
    assert (
        f"Another rank ended without a word; it was killed, or its machine is gone. Unfinished shards: {dead} of 2."
        in (ranks.said(1 - dead))
    )
    shards = sorted((ranks.job.cache / SHARDS).iterdir())
    assert CacheFolder(shards[1 - dead]).parts() == []
    assert len(CacheFolder(shards[1 - dead]).files()) == 2
    kept = min(bench.marks(shards[dead]).values())
    assert kept == 5 * 4
    assert ranks.codes() == [0, 0], ranks.said(0)
    assert f"Computed {(64, 62)[dead] - kept} faces" in ranks.said(0)
    bench.check_equal(ranks.job.cache, reference)


def test_ranks_with_other_pictures_are_found_before_any_work(ranks, faces, tmp_path):
    """One byte of one picture that differs on one rank ends all, with rank, host and rows; nothing is written."""
    other = tmp_path / "other"
    for path in faces.rglob("*.png"):
        (other / path.relative_to(faces)).parent.mkdir(parents=True, exist_ok=True)
        (other / path.relative_to(faces)).write_bytes(path.read_bytes())
    sorted(other.rglob("*.png"))[-1].write_bytes(sorted(other.rglob("*.png"))[0].read_bytes())
    assert ranks.codes(data=(None, other)) == [1, 1]
    error, host = ranks.said(0), socket.gethostname()
    estimate, error = error.splitlines()
    assert estimate.startswith("fusionfer: extract: about ")
    assert error.startswith(f"fusionfer: error: Not all ranks work on the same thing as rank 0 (on {host}): rank 1 ")
    assert "has other images in 1 of 32 batches" in error
    assert ranks.said(1) == ""
    assert not ranks.job.cache.exists()


def test_a_rank_that_fails_waits_for_the_others(bench, ranks, reference):
    """An error of rank 1 is told by both; rank 0 finishes its shard all the same, and the next run the other."""
    assert ranks.codes(before=("", spoiled_write())) == [1, 1]
    assert "Rank 1 of 2 failed: the disk is gone" in ranks.said(0)
    assert ranks.said(1).startswith("fusionfer: error: the disk is gone")
    shards = sorted((ranks.job.cache / SHARDS).iterdir())
    assert [len(CacheFolder(shard).files()) for shard in shards] == [2, 0]
    assert ranks.codes() == [0, 0]
    bench.check_equal(ranks.job.cache, reference)


def spoiled_write():
    """Return statements after which the third commit of a process fails."""
    return (
        "from fusionfer.cache import FeatureFile\n"
        "from fusionfer.exceptions import StoreFullError\n"
        "def commit(self, start, *rest, whole=FeatureFile.commit):\n"
        "    if start == 8:\n"
        "        raise StoreFullError('the disk is gone')\n"
        "    whole(self, start, *rest)\n"
        "FeatureFile.commit = commit\n"
    )


def test_all_ranks_with_one_error_say_it_once(ranks, tmp_path):
    """What is wrong for all is one line of rank 0."""
    assert ranks.codes(data=(tmp_path / "nothing",) * 2) == [1, 1]
    assert ranks.said(0).startswith("fusionfer: error: There is no file or folder")
    assert ranks.said(1) == ""


def test_a_rank_that_waits_hears_signals(bench, ranks, reference):
    """SIGTERM ends a rank that waits, at once and with 143; the other goes on and finishes its shard."""
    first, second = ranks.start(before=("", "signal_at_steps('_write', [81], signal.SIGSTOP)"))
    second.wait_frozen()
    shards = ranks.job.cache / SHARDS
    while not [path for path in shards.glob("*-0-of-2/*.h5") if len(list(path.parent.glob("*.h5"))) == 2]:
        assert first.wait(0.01) is None
    assert first.wait(0.3) is None
    assert first.kill(signal.SIGTERM) == 143
    assert "Stopped while waiting for the other ranks" in ranks.said(0)
    assert second.kill(signal.SIGCONT) == 1
    assert "Another rank ended without a word" in ranks.said(1)
    assert len(list(shards.glob("*/*.h5"))) == 4
    assert ranks.codes() == [0, 0]
    bench.check_equal(ranks.job.cache, reference)


def test_ranks_that_do_not_meet(monkeypatch):
    """A meeting place where nobody listens is a named error with the way without it."""
    monkeypatch.setattr("fusionfer.extraction._ranks._SECONDS_TO_MEET", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
        with (
            pytest.raises(DataError, match=r"^Rank 1 does not meet the other 1 at 127.0.0.1:.*--shard 1/2"),
            Team(Rank(1, 2, meets=True)),
        ):
            pytest.fail("met")
