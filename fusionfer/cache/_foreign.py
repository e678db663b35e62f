"""A child process that meets HDF5 files of unknown form in our place; if it crashes or hangs, that is an error here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from fusionfer.cache._structure import ARRAYS, ATTRIBUTES, MEMBERS, Array, Structure
from fusionfer.exceptions import CacheError, CacheFormatError

__all__ = ["CPU_SECONDS", "MEMORY_BYTES", "WALL_SECONDS", "ask_child"]

CPU_SECONDS = 10  # opening the largest cache takes a tenth of a second
WALL_SECONDS = 60.0  # a busy machine, or a sleeping network disk
MEMORY_BYTES = 1 << 30  # of addresses; Python, NumPy and HDF5 themselves take a third of it

_PROGRAM = Path(__file__).with_name("_child.py")
_ANSWER_BYTES = 1 << 20
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # each takes addresses, and none is needed


def ask_child(path: Path, advice: str) -> Structure:
    """Let a child process say what the HDF5 file at `path` holds.

    It may use `CPU_SECONDS`, `MEMORY_BYTES` and `WALL_SECONDS`, writes no file, and knows no plug-ins of HDF5. What it
    says is to be checked as if the file itself had said it.

    Parameters
    ----------
    path : Path
        The file.
    advice : str
        What the user may do, at the end of an error.

    Raises
    ------
    CacheFormatError
        If HDF5 refuses the file, or the child dies or takes too long.
    CacheError
        If no child can be started.
    """
    status = path.stat()
    try:
        answer = _ask(str(path.absolute()), status.st_ino, status.st_size, status.st_mtime_ns)
    except _DiedError as error:
        msg = f"{path} is damaged or made to harm: HDF5, reading it in a process of its own, {error}. {advice}"
        raise CacheFormatError(msg) from error
    if "unavailable" in answer:
        msg = f"{path} was not written by fusionfer, and the process that should look at it cannot import h5py"
        raise CacheError(f"{msg}: {answer['unavailable']!r}.")
    if "damaged" in answer:
        msg = f"{path} is damaged: HDF5 says {answer['damaged']!r}. {advice}"
        raise CacheFormatError(msg)
    try:
        return _structure(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} is damaged or made to harm: the process that looked at it gave no sense. {advice}"
        raise CacheFormatError(msg) from error


class _DiedError(Exception):
    """What became of the child."""


@lru_cache(maxsize=128)
def _ask(path: str, *_identity: int) -> dict[str, Any]:
    """Return the child's answer, the same for the same file: a command opens each file of a folder a few times."""
    order = {
        "path": path,
        "import_from": [entry for entry in sys.path if Path(entry).is_absolute()],
        "attributes": ATTRIBUTES,
        "arrays": ARRAYS,
        "members": MEMBERS,
        "limits": {
            "RLIMIT_CPU": (CPU_SECONDS, CPU_SECONDS + 1),  # at the second, the kernel does not even say why
            "RLIMIT_AS": (MEMORY_BYTES, MEMORY_BYTES),
            "RLIMIT_FSIZE": (_ANSWER_BYTES, _ANSWER_BYTES),
            "RLIMIT_CORE": (0, 0),
        },
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HDF5_", "PYTHON"))}
    environment |= {"HDF5_PLUGIN_PRELOAD": "::", **dict.fromkeys(_THREADS, "1")}  # "::" forbids all plug-ins
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.run(
                [str(sys.executable), "-I", str(_PROGRAM)],
                input=json.dumps(order).encode(),
                stdout=said,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=WALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"did not end within {WALL_SECONDS:g} seconds"
            raise _DiedError(msg) from error
        except OSError as error:
            msg = f"{path} was not written by fusionfer, and the process that should look at it cannot be started: "
            raise CacheError(f"{msg}{error.strerror or error}.") from error
        said.seek(0)
        text = said.read(_ANSWER_BYTES)
    if child.returncode:
        raise _DiedError(_cause_of_death(child.returncode))
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _cause_of_death(code: int) -> str:
    if code == -getattr(signal, "SIGXCPU", 0):
        return f"used up its {CPU_SECONDS} seconds"
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return "failed, or asked for too much memory"


def _structure(answer: dict[str, Any]) -> Structure:
    """Turn an answer into what `_structure.read_own` returns."""
    attributes: dict[str, bytes | int | None] = {}
    for name, found in answer["attributes"].items():
        if "text" in found:
            attributes[name] = found["text"].encode("latin-1")
        else:
            attributes[name] = int(found["number"]) if "number" in found else None
    return Structure(attributes, {n: _array(a) for n, a in answer["arrays"].items()}, *_crowd(answer))


def _array(found: dict[str, Any]) -> Array:
    offset = found["offset"]
    shape = tuple(int(length) for length in found["shape"])
    return Array(shape, str(found["dtype"]), None if offset is None else int(offset), bool(found["plain"]))


def _crowd(answer: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    return tuple(str(name) for name in answer["links"]), int(answer["members"])
