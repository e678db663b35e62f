"""The packages that exporting needs, and plain fusionfer does not bring."""

from __future__ import annotations

import importlib.util

from fusionfer.exceptions import DataError

__all__ = ["require_packages"]


def require_packages(*names: str) -> None:
    """Refuse to go on without packages of the extra ``export``.

    Raises
    ------
    DataError
        If one is not installed.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"Exporting to ONNX needs {' and '.join(missing)}: pip install 'fusionfer[export]'."
        raise DataError(msg)
