"""What the library says, in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["as_options"]

# Parameters of the library that messages name, and what the command line calls them.
_OPTIONS = {
    "allow_outside_root": "--allow-outside-root",
    "cv(?==)": "--folds",
    "group_column": "--group-column",
    "label_column": "--label-column",
    "max_pixels": "--max-pixels",
    "on_error": "--on-error",
    "path_column": "--path-column",
    "split_column": "--split-column",
}


def as_options(text: str) -> str:
    """Say ``--on-error skip`` where the library says ``on_error='skip'``: people at a shell have options only."""
    for parameter, option in _OPTIONS.items():
        if option not in text:
            text = re.sub(rf"\b{parameter}(?:=(['\"]?)([\w.-]+)\1)?", lambda m, o=option: _option(o, m[2]), text)
    return text


def _option(option: str, value: str | None) -> str:
    return option if value is None else f"{option} {value}"
