"""Files of unknown form are met by a child process, whose death is an error of ours; HDF5 reads nothing in this one."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from fusionfer.cache import CacheFolder, _child, _foreign, read_feature_file
from fusionfer.cache._foreign import ask_child
from fusionfer.cache._structure import read_own
from fusionfer.exceptions import CacheError, CacheFormatError

GOLDEN = Path(__file__).with_name("golden-v1.h5")

#: A child that obeys its order as far as limits go.
START = f"""
import json, os, sys, time
order = json.load(sys.stdin)
sys.path.insert(0, {str(Path(_child.__file__).parent)!r})
from _child import _limit
_limit(order["limits"])
"""


@pytest.fixture
def foreign(tmp_path):
    """A sound cache whose form is not ours: the newer kind of groups and headers, by h5py alone."""
    path = tmp_path / "foreign.h5"
    with h5py.File(GOLDEN) as old, h5py.File(path, "w", libver="latest") as new:
        for name, value in old.attrs.items():
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)
        for name in sorted(old, key=lambda name: name == "features"):
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_layout(h5py.h5d.CONTIGUOUS)
            how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            source = old[name].id
            if name == "features":
                break
            h5py.h5d.create(new.id, name.encode(), source.get_type(), source.get_space(), how)
            new[name][...] = old[name][...]
    with h5py.File(path, "r+", alignment_threshold=1, alignment_interval=4096) as new, h5py.File(GOLDEN) as old:
        source = old["features"].id
        h5py.h5d.create(new.id, b"features", source.get_type(), source.get_space(), how)
        new["features"][...] = old["features"][...]
    return path


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Return a function that puts another program in the place of the child's."""

    def put(code):
        path = tmp_path / "program.py"
        path.write_text(START + code)
        monkeypatch.setattr(_foreign, "_PROGRAM", path)
        _foreign._ask.cache_clear()

    yield put
    _foreign._ask.cache_clear()


@pytest.fixture
def no_hdf5_here(monkeypatch):
    """Let every attempt of this process to open a file by HDF5 fail the test."""

    def refuse(*_args, **_kwargs):
        pytest.fail("HDF5 met a file in this process")

    monkeypatch.setattr(h5py, "File", refuse)
    monkeypatch.setattr(h5py.h5f, "open", refuse)


def test_a_sound_file_of_another_form_is_read(foreign, no_hdf5_here):
    """Whoever follows the page of the format may write it with any version of HDF5; only opening takes longer."""
    ours, theirs = read_feature_file(GOLDEN), read_feature_file(foreign)
    assert np.array_equal(ours.X, theirs.X)
    assert theirs.rows.same_as(ours.rows)
    assert (theirs.key, theirs.record, theirs.reasons) == (ours.key, ours.record, ours.reasons)
    assert theirs.verify() == []


def test_the_child_says_what_our_reader_says():
    """The two readers agree about a file of our form."""
    with GOLDEN.open("rb") as stream:
        ours = read_own(stream, GOLDEN.stat().st_size)
    theirs = ask_child(GOLDEN, "")
    assert (theirs.attributes, theirs.arrays) == (ours.attributes, ours.arrays)
    assert (theirs.links, theirs.members) == (ours.links, ours.members)


def test_our_files_need_no_child(cache, toolkit, monkeypatch, request):
    """Neither HDF5 nor a process is started for a file that fusionfer wrote: opening it costs what reading it costs."""
    path = toolkit.extract(cache, toolkit.rows(["a.png", "b.png"])).path
    request.getfixturevalue("no_hdf5_here")
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: pytest.fail("a child was started"))
    assert read_feature_file(path).complete
    assert list(CacheFolder(cache.path).blocks()) == ["resnet34:logits"]


def test_reading_does_not_even_load_hdf5():
    """A process that opens, reads and verifies caches never imports h5py."""
    code = (
        "import sys; from fusionfer.cache import describe, read_feature_file as read; "
        f"path = {str(GOLDEN)!r}; assert read(path).verify() == []; describe(path); print('h5py' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_a_file_is_shown_once(foreign, monkeypatch):
    """A command opens each file of a folder a few times; the child is asked anew when the file has changed."""
    calls = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (calls.append(a), run(*a, **k))[1])
    for _ in range(3):
        read_feature_file(foreign)
    assert len(calls) == 1
    with h5py.File(foreign, "r+") as file:
        file.attrs["level"] = np.bytes_("changed")
    with pytest.raises(CacheFormatError, match="not those of its key"):
        read_feature_file(foreign)
    assert len(calls) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither signals nor limits")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.abort()", r"was ended by signal 6 \(Aborted\)"),
        ("import ctypes; ctypes.string_at(0)", r"was ended by signal 11"),
        ("sys.exit(3)", "failed, or asked for too much memory"),
        ("x = bytearray(4 << 30)", "failed, or asked for too much memory"),
        ("print('[1, 2]')", "gave no sense"),
        ("print('{}')", "gave no sense"),
        ('print(\'{"attributes": 5, "arrays": {}}\')', "gave no sense"),
        ("print('[' * 100000)", "gave no sense"),
        ("sys.stdout.write('x' * (8 << 20))", "was ended by signal 25|failed"),
        ("open('stolen', 'wb').write(b'x' * (8 << 20))", "was ended by signal 25|failed"),
    ],
)
def test_its_death_is_our_error(foreign, program, code, said, tmp_path, monkeypatch):
    """A crash, a request for 4 GB, a flood of output, a large file on the disk, an answer without sense."""
    monkeypatch.chdir(tmp_path)
    program(code)
    with pytest.raises(CacheFormatError, match=f"is damaged or made to harm: .*{said}.* Restore the file") as caught:
        read_feature_file(foreign)
    assert str(foreign) in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither signals nor limits")
def test_its_loop_is_our_error(foreign, program, monkeypatch):
    """Time of the processor and of the clock are both limited."""
    monkeypatch.setattr(_foreign, "CPU_SECONDS", 1)
    program("while True: pass")
    with pytest.raises(CacheFormatError, match=r"used up its 1 seconds"):
        read_feature_file(foreign)
    monkeypatch.setattr(_foreign, "WALL_SECONDS", 0.5)
    program("time.sleep(60)")
    with pytest.raises(CacheFormatError, match=r"did not end within 0.5 seconds"):
        read_feature_file(foreign)


def test_it_knows_no_plug_ins(foreign, program, monkeypatch):
    """HDF5 is told to load no plug-ins, whatever the user's environment says, nor another driver (fault 20)."""
    for name in ("HDF5_PLUGIN_PATH", "HDF5_DRIVER", "HDF5_VOL_CONNECTOR", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "/evil")
    program("""
found = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(("HDF5", "PYTHON"))]
print(json.dumps({"damaged": " ".join(found)}))
""")
    with pytest.raises(CacheFormatError, match="HDF5 says 'HDF5_PLUGIN_PRELOAD=::'"):
        read_feature_file(foreign)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_real_plug_in_is_not_loaded(tmp_path, monkeypatch):
    """A filter plug-in that leaves a trace when it is loaded leaves none; h5py by itself does load it (fault 20)."""
    source, trace = tmp_path / "evil.c", tmp_path / "loaded"
    source.write_text(f'''
        #include <fcntl.h>
        __attribute__((constructor)) static void run(void) {{ open("{trace}", O_CREAT | O_WRONLY, 0644); }}
        int H5PLget_plugin_type(void) {{ return 0; }}
        const void *H5PLget_plugin_info(void) {{ return 0; }}
    ''')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libevil.so", source], check=True)
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    path = tmp_path / "x.h5"
    path.write_bytes(GOLDEN.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["state"]
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((5,))
        how.set_filter(32123, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple((5,))
        made = h5py.h5d.create(file.id, b"state", h5py.h5t.STD_U8LE, space, how)
        made.write_direct_chunk((0,), bytes(5), 0)  # which says that the filter was applied
    trace.unlink(missing_ok=True)
    with pytest.raises(CacheFormatError, match="/state is chunked, filtered"):
        read_feature_file(path)
    assert not trace.exists()
    subprocess.run([sys.executable, "-c", f"import h5py; h5py.File({str(path)!r})['state'][...]"], check=False)
    assert trace.exists()


def test_no_child_to_be_had(foreign, monkeypatch):
    """Where no process can be started, or it cannot import h5py, that is said, and no file is blamed."""
    _foreign._ask.cache_clear()
    monkeypatch.setattr(sys, "executable", str(foreign.with_name("no python")))
    with pytest.raises(CacheError, match="cannot be started: No such file") as caught:
        read_feature_file(foreign)
    assert not isinstance(caught.value, CacheFormatError)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", ["/nowhere"])
    with pytest.raises(CacheError, match="cannot import h5py") as caught:
        read_feature_file(foreign)
    assert not isinstance(caught.value, CacheFormatError)
