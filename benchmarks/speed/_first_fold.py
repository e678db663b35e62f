"""Run ``fusionfer fit`` in this process and print as JSON when it reached what: a child of the fit benchmark.

``python -m benchmarks.speed._first_fold BEGIN CACHE MODEL first|all``, with BEGIN a reading of the monotonic clock.
With ``first`` it ends where the first fold is done.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from unittest import mock

from fusionfer.cli import main as fusionfer

__all__ = ["main"]


def main() -> None:
    """Fit through the command line itself; only its progress bar is replaced by a stopwatch."""
    begin, cache, model, how_far = float(sys.argv[1]), *sys.argv[2:5]
    reached: dict[str, float] = {}

    def tell() -> None:
        print(json.dumps({"reached": reached, "torch": "torch" in sys.modules}), file=sys.__stdout__, flush=True)

    @contextlib.contextmanager
    def stopwatch(quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
        reached["read"] = time.monotonic() - begin

        def progress(done: int, total: int, what: str) -> None:
            reached.setdefault("first fold", time.monotonic() - begin)
            if how_far == "first":
                tell()
                os._exit(0)  # an exception would be reported as an interruption

        yield progress

    sys.argv = ["fusionfer", "fit", cache, "--out", model, "--overwrite"]
    verb = importlib.import_module("fusionfer.cli.fit")
    with mock.patch.object(verb, "progress_bar", stopwatch), contextlib.redirect_stdout(io.StringIO()):
        try:
            fusionfer()
        except SystemExit as end:
            if end.code:
                raise
    reached["saved"] = time.monotonic() - begin
    tell()


if __name__ == "__main__":
    main()
