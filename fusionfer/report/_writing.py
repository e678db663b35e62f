"""Files of a report appear complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from fusionfer.exceptions import ReportError

__all__ = ["write_bytes"]


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`, making its folder.

    Raises
    ------
    ReportError
        If it cannot be written; what was at `path` before is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}. What was there before is unchanged."
        raise ReportError(msg) from error
