"""How pictures become the faces that a model knows: as it records, or as the caller says."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from fusionfer.exceptions import FusionferWarning, ModelError
from fusionfer.faces import FacePreparation
from fusionfer.persistence import Model

__all__ = ["find_preparation"]


def find_preparation(
    model: Model,
    faces: str | None = None,
    *,
    photometric: str | None = None,
    detector: Any = None,
    margin: float | None = None,
) -> FacePreparation:
    """Return how a picture is prepared for `model`.

    Models are usually trained on faces that were cut out tightly, which photographs are not; so `faces` may ask for a
    face to be cut out of them first, at the side of the model's largest input.

    Parameters
    ----------
    model : Model
    faces : {"align", "detect", "none"}, optional
        As in `fusionfer.faces.FacePreparation`; by default what the model records, "none" where it records nothing.
    photometric : str, optional
        By default what the model records.
    detector : str, Path or callable, optional
        By default the recorded one, or Haar. A recorded YuNet must be given, as only the hash of its file is known.
    margin : float, optional
        By default the recorded one, or 0.

    Returns
    -------
    FacePreparation

    Warns
    -----
    FusionferWarning
        If the caller asks for something else than the model records, or its blocks were made of faces of several sides.

    Raises
    ------
    ModelError
        If the blocks of the model were prepared in several ways, or the record cannot be followed.
    UnknownNameError, WeightsError, DataError
        If a name is not known, or a number is out of range.
    """
    records = [block["key"].get("faces") for block in model.blocks.values()]
    distinct = {json.dumps(_but_size(one), sort_keys=True) for one in records}
    if len(distinct) > 1:
        msg = (
            "The blocks of this model were made of faces that were prepared in different ways "
            f"({'; '.join(sorted(distinct))}), so there is no one way to prepare a picture for it."
        )
        raise ModelError(msg)
    recorded = max((one for one in records if one), key=lambda one: one.get("size", 0), default=None)
    record = recorded or {"mode": "none"}
    mode = record.get("mode", "none") if faces is None else faces
    if photometric is None:
        light = {name: record[name] for name in ("rules", "photometric") if name in record}
        photometric = FacePreparation.from_description({**light, "mode": "none"} if light else None).photometric
    if mode != "none" and record.get("mode") != "none":
        detector = FacePreparation.from_description(record).find if detector is None else detector
        margin = record.get("margin", 0.0) if margin is None else margin
    sides = [int(block["key"].get("preprocess", {}).get("size", 224)) for block in model.blocks.values()]
    size = int(record.get("size", max(sides, default=224)))
    found = FacePreparation(
        mode, photometric, "haar" if detector is None else detector, 0.0 if margin is None else margin, size
    )
    _warn(record, found)
    recorded_sides = sorted({one["size"] for one in records if one and "size" in one})
    if found.mode != "none" and len(recorded_sides) > 1:
        text = (
            f"The blocks of this model were made of faces of {' and '.join(map(str, recorded_sides))} pixels; here all "
            f"are cut out at {size}, which moves the features of the others a little."
        )
        warnings.warn(text, FusionferWarning, stacklevel=2)
    return found


def _but_size(described: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (described or {}).items() if name != "size"}


def _warn(record: Mapping[str, Any], found: FacePreparation) -> None:
    """Say where faces are prepared in another way than those that the model was trained on."""
    ours = found.describe()
    names: tuple[str, ...] = (
        ("mode", "photometric", "margin", "detector") if found.mode != "none" else ("mode", "photometric")
    )
    if record.get("mode") == "none":  # a face cut out of a photograph is what a model of tight crops needs
        names = ("photometric",)
    differ = [name for name in names if _bare(ours.get(name)) != _bare(record.get(name))]
    if differ:
        told = ", ".join(f"{name} {_told(ours.get(name))} instead of {_told(record.get(name))}" for name in differ)
        text = f"Faces are prepared otherwise than those that the model was trained on: {told}."
        warnings.warn(text, FusionferWarning, stacklevel=3)


def _bare(value: Any) -> Any:
    """Return a part of a description without the version of OpenCV."""
    return {name: part for name, part in value.items() if name != "opencv"} if isinstance(value, Mapping) else value


def _told(value: Any) -> str:
    """Return a part of a description as text."""
    value = _bare(value)
    if isinstance(value, dict) and set(value) == {"name"}:
        value = value["name"]
    return repr("none" if value is None else value)
