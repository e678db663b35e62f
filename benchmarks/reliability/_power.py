"""Record what a job asks the disk to do, and lay out what a power failure may leave of it.

The model is that of ALICE: what was not synchronised by then may be there or not, each call by itself, whatever the
order. A synchronised file keeps its content, but its name only once the folder was synchronised too; a rename is whole
or not at all. Of two writes to one place the earlier may come last, which leaves the same bytes as losing the later.

References
----------
T. S. Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of Crafting Crash-Consistent
Applications", OSDI 2014, section 3.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import h5py

__all__ = ["Call", "Recording", "record"]

CREATE, WRITE, RESIZE, RENAME, REMOVE, SYNC_FILE, SYNC_FOLDER = range(7)
_OF_CONTENT, _OF_NAMES = (WRITE, RESIZE), (CREATE, RENAME, REMOVE)


class Call(NamedTuple):
    """One call: what it does, to which file (by a number), under which name, where, with what."""

    what: int
    file: int = -1
    name: str = ""
    place: int = 0
    data: bytes = b""


@dataclass
class Recording:
    """What lay in a folder before, and all calls that changed it since.

    Attributes
    ----------
    before : dict of str to bytes
        Name -> content, all of it on the disk.
    calls : list of Call
        In the order in which they were made.
    """

    before: dict[str, bytes]
    calls: list[Call] = field(default_factory=list)

    def pending(self, made: int) -> list[int]:
        """Return which of the first `made` calls the disk need not have carried out yet."""
        found: list[int] = []
        for number, call in enumerate(self.calls[:made]):
            if call.what == SYNC_FILE:
                found = [n for n in found if self.calls[n].what not in _OF_CONTENT or self.calls[n].file != call.file]
            elif call.what == SYNC_FOLDER:
                found = [n for n in found if self.calls[n].what not in _OF_NAMES]
            else:
                found.append(number)
        return found

    def left(self, made: int, lost: Set[int] = frozenset(), torn: int = -1) -> dict[str, bytes]:
        """Return name -> content after the first `made` calls without those in `lost`; of `torn` only half is done."""
        names = {name: -1 - number for number, name in enumerate(self.before)}
        contents = {-1 - number: bytearray(content) for number, content in enumerate(self.before.values())}
        for number, call in enumerate(self.calls[:made]):
            if number in lost:
                continue
            content = contents.setdefault(call.file, bytearray())
            if call.what == CREATE:
                names[call.name] = call.file
            elif call.what == RENAME:
                names = {name: file for name, file in names.items() if file != call.file} | {call.name: call.file}
            elif call.what == REMOVE:
                names = {name: file for name, file in names.items() if name != call.name}
            elif call.what == RESIZE:
                content[call.place :] = bytes(max(0, call.place - len(content)))
            elif call.what == WRITE:
                data = call.data[: len(call.data) // 2] if number == torn else call.data
                content.extend(bytes(max(0, call.place - len(content))))
                content[call.place : call.place + len(data)] = data
        return {name: bytes(contents[file]) for name, file in names.items()}

    def failures(self, rounds: int, seed: int = 0) -> Iterator[dict[str, bytes]]:
        """Yield what failures at every moment may leave, each once.

        Of the calls that are not on the disk by then: all are lost; none is; each single one; each single write in its
        second half; the last one only is there; and `rounds` times a random half.
        """
        draw = random.Random(seed)
        seen = set()
        for made in range(len(self.calls) + 1):
            pending = self.pending(made)
            cases: list[tuple[frozenset[int], int]] = [(frozenset(pending), -1), (frozenset(), -1)]
            cases += [(frozenset([number]), -1) for number in pending]
            cases += [(frozenset(), number) for number in pending if self.calls[number].what == WRITE]
            cases += [(frozenset(pending[:-1]), -1)] if pending else []
            cases += [(frozenset(n for n in pending if draw.random() < 0.5), -1) for _ in range(rounds)]
            for lost, torn in cases:
                left = self.left(made, lost, torn)
                mark = hash(frozenset(left.items()))
                if mark not in seen:
                    seen.add(mark)
                    yield left


def record(folder: Path, run: Callable[[], object]) -> Recording:
    """Run `run` and return what it did to the files in `folder`, HDF5's own calls among it; locks are left out."""
    recording = Recording({path.name: path.read_bytes() for path in _files(folder)})
    with _recorded(_Recorder(folder, recording)):
        run()
    return recording


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != ".lock") if folder.is_dir() else []


class _Recorder:
    """Notes calls; files are told apart by their inodes, as names change."""

    def __init__(self, folder: Path, recording: Recording) -> None:
        self.folder, self.recording = folder, recording
        self.files = {path.stat().st_ino: -1 - number for number, path in enumerate(_files(folder))}
        self.created = 0

    def concerns(self, path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and Path(path).parent == self.folder

    def note(self, what: int, file: int = -1, **rest: Any) -> None:
        self.recording.calls.append(Call(what, file, **rest))

    def create(self, path: Path) -> None:
        """Note a file that was just made."""
        self.files[path.stat().st_ino] = self.created
        self.note(CREATE, self.created, name=path.name)
        self.created += 1

    def file(self, handle: int) -> int | None:
        """Return the number of an open file; None for one that is not in the folder."""
        return self.files.get(os.fstat(handle).st_ino)


class _Stream(FileIO):
    """An unbuffered file that notes what is written to it."""

    def __init__(self, recorder: _Recorder, path: Path, mode: str) -> None:
        new = not path.exists()
        super().__init__(path, mode)
        if new:
            recorder.create(path)
        self.recorder, self.number = recorder, recorder.files[path.stat().st_ino]
        if "w" in mode and not new:
            recorder.note(RESIZE, self.number)

    def write(self, data: Any) -> int:
        place, count = self.tell(), super().write(data)
        self.recorder.note(WRITE, self.number, place=place, data=bytes(memoryview(data).cast("B")[:count]))
        return count

    def truncate(self, size: int | None = None) -> int:
        size = super().truncate(size)
        self.recorder.note(RESIZE, self.number, place=size)
        return size


@contextlib.contextmanager
def _recorded(recorder: _Recorder) -> Iterator[None]:
    open_path, make_file = Path.open, h5py.File
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def open_recorded(path: Path, mode: str = "r", *args: Any, **keywords: Any) -> Any:
        if not (recorder.concerns(path) and set(mode) & set("wax+")):
            return open_path(path, mode, *args, **keywords)
        stream = _Stream(recorder, path, mode.replace("t", ""))
        return stream if "b" in mode else contextlib.closing(_Text(stream))

    @contextlib.contextmanager
    def make_recorded(path: Any, mode: str = "r", **keywords: Any) -> Iterator[h5py.File]:
        if mode == "r" or not recorder.concerns(path):
            with make_file(path, mode, **keywords) as file:
                yield file
            return
        with (
            _Stream(recorder, Path(path), "w+b" if mode == "w" else "r+b") as stream,
            make_file(stream, mode, driver="fileobj", **keywords) as file,
        ):
            yield file

    def fsync_recorded(handle: int) -> None:
        fsync(handle)
        if (file := recorder.file(handle)) is not None:
            recorder.note(SYNC_FILE, file)
        elif os.fstat(handle).st_ino == recorder.folder.stat().st_ino:
            recorder.note(SYNC_FOLDER)

    def allocate_recorded(handle: int, place: int, length: int) -> None:
        before = os.fstat(handle).st_size
        os.truncate(handle, max(before, place + length))
        file = recorder.file(handle)
        if file is not None and place + length > before:
            recorder.note(RESIZE, file, place=place + length)

    def replace_recorded(source: Any, target: Any, **keywords: Any) -> None:
        file = recorder.files.get(os.stat(source).st_ino) if recorder.concerns(source) else None  # noqa: PTH116
        replace(source, target, **keywords)
        if file is not None:
            recorder.note(RENAME, file, name=Path(target).name)

    def unlink_recorded(path: Any, **keywords: Any) -> None:
        unlink(path, **keywords)
        if recorder.concerns(path):
            recorder.note(REMOVE, name=Path(path).name)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Path, "open", open_recorded))
        stack.enter_context(mock.patch.object(h5py, "File", make_recorded))
        for name, function in (("fsync", fsync_recorded), ("replace", replace_recorded), ("unlink", unlink_recorded)):
            stack.enter_context(mock.patch.object(os, name, function))
        if hasattr(os, "posix_fallocate"):
            stack.enter_context(mock.patch.object(os, "posix_fallocate", allocate_recorded))
        yield


class _Text:
    """What writes a text."""

    def __init__(self, stream: _Stream) -> None:
        self.stream, self.close = stream, stream.close

    def write(self, text: str) -> int:
        self.stream.write(text.encode())
        return len(text)
