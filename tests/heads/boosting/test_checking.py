"""XGBoost sees no model that could lead it out of memory."""

import json
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionfer.exceptions import ModelError
from fusionfer.heads.boosting._checking import checked_model, load_booster

xgboost = pytest.importorskip("xgboost")

N_FEATURES = 5


def grow(n_classes, objective, rounds=3, **params):
    """Return the JSON of a small stock model."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, N_FEATURES)), rng.integers(0, n_classes, 80)
    if objective.startswith("multi"):
        params["num_class"] = n_classes
    data = xgboost.DMatrix(X, y)
    params = {"objective": objective, "max_depth": 3, "nthread": 1, **params}
    booster = xgboost.train({name: value for name, value in params.items() if value is not None}, data, rounds)
    return bytes(booster.save_raw("json"))


MULTI = grow(3, "multi:softprob")


def edited(edit, model=MULTI):
    """Return the model after `edit` had its parsed document."""
    document = json.loads(model)
    edit(document)
    return json.dumps(document).encode()


def forest(document):
    return document["learner"]["gradient_booster"]["model"]


def tree(document, number=0):
    return forest(document)["trees"][number]


def check(model, n_features=N_FEATURES, n_classes=3):
    return checked_model(model, n_features=n_features, n_classes=n_classes)


@pytest.mark.parametrize(
    ("n_classes", "objective", "params"),
    [
        (3, "multi:softprob", {}),
        (2, "multi:softprob", {}),
        (2, "binary:logistic", {}),
        (2, "binary:logistic", {"base_score": 0.25}),
        (3, "multi:softprob", {"rounds": 0}),
        (3, "multi:softprob", {"num_parallel_tree": 2, "subsample": 0.5}),
        (3, "multi:softprob", {"grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0, "gamma": 0.5}),
    ],
)
def test_stock_models_pass_unchanged(n_classes, objective, params):
    """What XGBoost itself writes with `hist` is let through: the same trees, the same predictions to the bit."""
    model = grow(n_classes, objective, **params)
    again = load_booster(model, n_features=N_FEATURES, n_classes=n_classes)
    assert bytes(again.save_raw("json")) == model
    plain = xgboost.Booster()
    plain.load_model(bytearray(model))
    X = xgboost.DMatrix(np.random.default_rng(1).normal(size=(20, N_FEATURES)))
    np.testing.assert_array_equal(again.predict(X), plain.predict(X))


def test_older_writers():
    """A start value as one number, and no section on categories, as XGBoost 3.0 writes them, are read."""

    def edit(document):
        del forest(document)["cats"]
        document["learner"]["learner_model_param"]["base_score"] = "5E-1"
        document["version"] = [3, 0, 0]

    X = xgboost.DMatrix(np.zeros((1, N_FEATURES)))
    assert load_booster(edited(edit), n_features=N_FEATURES, n_classes=3).predict(X).shape == (1, 3)
    assert b'"base_score":"0.5"' in check(edited(edit))


def test_names_and_unknown_parts_are_left_out():
    """Names, attributes and whatever else a file holds do not reach XGBoost; plain arrays can be predicted."""

    def edit(document):
        document["learner"]["feature_names"] = list("abcde")
        document["learner"]["attributes"] = {"best_iteration": "10000000000"}
        document["what"] = tree(document)["else"] = [1]

    assert check(edited(edit)) == check(MULTI)


# One line each: where in the document, what to put there, what the error says.
ENTRY = {
    # The six that XGBoost 3.2 follows out of memory, or nearly so.
    "child beyond the nodes": ("tree.left_children.0", 10**6, "children of tree 0 has 1000000, allowed are 1 to"),
    "negative child": ("tree.right_children.0", -7, "children of tree 0 has -7"),
    "feature that is not there": ("tree.split_indices.0", 10**6, "split_indices of tree 0 has 1000000, .* 0 to 4"),
    "class that is not there": ("forest.tree_info.0", 9, "tree_info of the forest has 9, allowed are 0 to 2"),
    "the root as a child": ("tree.left_children.0", 0, "children of tree 0 has 0, allowed are 1 to"),
    "short array": ("tree.split_conditions", [0.5], "split_conditions of tree 0 has 1 entries, .* are needed"),
    # Further ones.
    "node reached twice": ("tree.left_children.0", 2, "reached twice or never"),
    "one child": ("tree.left_children.0", -1, "a node with one child"),
    "parents": ("tree.parents.1", 2, "parents of tree 0 do not fit"),
    "root's parent": ("tree.parents.0", 0, "parents of tree 0 do not fit"),
    "negative feature": ("tree.split_indices.0", -1, "split_indices of tree 0 has -1"),
    "categorical split": ("tree.split_type.0", 1, "splits by categories"),
    "categories": ("tree.categories", [1], "splits by categories"),
    "default direction": ("tree.default_left.0", 2, "default_left of tree 0 has 2, allowed are 0 to 1"),
    "infinite leaf": ("tree.split_conditions.0", 1e39, "split_conditions of tree 0 has a value that is not finite"),
    "no number": ("tree.split_conditions.0", "1", "split_conditions of tree 0 is no row of numbers"),
    "endless number": ("tree.base_weights.0", 10**400, "base_weights of tree 0 has a value that is not finite"),
    "nested row": ("tree.base_weights.0", [0.0], "base_weights of tree 0 is no row of numbers"),
    "half a child": ("tree.left_children.0", 1.0, "left_children of tree 0 is no row of whole numbers"),
    "truth as a child": ("tree.left_children.0", True, "left_children of tree 0 is no row of whole numbers"),
    "long child": ("tree.left_children.0", 2**70, "left_children of tree 0 has a number of more than 64 bits"),
    "no nodes": ("tree.tree_param.num_nodes", "0", "tree 0 has 0 nodes"),
    "other number of nodes": ("tree.tree_param.num_nodes", "3", "has .* entries, 3 are needed"),
    "too many nodes": ("tree.tree_param.num_nodes", "4294967295", "tree 0 has 4294967295 nodes"),
    "text as a number": ("tree.tree_param.num_nodes", "³", "num_nodes is '³', not a whole number"),
    "deleted nodes": ("tree.tree_param.num_deleted", "2", "2 deleted nodes in tree 0, expected are 0"),
    "vector leaves": ("tree.tree_param.size_leaf_vector", "3", "leaves of several values"),
    "features of a tree": ("tree.tree_param.num_feature", "9", "9 features in tree 0, expected are 5"),
    "id": ("tree.id", 5, "5 as id of tree 0"),
    "no tree": ("forest.trees.1", None, "tree 1 is no object"),
    "other number of trees": ("forest.gbtree_model_param.num_trees", "8", "8 trees, expected are 9"),
    "no parallel trees": ("forest.gbtree_model_param.num_parallel_tree", "0", "num_parallel_tree is 0, with 9 trees"),
    "rounds beyond the trees": ("forest.iteration_indptr", [0, 3, 6, 12], "does not lead from tree 0 to 9"),
    "no rounds": ("forest.iteration_indptr", [], "does not lead from tree 0 to 9"),
    "rounds backwards": ("forest.iteration_indptr", [0, 6, 3, 9], "iteration_indptr does not rise"),
    "booster": ("booster.name", "dart", "booster is 'dart', allowed is gbtree"),
    "objective": ("learner.objective.name", "rank:ndcg", "objective is 'rank:ndcg', allowed are binary:logistic and"),
    "binary for three": ("learner.objective.name", "binary:logistic", "tells two classes apart, and 3 are expected"),
    "classes": ("learner.learner_model_param.num_class", "4", "4 outputs, expected are 3"),
    "features": ("learner.learner_model_param.num_feature", "4", "4 features, expected are 5"),
    "targets": ("learner.learner_model_param.num_target", "2", "2 targets, expected are 1"),
    "start that is no number": ("learner.learner_model_param.base_score", "x", "base_score is 'x', not numbers"),
    "start that is not finite": ("learner.learner_model_param.base_score", "[nan,0,0]", "not finite in float32"),
    "start of too many": ("learner.learner_model_param.base_score", "[1,2]", "base_score has 2 values for 3 outputs"),
    "endless start": ("learner.learner_model_param.base_score", "1" * 10**4, "base_score has 0 values"),
    "missing part": ("learner.objective", None, "objective of the model is of type NoneType, needed is dict"),
    "old version": ("document.version", [1, 6, 0], r"version \[1, 6, 0\]; models of XGBoost 3.0 and later are read"),
}


def put(document, place, value):
    """Put a value at a place such as ``tree.left_children.0``."""
    roots = {
        "document": document,
        "learner": document["learner"],
        "booster": document["learner"]["gradient_booster"],
        "forest": forest(document),
        "tree": tree(document),
    }
    first, *path, last = place.split(".")
    node = roots[first]
    for step in path:
        node = node[step]
    node[int(last) if isinstance(node, list) else last] = value


@pytest.mark.parametrize("kind", ENTRY)
def test_every_kind_of_edit_is_refused(kind):
    """An edited model is a named error that says what is wrong, and XGBoost does not see it."""
    place, value, match = ENTRY[kind]
    with pytest.raises(ModelError, match=rf"The XGBoost model is damaged or not one that fusionfer writes: .*{match}"):
        check(edited(lambda document: put(document, place, value)))


def test_cycles():
    """A node whose child is itself, or a node above it, is refused."""
    inner = [i for i, child in enumerate(tree(json.loads(MULTI))["left_children"]) if child != -1]
    for above in inner[1:]:
        with pytest.raises(ModelError, match="tree 0 has a child before its parent: a cycle"):
            check(edited(lambda document, above=above: put(document, f"tree.left_children.{inner[-1]}", above)))
    assert len(inner) >= 3


def test_orphans_in_a_ring():
    """Two nodes that are each other's parent, reached by nobody, are refused."""

    def edit(document):
        put(document, "forest.trees", [tree(document)])
        put(document, "forest.tree_info", [0])
        put(document, "forest.iteration_indptr", [0, 1])
        put(document, "forest.gbtree_model_param.num_trees", "1")
        ring = {"left_children": [-1, 2, 1], "right_children": [-1, 2, 1], "parents": [2**31 - 1, 2, 1]}
        for name, values in tree(document).items():
            if isinstance(values, list) and values:
                tree(document)[name] = ring.get(name, values[:3])
        put(document, "tree.tree_param.num_nodes", "3")

    with pytest.raises(ModelError, match="child before its parent: a cycle"):
        check(edited(edit))


def test_chains_that_would_overflow_the_stack():
    """A tree that is one long chain is refused: some functions of XGBoost walk trees recursively."""

    def edit(document):
        n = 2 * 600 + 1
        left = [i + 1 if i % 2 == 0 and i < n - 1 else -1 for i in range(n)]
        right = [i + 2 if i % 2 == 0 and i < n - 1 else -1 for i in range(n)]
        parents = [2**31 - 1, *((i - 1) // 2 * 2 for i in range(1, n))]
        for name, values in tree(document).items():
            if isinstance(values, list) and values:
                tree(document)[name] = [0] * n
        tree(document).update(left_children=left, right_children=right, parents=parents)
        put(document, "tree.tree_param.num_nodes", str(n))

    with pytest.raises(ModelError, match="tree 0 is deeper than 512"):
        check(edited(edit))


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (b"", "it is no JSON"),
        (MULTI[:-2], "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"\xff\xfe\xff", "it is no JSON"),
        (b"[]", "it is JSON, but not of a model of XGBoost"),
        (MULTI.replace(b'"learner"', b'"lerner"', 1), "learner of the model is missing"),
        (re.sub(rb'"split_conditions":\[[^,]*', b'"split_conditions":[NaN', MULTI), "not finite in float32"),
    ],
)
def test_what_is_no_model(model, match):
    """Files that are no JSON of a model are named errors."""
    with pytest.raises(ModelError, match=match):
        check(model)


def test_the_binary_form_is_refused():
    """UBJSON, XGBoost's other format, is not read."""
    booster = xgboost.Booster()
    booster.load_model(bytearray(MULTI))
    with pytest.raises(ModelError, match=r"it is no JSON \(XGBoost's binary UBJSON is not read\)"):
        check(bytes(booster.save_raw("ubj")))


def test_other_boosters_are_refused():
    """Models that our heads never write, though XGBoost does, are refused: dart, linear, pruned, vector leaves."""
    for params, match in [
        ({"booster": "dart"}, "booster is 'dart'"),
        ({"booster": "gblinear", "max_depth": None}, "booster is 'gblinear'"),
        ({"tree_method": "exact", "gamma": 1.0}, "deleted nodes in tree"),
        ({"multi_strategy": "multi_output_tree"}, "leaves of several values|is missing|entries"),
    ]:
        with pytest.raises(ModelError, match=match):
            check(grow(3, "multi:softprob", **params))


def test_sizes_are_bounded(monkeypatch):
    """A document that is too long is refused before it is parsed."""
    monkeypatch.setattr("fusionfer.heads.boosting._checking._MAX_BYTES", 1000)
    with pytest.raises(ModelError, match=r"bytes, at most 1000 are read"):
        check(MULTI)


def test_probability_of_a_binary_model():
    """The start value of a binary model is a probability; one that is 0 in float32 is none."""
    model = grow(2, "binary:logistic")
    for value in ("[1.5E0]", "[1E-60]", "[9.9999999999E-1]", "[0]"):
        with pytest.raises(ModelError, match="of binary:logistic it is a probability between 0 and 1"):
            check(edited(lambda d, v=value: put(d, "learner.learner_model_param.base_score", v), model), n_classes=2)


def test_what_xgboost_refuses_is_named(monkeypatch):
    """Should XGBoost itself refuse what passed, the error says so in one line."""
    monkeypatch.setattr("fusionfer.heads.boosting._checking.checked_model", lambda *_, **__: b'{"learner": {}}')
    with pytest.raises(ModelError, match=r"passed fusionfer's checks, but XGBoost [\d.]+ refuses it: [^\n]+$"):
        load_booster(b"", n_features=1, n_classes=2)


CHILD = """
import json, pickle, struct, sys
import numpy as np, xgboost
X = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
X[::3, 2] = np.nan
data = xgboost.DMatrix(X, nthread=1)
while head := sys.stdin.buffer.read(4):
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(sys.stdin.buffer.read(struct.unpack("<I", head)[0])))
    result = [booster.predict(data), booster.inplace_predict(X), booster.predict(data, pred_leaf=True)]
    result += [booster.predict(data, pred_contribs=True), booster.predict(data, output_margin=True)]
    for end in range(1, booster.num_boosted_rounds() + 1):
        result.append(booster[:end].predict(data, iteration_range=(0, end)))
    booster.get_dump(with_stats=True), booster.get_score(importance_type="gain"), pickle.dumps(booster)
    answer = json.dumps([part.shape for part in result]).encode()
    sys.stdout.buffer.write(struct.pack("<I", len(answer)) + answer)
    sys.stdout.buffer.flush()
"""


class Child:
    """A process in which XGBoost uses documents; a new one after a death, so that hypothesis can shrink."""

    def __init__(self):
        self.process = None

    def use(self, document):
        """Load and use a document, and return the shapes of the results; fail if the process dies of it."""
        if self.process is None:
            command = [sys.executable, "-c", CHILD]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(struct.pack("<I", len(document)) + document)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        if not head:
            code = self.end()
            pytest.fail(f"XGBoost died with code {code} of {document!r}")
        return [tuple(shape) for shape in json.loads(self.process.stdout.read(struct.unpack("<I", head)[0]))]

    def end(self):
        """Let the process end, and return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.stdin.close()
        process.stdout.close()
        return process.wait()


@pytest.fixture
def child():
    child = Child()
    yield child
    assert child.end() == 0


def places(node, path=()):
    """Yield the paths of all values in a document."""
    yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(value, (*path, key))


SMALL = grow(3, "multi:softprob", rounds=1, max_depth=2)
PLACES = [path for path in places(json.loads(SMALL)) if path]
INDEX_NAMES = {"left_children", "right_children", "parents", "split_indices", "tree_info", "iteration_indptr"}
INDICES = [path for path in PLACES if INDEX_NAMES & {*path}]
VALUES = st.one_of(
    st.sampled_from([2**31 - 1, 2**31 - 2, 10**9, -(10**9), 10**6]),
    st.integers(-3, 9),
    st.sampled_from(
        [2**31 - 1, -(2**31), 2**32, 2**63, 10**30, -0.0, 1e38, 1e39, 1e-60, 0.5, True, None, "", "x", [], {}]
    ),
    st.integers(-1, 12).map(str),
    st.floats(-10, 10),
    st.sampled_from(["[5E-1]", "[1,2,3]", "[1e30,-1e30,0]", "multi:softprob", "binary:logistic", "dart"]),
)
ACTIONS = st.sampled_from(["set", "set", "set", "copy", "drop", "swap"])
EDITS = st.lists(st.tuples(st.sampled_from(PLACES + INDICES), ACTIONS, VALUES), max_size=3)


def apply(document, path, kind, value):
    """Change a document at a path: another value, none, an entry twice, or swapped with the next."""
    node = document
    try:
        for step in path[:-1]:
            node = node[step]
        last = path[-1]
        if kind == "set":
            node[last] = value
        elif kind == "drop":
            del node[last]
        elif isinstance(node, list):
            node[last : last + 2] = (
                [node[last]] * 2 + node[last + 1 :][:1] if kind == "copy" else node[last : last + 2][::-1]
            )
    except (LookupError, TypeError, AttributeError):
        pass  # an earlier edit took this place away


def test_whatever_passes_does_not_crash(child):
    """XGBoost loads, predicts, dumps and slices whatever of many random edits the checks let through."""
    passed = []

    @settings(
        max_examples=1000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(EDITS)
    def run(edits):
        document = json.loads(SMALL)
        for edit in edits:
            apply(document, *edit)
        try:
            checked = check(json.dumps(document).encode())
        except ModelError:
            return
        assert child.use(checked)[0] == (30, 3)
        passed.append(checked)

    run()
    assert len(set(passed)) > 10  # the edits are not so wild that nothing passes
