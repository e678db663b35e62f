"""scikit-learn's own classifiers and transformers, through skl2onnx."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from onnx import ModelProto

from fusionfer.exceptions import ModelError
from fusionfer.export._decision import Decision
from fusionfer.export._graph import ML_OPSET, OPSET, Graph, Value
from fusionfer.export._packages import require_packages
from fusionfer.heads import HEADS

__all__ = ["learner", "transformer"]


def learner(graph: Graph, estimator: Any, X: Value) -> Decision:
    """A classifier of scikit-learn.

    Raises
    ------
    ModelError
        If skl2onnx cannot convert it.
    """
    has_proba = hasattr(estimator, "predict_proba")
    options = {id(estimator): {"zipmap": False}} if has_proba else None
    model = _converted(estimator, options)
    for node in [node for node in model.graph.node if node.op_type == "ZipMap"]:
        model.graph.node.remove(node)  # dictionaries of scores, which nobody asks for, and which fail for some
    label, *scores = graph.embed(model, X)
    # By the operator for classical learners: the plain one for "equal" takes no text in this version of ONNX.
    classes = np.asarray(estimator.classes_)
    text = classes.dtype.kind in "UO"
    index = graph.learner(
        "LabelEncoder",
        label,
        dtype=np.int64,
        **{"keys_strings" if text else "keys_int64s": classes.tolist()},
        values_int64s=list(range(len(classes))),
    )
    return Decision(index, scores[0] if has_proba else None)


def transformer(graph: Graph, step: Any, X: Value) -> Value:
    """A transformer of scikit-learn, from columns to columns.

    Raises
    ------
    ModelError
        If skl2onnx cannot convert it.
    """
    (found,) = graph.embed(_converted(step, None), X)
    return found


def _converted(estimator: Any, options: Any) -> ModelProto:
    kind = type(estimator).__name__
    require_packages("skl2onnx")
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what skl2onnx uses of scikit-learn, which is not the user's doing
            return to_onnx(
                estimator,
                initial_types=[("X", FloatTensorType([None, int(estimator.n_features_in_)]))],
                options=options,
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except Exception as error:  # converters raise nearly anything
        reason = " ".join(str(error).split())[:200]
        msg = (
            f"A {kind} cannot be exported to ONNX ({type(error).__name__}: {reason}). What can: the heads "
            f"{', '.join(HEADS)}, and what skl2onnx converts."
        )
        raise ModelError(msg) from error
