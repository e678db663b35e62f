"""Import torchvision also where its compiled operators do not fit the installed torch."""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

import torch

__all__ = ["import_torchvision"]

# torchvision's wheel cannot load its operators against a CPU-only torch of another build and then fails at import with
# "operator torchvision::nms does not exist" (pytorch/vision issues 9077 and 9085). Models and transforms use none of
# them, so it is enough to declare the operators that the error names. The library object must outlive the import.
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[Any] = []


def import_torchvision() -> ModuleType:
    """Return torchvision, declaring the operators its import misses, and doing nothing where it misses none.

    Raises
    ------
    RuntimeError
        As torchvision raised it, if the import fails for any other reason.
    """
    for _ in range(len(_SCHEMAS) + 1):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing.group(1) not in _SCHEMAS:
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(_SCHEMAS[missing.group(1)])
            _declared.append(library)
    msg = "torchvision still misses operators after all known ones were declared."
    raise RuntimeError(msg)
