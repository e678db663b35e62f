"""One training in several processes, one for each device: begun, listened to, and ended together.

Lightning's own launchers do not fit: one runs the command of the caller once more in every process, the other pickles
its trainer and runs the caller's main module, and neither brings progress or the reason of a failure back. So the
processes are begun here, and Lightning (in `fusionfer.training._rank`) finds itself in one of them.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from fusionfer import exceptions
from fusionfer.exceptions import ModelError
from fusionfer.training._fitting import fit_learner, goes_on, read_state, unfinished
from fusionfer.training._learner import Learner
from fusionfer.training._recipe import Recipe

__all__ = ["fit_on_ranks", "unpack"]

_GRACE = 5.0  # seconds in which another rank may tell the reason, when one says that its neighbours are gone
_ALONE = "train on one device (devices=1, --devices 1)"
_LARGE = 1 << 16  # bytes of an array that all processes read from one file

#: A path list of the caller's, so that the same fusionfer is imported.
_CODE = "import sys; sys.path[:] = {path!r}; from fusionfer.training._rank import work; work({folder!r}, {rank})"


def fit_on_ranks(
    learner: Learner, loaders: tuple[Any, Any], state: Path, *, device: torch.device, recipe: Recipe, ranks: int
) -> None:
    """Train as `fit_learner` does, in `ranks` processes, each with a device of its own and its share of each batch.

    What they find comes back in `state`, which only the first of them writes.

    Parameters
    ----------
    learner : Learner
        Holds history and best weights afterwards; told of progress, as in `fit_learner`.
    loaders : (TrainingBatches, ViewingBatches)
    state : Path
    device : torch.device
        Its kind counts; the processes take the first `ranks` of them.
    recipe : Recipe
    ranks : int
        1 is `fit_learner`.

    Raises
    ------
    FusionferError
        As the process raised it.
    ModelError
        If a process ended otherwise, or what is trained cannot be handed over to one.
    """
    if ranks == 1:
        fit_learner(learner, loaders, state, device=device, recipe=recipe)
        return
    if not goes_on(learner, state, recipe):
        return
    with tempfile.TemporaryDirectory(prefix="fusionfer-") as folder:
        _pack(Path(folder), (learner, loaders, state.absolute(), device.type, recipe, ranks))
        crew = _Crew(Path(folder))
        try:
            crew.begin(ranks)
            crew.listen(learner)
        finally:
            crew.end()
            unfinished(state).unlink(missing_ok=True)  # of a process that was stopped while it wrote
    learner.on_load_checkpoint(read_state(state))


class _Crew:
    """The processes, each with a thread that passes on what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: queue.Queue[tuple[int, list[Any]]] = queue.Queue()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ears: list[threading.Thread] = []

    def begin(self, ranks: int) -> None:
        """Begin the processes; on the CPU they share its threads."""
        threads = str(max(1, torch.get_num_threads() // ranks))
        for rank in range(ranks):
            code = _CODE.format(path=sys.path, folder=str(self.folder), rank=rank)
            surroundings = {**os.environ, "LOCAL_RANK": str(rank), "NODE_RANK": "0", "OMP_NUM_THREADS": threads}
            with self._words(rank).open("wb") as words:
                # stdin is never written to: its end tells a process that this one is gone.
                process = subprocess.Popen(
                    [sys.executable, "-c", code], env=surroundings,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
                )  # fmt: skip
            self.processes.append(process)
            self.ears.append(threading.Thread(target=self._hear, args=(rank, process), daemon=True))
            self.ears[-1].start()

    def _words(self, rank: int) -> Path:
        """Return the file of what a process prints and is warned of."""
        return self.folder / f"rank{rank}.txt"

    def _hear(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(b"\n"):  # else it was ended within a word
                self.said.put((rank, json.loads(line)))
        self.said.put((rank, ["ended", process.wait()]))

    def listen(self, learner: Learner) -> None:
        """Pass on progress and sentences until all have ended; raise what one of them has raised."""
        ended: dict[int, int] = {}
        reasons: dict[int, tuple[str, str, str]] = {}
        until = None
        while len(ended) < len(self.processes):
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                rank, (what, *words) = self.said.get(timeout=left)
            except queue.Empty:
                break
            if what == "progress" and learner.progress is not None:
                learner.progress(*words)
            elif what == "say" and learner.say is not None:
                learner.say(*words)
            elif what == "error":
                reasons[rank] = (words[0], words[1], words[2])
            elif what == "ended":
                ended[rank] = words[0]
            lost = [one for one, code in ended.items() if code and one not in reasons]
            if lost or any(kind for kind, _, _ in reasons.values()):
                break
            if reasons and until is None:
                until = time.monotonic() + _GRACE
        self._complain(learner.name, ended, reasons)

    def _complain(self, name: str, ended: dict[int, int], reasons: dict[int, tuple[str, str, str]]) -> None:
        """Raise the best reason there is: an error of ours, else the process that was lost, else what torch said."""
        for kind, text, _ in reasons.values():
            if kind:
                raise getattr(exceptions, kind)(text)
        after = f"The others were stopped. The same command goes on after the last finished epoch; or {_ALONE}."
        for rank, code in ended.items():
            if code and rank not in reasons:
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                last = self._words(rank).read_text(errors="replace").strip().rpartition("\n")[2]
                words = f" ({last[:200]})" if last else ""
                msg = f"{name}: process {rank + 1} of {len(self.processes)} {how}{words}. {after}"
                raise ModelError(msg)
        for rank, (_, text, trace) in reasons.items():
            msg = f"{name}: process {rank + 1} of {len(self.processes)} failed: {text.strip().rstrip('.')}. {after}"
            error = ModelError(msg)
            error.add_note(trace)
            raise error

    def end(self) -> None:
        """Stop whatever still runs; what was finished is in the state."""
        for process in self.processes:
            process.kill()
        for process, ear in zip(self.processes, self.ears, strict=True):
            process.wait()
            ear.join()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


class _Packer(pickle.Pickler):
    """Puts large arrays into files of their own."""

    def __init__(self, file: BinaryIO, folder: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder = folder
        self.kept: dict[int, str] = {}

    def persistent_id(self, one: Any) -> str | None:
        if type(one) is not np.ndarray or one.nbytes < _LARGE or one.dtype.hasobject:
            return None
        if id(one) not in self.kept:
            np.save(self.folder / f"{len(self.kept)}.npy", one)
            self.kept[id(one)] = f"{len(self.kept)}.npy"
        return self.kept[id(one)]


class _Unpacker(pickle.Unpickler):
    """Maps them into memory, which all processes then share."""

    def __init__(self, file: BinaryIO, folder: Path) -> None:
        super().__init__(file)
        self.folder = folder

    def persistent_load(self, name: str) -> np.ndarray:
        return np.load(self.folder / name, mmap_mode="r").view(np.ndarray)


def _pack(folder: Path, job: tuple[Any, ...]) -> None:
    """Write down what every process is to do; the folder is ours alone, and is gone afterwards."""
    try:
        with (folder / "job").open("wb") as file:
            _Packer(file, folder).dump(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        msg = f"{job[0].name}: this cannot be handed over to other processes ({error}). Instead {_ALONE}."
        raise ModelError(msg) from error
    except OSError as error:
        msg = f"{folder} has no room for the pictures: {error.strerror or error}. Set TMPDIR, or {_ALONE}."
        raise ModelError(msg) from error


def unpack(folder: Path) -> Any:
    """Return what `fit_on_ranks` has packed."""
    with (folder / "job").open("rb") as file:
        return _Unpacker(file, folder).load()
