"""Fetch published weights: whole and with the right hash, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import math
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import torch

from fusionfer.backbones import Weights
from fusionfer.exceptions import FusionferError, WeightsError, WeightsUnavailableError

__all__ = ["fetch", "published_path"]

_CHUNK = 1 << 20


def published_path(weights: Weights) -> Path:
    """Return where torch keeps, or would keep, these weights; nothing is created."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.file_name


def fetch(
    weights: Weights,
    *,
    timeout: float = 30.0,
    deadline: float | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Return the file of published weights, downloading it when it is not there yet.

    Parameters
    ----------
    weights : Weights
        Which.
    timeout : float
        Seconds to wait for the server to say anything, each time.
    deadline : float, optional
        Seconds for the whole download; by default it may take as long as it goes on.
    progress : callable, optional
        Called as ``progress(bytes_done, bytes_total, what)``.

    Returns
    -------
    Path
        A file whose SHA-256 begins as its name says.

    Raises
    ------
    WeightsUnavailableError
        If it cannot be downloaded, or something else came; the message says which file to put where.
    WeightsError
        If the file that lies there already has another hash.
    """
    path = published_path(weights)
    if path.is_file():
        _check(path, weights)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(weights, path, timeout, math.inf if deadline is None else deadline, progress)
    except FusionferError:  # of `progress`, which may stop everything
        raise
    except (OSError, http.client.HTTPException) as error:
        msg = (
            f"{weights.name} is not on this machine and could not be downloaded ({error or type(error).__name__}). "
            f"Copy {weights.file_name} (from {weights.url}) to {path}, or give --weights PATH or --weights none."
        )
        raise WeightsUnavailableError(msg) from error
    return path


def _download(
    weights: Weights,
    path: Path,
    timeout: float,
    deadline: float,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    end = time.monotonic() + deadline
    # A name of its own per process: two downloads at once do not mix, and the last rename wins with equal bytes.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    sha256 = hashlib.sha256()
    try:
        with (
            os.fdopen(handle, "wb") as out,
            urllib.request.urlopen(weights.url, timeout=max(min(timeout, deadline), 0.001)) as answer,
        ):
            length, done = answer.headers.get("Content-Length") or "", 0
            total = int(length) if length.isdecimal() else 0
            while chunk := answer.read1(_CHUNK):  # what has come, so that a trickle cannot outlast the deadline
                out.write(chunk)
                sha256.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total, f"downloading {weights.file_name}")
                if time.monotonic() > end and done != total:
                    msg = f"only {done:,} of {f'{total:,}' if total else 'unknown'} bytes came within {deadline:,.3g} s"
                    raise TimeoutError(msg)
        if done < total:
            msg = f"only {done:,} of {total:,} bytes came"
            raise OSError(msg)
        if not sha256.hexdigest().startswith(weights.sha256_prefix):
            msg = (
                f"what came is another file, perhaps a proxy's page: {done:,} bytes of "
                f"{answer.headers.get_content_type()}, SHA-256 {sha256.hexdigest()[:8]}... instead of "
                f"{weights.sha256_prefix}..."
            )
            raise OSError(msg)
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _check(path: Path, weights: Weights) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(weights.sha256_prefix):
        msg = (
            f"{path}: the SHA-256 of {weights.name} begins with {weights.sha256_prefix}, this file's with "
            f"{found[:8]}. It is damaged or was replaced (by a proxy's page, say): delete it and try again."
        )
        raise WeightsError(msg)
