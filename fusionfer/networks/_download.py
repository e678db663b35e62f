"""Fetch published weights: whole and with the right hash, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import torch

from fusionfer.backbones import Weights
from fusionfer.exceptions import WeightsError, WeightsUnavailableError

__all__ = ["fetch", "published_path"]

_CHUNK = 1 << 20


def published_path(weights: Weights) -> Path:
    """Return where torch keeps, or would keep, these weights; nothing is created."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.file_name


def fetch(weights: Weights, *, timeout: float = 30.0, progress: Callable[[int, int, str], None] | None = None) -> Path:
    """Return the file of published weights, downloading it when it is not there yet.

    Parameters
    ----------
    weights : Weights
        Which.
    timeout : float
        Seconds to wait for the server.
    progress : callable, optional
        Called as ``progress(bytes_done, bytes_total, what)``.

    Returns
    -------
    Path
        A file whose SHA-256 begins as its name says.

    Raises
    ------
    WeightsUnavailableError
        If it cannot be downloaded; the message says which file to put where.
    WeightsError
        If what came, or what lies there, has another hash.
    """
    path = published_path(weights)
    if path.is_file():
        _check(path, weights)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(weights, path, timeout, progress)
    except OSError as error:
        if isinstance(error, WeightsError):
            raise
        msg = (
            f"{weights.name} is not on this machine and could not be downloaded ({error}). "
            f"Copy {weights.file_name} (from {weights.url}) to {path}, or give --weights PATH or --weights none."
        )
        raise WeightsUnavailableError(msg) from error
    return path


def _download(weights: Weights, path: Path, timeout: float, progress: Callable[[int, int, str], None] | None) -> None:
    # A name of its own per process: two downloads at once do not mix, and the last rename wins with equal bytes.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(weights.url, timeout=timeout) as answer:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total, f"downloading {weights.file_name}")
        _check(temporary, weights)
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
