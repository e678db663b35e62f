"""One ONNX file of a model: backbones, scaling, fusion and head."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from fusionfer.exceptions import DataError
from fusionfer.export._checking import BATCH, Agreement, compare, require
from fusionfer.export._estimators import decide, final
from fusionfer.export._graph import Graph
from fusionfer.export._metadata import describe
from fusionfer.export._pictures import Inputs, add_features, find_inputs
from fusionfer.faces import prepare_faces
from fusionfer.images import FaceSet, generate_faces
from fusionfer.persistence import Model, replacing
from fusionfer.prediction import Classifier, find_preparation, load_networks

__all__ = ["Export", "export_onnx"]

#: Files of protobuf end here; larger models would need files beside it.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Export:
    """An ONNX file, and how it was checked.

    Attributes
    ----------
    path : Path
    bytes : int
    inputs : dict of str to int
        Name of an input -> side of its pictures in pixels.
    classes : tuple of str
    head : str
        Class of the head.
    checked_on : {"generated faces", "given pictures"}
    agreement : Agreement
        How far the file and the model are apart.
    """

    path: Path
    bytes: int
    inputs: dict[str, int]
    classes: tuple[str, ...]
    head: str
    checked_on: str
    agreement: Agreement

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        found = {**asdict(self), "path": str(self.path), "classes": list(self.classes)}
        found["agreement"]["crossed"] = self.agreement.crossed
        return found

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of text."""
        found = self.agreement
        rows = [
            ["file", f"{self.path}, {self.bytes / 1e6:.1f} MB"],
            *([f"input {name}", f"uint8 (n, {side}, {side}, 3), RGB"] for name, side in self.inputs.items()),
            ["outputs", f"label, {'' if found.chain is None else 'probabilities, '}features"],
            ["classes", ", ".join(self.classes)],
            ["head", self.head],
            ["checked on", f"{found.n} {self.checked_on}"],
            ["features", f"differ by {found.features:.1e} of the largest at most"],
        ]
        if found.head is not None:
            rows.append(["head alone", f"probabilities differ by {found.head:.1e} at most, on identical features"])
            rows.append(["whole chain", f"probabilities differ by {found.chain:.1e} at most"])
        rows.append(["labels", f"{found.labels} of {found.n} differ"])
        if found.crossings is not None:
            rows.append(["moved", f"{found.moved} of {found.n}; a feature crossed a threshold in {found.crossed}"])
        return ["what", "value"], rows


def export_onnx(
    model: Model,
    path: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] | Mapping[str, str | Path] = (),
    faces: FaceSet | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Export:
    """Write a model, from pictures to labels, into one ONNX file that needs no fusionfer.

    Inputs are uint8 RGB pictures (n, side, side, 3), already resized: ``pictures``, or ``pictures_<side>`` for each of
    several sizes. Outputs are ``label`` (text, (n,)), ``probabilities`` (float32, (n, K)) where the head gives them,
    and ``features`` (float32, (n, n_columns)). The file is run by ONNX Runtime on some faces and compared with the
    model before it takes its place; equal models give equal bytes.

    Parameters
    ----------
    model : Model
        Of features that fusionfer extracted in float32.
    path : path
        Used as given; an existing file is replaced, a missing folder made.
    weights : path, sequence of str or Path, or mapping
        Where to look for weights that are no longer where the model saw them, as in `fusionfer.prediction.predict`.
    faces : FaceSet, optional
        Faces to compare on; without them 28 generated ones.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Export

    Raises
    ------
    ModelError
        If a part of the model cannot be written as ONNX operators, the file says something else than the model, or it
        cannot be written.
    DataError
        If a network cannot be converted, the file would exceed 2 GiB, no picture of `faces` can be read, or `path` is
        the model's own.
    WeightsError
        If weights are not to be found.
    """
    path = Path(path)
    if model.path is not None and path.resolve() == Path(model.path).resolve():
        msg = f"{path} is the model itself, which an ONNX file cannot be turned back into. Give another path."
        raise DataError(msg)
    inputs = find_inputs(model)
    head = final(model.estimator)
    pictures = _pictures(model, faces)
    proto = _proto(model, inputs, weights)
    helper.set_model_props(proto, describe(model, inputs, head))
    # Part by part, as protobuf cannot count what it cannot write.
    size = sum(part.ByteSize() for parts in (proto.graph.node, proto.graph.initializer) for part in parts)
    if size > _LARGEST:
        msg = (
            f"The ONNX file would have {size / 2**30:.1f} GiB; one file holds 2 GiB at most. Fit with fewer or smaller "
            "backbones, or a head that keeps fewer rows."
        )
        raise DataError(msg)
    with replacing(path) as sink:
        sink.write(proto.SerializeToString(deterministic=True))
        sink.flush()
        del proto  # as large as the networks, which are loaded once more now
        with Classifier(model, weights=weights, device="cpu", batch_size=BATCH) as classifier:
            agreement = compare(Path(sink.name), classifier, inputs, pictures, progress)
        require(agreement, head)
    return Export(
        path=path,
        bytes=path.stat().st_size,
        inputs=dict(inputs.sides),
        classes=model.classes,
        head=type(head).__name__,
        checked_on="generated faces" if faces is None else "given pictures",
        agreement=agreement,
    )


def _proto(model: Model, inputs: Inputs, weights: Any) -> ModelProto:
    graph = Graph()
    with tempfile.TemporaryDirectory(prefix="fusionfer-weights-") as scratch:
        networks = load_networks(model, weights, "cpu", Path(scratch))
    features = add_features(graph, model, networks, inputs)
    for network in networks.values():
        network.close()
    outputs = decide(graph, model.estimator, model.classes, features)
    outputs["features"] = (features, ["n", model.n_columns])
    return graph.model(outputs, what="fusionfer")


def _pictures(model: Model, faces: FaceSet | None) -> list[np.ndarray]:
    """Faces to compare on; photographs are cut and normalised as those that the model was trained on."""
    prepared = any("faces" in block["key"] for block in model.blocks.values())
    if faces is None:
        faces = generate_faces(n_identities=4, takes=1, size=64)
    elif prepared and faces.preparation is None:
        faces = prepare_faces(faces, find_preparation(model), on_error="skip")
    found = []
    for i in range(len(faces)):
        try:
            found.append(faces.load(i)[0])
        except DataError:  # a picture that cannot be read says nothing of the file
            continue
    if not found:
        msg = "There is no picture to compare the ONNX file and the model on; give some that can be read."
        raise DataError(msg)
    return found
