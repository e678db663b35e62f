"""Models of XGBoost as JSON, checked before XGBoost sees them: it follows wrong indices out of memory.

XGBoost trusts the numbers in a model file: a child, feature or class that does not exist makes it read foreign memory
or crash. So nothing of a file reaches it as it is. The document is parsed here, every array that will be indexed is
checked, and XGBoost gets a new document that holds the checked values alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fusionfer.exceptions import ModelError

if TYPE_CHECKING:
    import xgboost

__all__ = ["checked_model", "load_booster"]

#: Largest document, in bytes. 1,000 rounds of 7 classes at depth 6 take less than 100 MB.
_MAX_BYTES = 1 << 29
#: Largest values of what a file may ask memory or stack for.
_MAX_NODES, _MAX_DEPTH = 1 << 24, 512
_OLDEST_VERSION = 3
_ROOT_PARENT = 2**31 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_OBJECTIVES = ("binary:logistic", "multi:softprob")

_TREE_INTEGERS = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
_TREE_FLOATS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_TREE_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


def load_booster(model_json: bytes, *, n_features: int, n_classes: int) -> xgboost.Booster:
    """Build the Booster of a model in XGBoost's JSON, which may come from anywhere.

    Parameters
    ----------
    model_json : bytes
        What ``Booster.save_raw("json")`` gives. Its binary form (UBJSON) is not read.
    n_features : int
        Columns of the rows that it will predict.
    n_classes : int
        Classes that it must tell apart.

    Returns
    -------
    xgboost.Booster
        Without names of features: it takes plain arrays.

    Raises
    ------
    ModelError
        If the model is damaged, crafted, of another kind than fusionfer's heads write, or for other features or
        classes. XGBoost has not seen it.
    """
    document = checked_model(model_json, n_features=n_features, n_classes=n_classes)
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(document))
    except (xgboost.core.XGBoostError, ValueError) as error:
        reason = str(error).partition("\nStack trace")[0]
        msg = f"The XGBoost model passed fusionfer's checks, but XGBoost {xgboost.__version__} refuses it: {reason}"
        raise ModelError(msg) from error
    return booster


def checked_model(model_json: bytes, *, n_features: int, n_classes: int) -> bytes:
    """Return a document of the same trees in which every number that XGBoost uses as an index or a size is in range.

    Parameters and errors are those of `load_booster`.

    Notes
    -----
    What is required: booster gbtree, objective binary:logistic (two classes) or multi:softprob, splits by numbers only,
    leaves of one value; as many nodes, trees and rounds as there are entries in every array that belongs to them; each
    node but the root is the child of exactly one node before it, so that there is no cycle and no orphan; all values
    finite in float32. Whatever else is in the document is left out.
    """
    learner, version = _parse(model_json)
    params = _get(learner, "learner_model_param", dict, "the model")
    objective = _get(_get(learner, "objective", dict, "the model"), "name", str, "its objective")
    if objective not in _OBJECTIVES:
        _refuse(f"its objective is {objective!r}, allowed are {' and '.join(_OBJECTIVES)}")
    if objective == "binary:logistic" and n_classes != 2:
        _refuse(f"it tells two classes apart, and {n_classes} are expected")
    n_outputs = 1 if objective == "binary:logistic" else n_classes
    _expect(_whole(params, "num_feature"), n_features, "features")
    _expect(_whole(params, "num_target"), 1, "targets")
    num_class = _whole(params, "num_class")
    _expect(max(1, num_class), n_outputs, "outputs")
    booster = _get(learner, "gradient_booster", dict, "the model")
    if _get(booster, "name", str, "its booster") != "gbtree":
        _refuse(f"its booster is {str(booster['name'])!r}, allowed is gbtree")
    objective_params = (
        {"reg_loss_param": {"scale_pos_weight": "1"}}
        if objective == "binary:logistic"
        else {"softmax_multiclass_param": {"num_class": str(num_class)}}
    )
    checked = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {
            "model": _forest(_get(booster, "model", dict, "its booster"), n_features, n_outputs),
            "name": "gbtree",
        },
        "learner_model_param": {
            "base_score": _base_score(params, objective, n_outputs),
            "boost_from_average": str(min(1, _whole(params, "boost_from_average"))),
            "num_class": str(num_class),
            "num_feature": str(n_features),
            "num_target": "1",
        },
        "objective": {"name": objective, **objective_params},
    }
    return json.dumps({"learner": checked, "version": version}, separators=(",", ":"), allow_nan=False).encode()


def _parse(model_json: bytes) -> tuple[dict[str, Any], list[int]]:
    if len(model_json) > _MAX_BYTES:
        _refuse(f"it has {len(model_json)} bytes, at most {_MAX_BYTES} are read")
    try:
        document = json.loads(bytes(model_json))
    except (ValueError, RecursionError) as error:
        _refuse(f"it is no JSON (XGBoost's binary UBJSON is not read): {error}", error)
    if not isinstance(document, dict):
        _refuse("it is JSON, but not of a model of XGBoost")
    version = _integers(document, "version", 3, "the model").tolist()
    if version[0] < _OLDEST_VERSION or max(version) > 9999 or min(version) < 0:
        _refuse(f"it is of version {version}; models of XGBoost {_OLDEST_VERSION}.0 and later are read")
    return _get(document, "learner", dict, "the model"), version


def _base_score(params: dict[str, Any], objective: str, n_outputs: int) -> str:
    """Check the start value: one number, or (from version 3.1 on) a vector of one, or of one for each output."""
    text = _get(params, "base_score", str, "the model")
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        values = [float(part) for part in inner.split(",")] if len(inner) < 64 * n_outputs else []
    except ValueError as error:
        _refuse(f"base_score is {text!r}, not numbers", error)
    if len(values) not in (1, n_outputs):
        _refuse(f"base_score has {len(values)} values for {n_outputs} outputs")
    if not all(abs(value) <= _FLOAT32_MAX for value in values):
        _refuse(f"base_score is {text!r}, not finite in float32")
    if objective == "binary:logistic" and not 0.0 < np.float32(values[0]) < 1.0:
        _refuse(f"base_score is {text!r}; of binary:logistic it is a probability between 0 and 1")
    numbers = ",".join(repr(value) for value in values)
    return f"[{numbers}]" if inner is not text else numbers


def _forest(model: dict[str, Any], n_features: int, n_outputs: int) -> dict[str, Any]:
    sizes = _get(model, "gbtree_model_param", dict, "the forest")
    trees = _get(model, "trees", list, "the forest")
    _expect(_whole(sizes, "num_trees"), len(trees), "trees")
    parallel = _whole(sizes, "num_parallel_tree")
    if not 1 <= parallel <= max(1, len(trees)):
        _refuse(f"num_parallel_tree is {parallel}, with {len(trees)} trees")
    outputs = _integers(model, "tree_info", len(trees), "the forest")
    _in_range(outputs, 0, n_outputs, "tree_info", "the forest")
    rounds = _integers(model, "iteration_indptr", None, "the forest")
    if not (1 <= len(rounds) <= len(trees) + 1 and rounds[0] == 0 and rounds[-1] == len(trees)):
        _refuse(f"iteration_indptr does not lead from tree 0 to {len(trees)}")
    if np.any(rounds[1:] <= rounds[:-1]):
        _refuse("iteration_indptr does not rise")
    return {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": str(parallel), "num_trees": str(len(trees))},
        "iteration_indptr": rounds.tolist(),
        "tree_info": outputs.tolist(),
        "trees": [_tree(tree, number, n_features) for number, tree in enumerate(trees)],
    }


def _tree(tree: Any, number: int, n_features: int) -> dict[str, Any]:
    where = f"tree {number}"
    if not isinstance(tree, dict):
        _refuse(f"{where} is no object")
    _expect(_get(tree, "id", int, where), number, f"as id of {where}")
    params = _get(tree, "tree_param", dict, where)
    _expect(_whole(params, "num_feature"), n_features, f"features in {where}")
    _expect(_whole(params, "num_deleted"), 0, f"deleted nodes in {where}")
    if _whole(params, "size_leaf_vector") > 1:
        _refuse(f"{where} has leaves of several values")
    n = _whole(params, "num_nodes")
    if not 1 <= n <= _MAX_NODES:
        _refuse(f"{where} has {n} nodes, allowed are 1 to {_MAX_NODES}")
    integers = {name: _integers(tree, name, n, where) for name in _TREE_INTEGERS}
    floats = {name: _floats(tree, name, n, where) for name in _TREE_FLOATS}
    for name in _TREE_CATEGORIES:
        if _get(tree, name, list, where) or np.any(integers["split_type"] != 0):
            _refuse(f"{where} splits by categories; fusionfer's heads split by numbers only")
    _in_range(integers["split_indices"], 0, n_features, "split_indices", where)
    _in_range(integers["default_left"], 0, 2, "default_left", where)
    _check_shape(integers["left_children"], integers["right_children"], integers["parents"], where)
    return {
        **{name: values.tolist() for name, values in {**integers, **floats}.items()},
        **{name: [] for name in _TREE_CATEGORIES},
        "id": number,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(n_features),
            "num_nodes": str(n),
            "size_leaf_vector": "1",
        },
    }


def _check_shape(left: np.ndarray, right: np.ndarray, parents: np.ndarray, where: str) -> None:
    """Refuse what is not one binary tree, rooted at node 0, in which children come after their parent."""
    n = len(left)
    inner = np.flatnonzero(left != -1)
    if np.any((left == -1) != (right == -1)):
        _refuse(f"{where} has a node with one child")
    children = np.concatenate([left[inner], right[inner]])
    above = np.concatenate([inner, inner])
    _in_range(children, 1, n, "children", where)
    # Both together exclude cycles and orphans: from any node the parents lead down to node 0.
    if np.any(children <= above):
        _refuse(f"{where} has a child before its parent: a cycle, or no tree that XGBoost's hist grows")
    if len(children) != n - 1 or len(np.unique(children)) != n - 1:
        _refuse(f"{where} has nodes that are reached twice or never")
    expected = np.full(n, _ROOT_PARENT)
    expected[children] = above
    if np.any(parents != expected):
        _refuse(f"parents of {where} do not fit its children")
    level, depth = np.zeros(1, dtype=np.int64), -1
    while len(level):  # XGBoost walks some trees recursively
        depth += 1
        if depth > _MAX_DEPTH:
            _refuse(f"{where} is deeper than {_MAX_DEPTH}")
        level = level[left[level] != -1]
        level = np.concatenate([left[level], right[level]])


def _refuse(reason: str, cause: Exception | None = None) -> NoReturn:
    msg = f"The XGBoost model is damaged or not one that fusionfer writes: {reason}."
    raise ModelError(msg) from cause


def _get(node: dict[str, Any], name: str, kind: type, where: str) -> Any:
    value = node.get(name)
    if type(value) is not kind:  # a bool is an int, but not here
        came = "is missing" if name not in node else f"is of type {type(value).__name__}"
        _refuse(f"{name} of {where} {came}, needed is {kind.__name__}")
    return value


def _whole(node: dict[str, Any], name: str) -> int:
    """Return a parameter, which XGBoost writes as text."""
    text = _get(node, name, str, "the parameters")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        _refuse(f"{name} is {text[:40]!r}, not a whole number")
    return int(text)


def _numbers(node: dict[str, Any], name: str, length: int | None, where: str, kinds: set[type]) -> list[Any]:
    values = _get(node, name, list, where)
    if length is not None and len(values) != length:
        _refuse(f"{name} of {where} has {len(values)} entries, {length} are needed")
    if not set(map(type, values)) <= kinds:
        _refuse(f"{name} of {where} is no row of {'numbers' if float in kinds else 'whole numbers'}")
    return values


def _integers(node: dict[str, Any], name: str, length: int | None, where: str) -> np.ndarray:
    values = _numbers(node, name, length, where, {int})
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError as error:
        _refuse(f"{name} of {where} has a number of more than 64 bits", error)


def _floats(node: dict[str, Any], name: str, length: int, where: str) -> np.ndarray:
    values = _numbers(node, name, length, where, {int, float})
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:  # a whole number of more than 308 digits
        array = np.full(length, np.inf)
    if not np.all(np.abs(array) <= _FLOAT32_MAX):
        _refuse(f"{name} of {where} has a value that is not finite in float32")
    return array


def _in_range(values: np.ndarray, low: int, high: int, name: str, where: str) -> None:
    if len(values) and not (values.min() >= low and values.max() < high):
        outside = values[(values < low) | (values >= high)][0]
        _refuse(f"{name} of {where} has {outside}, allowed are {low} to {high - 1}")


def _expect(came: int, expected: int, what: str) -> None:
    if came != expected:
        _refuse(f"it has {came} {what}, expected are {expected}")
