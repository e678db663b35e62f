"""Estimators go to disk and back unchanged; nothing that is not trusted is built."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from fusionfer.exceptions import ModelError, UntrustedTypeError
from fusionfer.fusion import BlockScaler
from fusionfer.heads import HEADS, make_head
from fusionfer.persistence import TRUSTED_TYPES, describe_model, load_model, save_model
from fusionfer.persistence._estimators import dump_estimator, load_estimator, type_name
from fusionfer.selection import HybridSelector

TREE = "sklearn.tree._tree.Tree"

#: Parameters that make a head quick to fit to a few rows.
SMALL = {name: {"n_rounds": 4} for name in HEADS if name.startswith("xgb")}


def fitted(name, data, classes):
    """Return a listed head fitted to the rows of some classes, and these rows."""
    rows = np.isin(data[1], classes)
    X = data[0][rows].astype(np.float32)
    return make_head(name, **SMALL.get(name, {})).fit(X, data[1][rows]), X


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        SVC(random_state=0),
        LinearSVC(),
        SGDClassifier(random_state=0),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), LogisticRegression(class_weight={"anger": 2.0, "fear": 1.0, "joy": 1.0})),
        RandomForestClassifier(n_estimators=5, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_predictions_survive(make_model, data, tmp_path, estimator):
    """A saved classifier predicts the very same, whichever it is."""
    model = make_model(estimator)
    path = save_model(model, tmp_path / "m")
    trust = describe_model(path)["estimator"]["needs_trust"]
    assert bool(trust) == isinstance(estimator, RandomForestClassifier | KNeighborsClassifier)
    again = load_model(path, trust=trust)
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"
    np.testing.assert_array_equal(getattr(again.estimator, method)(data[0]), getattr(model.estimator, method)(data[0]))


@pytest.mark.parametrize("classes", [("anger", "fear", "joy"), ("anger", "joy")], ids=["three", "two"])
@pytest.mark.parametrize("name", HEADS)
def test_every_head_comes_back_the_same(data, name, classes):
    """Every listed head is saved without pickle, loads without being asked for, and gives the same to the bit."""
    head, _ = fitted(name, data, classes)
    X = data[0].astype(np.float32)
    stored, untrusted = dump_estimator(head)
    assert untrusted == []
    again = load_estimator(stored, "m")
    assert type(again) is type(head)
    assert again.get_params().keys() == head.get_params().keys()
    np.testing.assert_array_equal(again.classes_, head.classes_)
    for method in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(again, method)(X), getattr(head, method)(X), err_msg=method)
    assert dump_estimator(again)[0] == stored  # using it has left nothing in it


@pytest.mark.parametrize("name", HEADS)
def test_heads_in_a_pipeline_and_in_the_selector(make_model, data, tmp_path, name):
    """Block scaling and every head, alone and inside the selector, go through a model file."""
    blocks = {"a": slice(0, 2), "b": slice(2, 5)}
    for estimator in (
        make_pipeline(BlockScaler(blocks), make_head(name, **SMALL.get(name, {}))),
        HybridSelector(make_head(name, **SMALL.get(name, {})), blocks, cv=2, random_state=0),
    ):
        model = make_model(estimator)
        again = load_model(save_model(model, tmp_path / "m"))
        np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
        np.testing.assert_array_equal(again.predict_proba(data[0]), model.predict_proba(data[0]))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_trusted_by_its_line_in_the_list(name):
    """The line of a head names the class where it is defined: that is the name which stands in files."""
    target = HEADS[name].load()
    assert HEADS[name].target == f"{target.__module__}:{target.__qualname__}"
    assert type_name(make_head(name)) in TRUSTED_TYPES


def test_other_trusted_types_are_where_they_are_said_to_be():
    """The names of the two composites are those that stand in files."""
    assert {type_name(BlockScaler()), type_name(HybridSelector("ecoc"))} < set(TRUSTED_TYPES)


def stock_models(head):
    """Names of the attributes that hold a stock model as JSON."""
    return [name for name, value in vars(head).items() if isinstance(value, np.ndarray) and value.dtype == np.uint8]


@pytest.mark.parametrize("name", [name for name in HEADS if name.startswith("xgb")])
def test_stock_models_in_a_file_are_checked_before_they_are_used(data, name):
    """A model of XGBoost in a saved head, edited so that XGBoost would crash, is a named error when first used."""
    head, X = fitted(name, data, ("anger", "fear", "joy"))
    assert stock_models(head)
    for attribute in stock_models(head):
        document = json.loads(getattr(head, attribute).tobytes())
        tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
        tree["split_indices"][0] = 10**9
        spoilt = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
        crafted_head = load_estimator(dump_estimator(head)[0], "m")
        setattr(crafted_head, attribute, spoilt)
        loaded = load_estimator(dump_estimator(crafted_head)[0], "m")
        with pytest.raises(ModelError, match="split_indices of tree 0 has 1000000000, allowed are 0 to 4"):
            loaded.predict(X)


def test_other_types_are_named_with_the_option_to_repeat(make_model, tmp_path):
    """A type that is not trusted is refused, and the error says exactly what to type."""
    path = save_model(make_model(RandomForestClassifier(n_estimators=2, random_state=0)), tmp_path / "m")
    with pytest.raises(UntrustedTypeError, match=f"repeat with --trust {TREE} "):
        load_model(path)
    assert load_model(path, trust=TREE).classes == ("anger", "fear", "joy")


def test_several_types_are_listed_at_once(make_model, tmp_path):
    """All types that are not trusted stand in one error; trusting them all loads the model."""
    path = save_model(make_model(CalibratedClassifierCV(LinearSVC(), cv=2)), tmp_path / "m")
    with pytest.raises(UntrustedTypeError) as caught:
        load_model(path)
    needed = re.findall(r"--trust (\S+)", str(caught.value))
    assert needed == ["sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration"]
    assert load_model(path, trust=needed)


def test_what_cannot_be_saved_is_named(make_model):
    """An estimator that holds a thing without a safe form is refused when saving, not when loading."""
    model = make_model()
    match = r"A sklearn\.linear_model\._logistic\.LogisticRegression cannot be saved"
    with open(os.devnull) as model.estimator.open_file_, pytest.raises(ModelError, match=match):
        dump_estimator(model.estimator)


def test_same_estimator_same_bytes(data):
    """Two fits alike give the same bytes, in one process and in another."""
    code = (
        "import hashlib, numpy as np; from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler; from sklearn.svm import SVC\n"
        "from fusionfer.persistence._estimators import dump_estimator\n"
        "X = np.arange(40.0).reshape(20, 2) % 7; y = np.repeat(['a', 'b'], 10)\n"
        "for _ in range(2):\n"
        "    estimator = make_pipeline(StandardScaler(), SVC()).fit(X, y)\n"
        "    print(hashlib.sha256(dump_estimator(estimator)[0]).hexdigest())\n"
    )
    hashes = [
        line
        for seed in "12"
        for line in subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    ]
    assert len(hashes) == 4
    assert len(set(hashes)) == 1


def node(module, name, loader, **rest):
    """Return one node of a skops schema."""
    return {"__module__": module, "__class__": name, "__loader__": loader, **rest}


def crafted(marker):
    """Return schemas that name something dangerous in each place where skops looks up a name; it would leave a file."""
    command = node("builtins", "str", "JsonNode", content=json.dumps(f"touch {marker}"))
    arguments = node("builtins", "tuple", "TupleNode", content=[command])
    no_types = node("builtins", "list", "ListNode", content=[])
    nothing = node("builtins", "dict", "DictNode", content={}, key_types=no_types)
    system = (os.name, "system")
    partial = {"func": node(*system, "FunctionNode"), "args": arguments, "kwds": nothing, "namespace": nothing}
    key_types = {**no_types, "content": [node(*system, "TypeNode")]}
    return {
        "constructor": node(*system, "ConstructorFromReduceNode", content=arguments),
        "function": node(*system, "FunctionNode"),
        "loss": node(*system, "LossNode", __reduce__={"args": arguments}, content=nothing),
        "partial": node("functools", "partial", "PartialNode", content=partial),
        "key type": {**nothing, "key_types": key_types, "content": {f"touch {marker}": command}},
        "list type": node(*system, "ListNode", content=[command]),
        "object": node("subprocess", "Popen", "ObjectNode", content=nothing),
        "operator": node("operator", "methodcaller", "OperatorFuncNode", attrs=arguments),
    }


@pytest.mark.parametrize("kind", sorted(crafted("")))
def test_crafted_files_do_not_run(rewrite, skops_file, tmp_path, kind):
    """A file with a dangerous name in it is refused by name, and the command in it has not run."""
    marker = tmp_path / "ran"
    path = rewrite(members={"estimator.skops": skops_file(crafted(marker)[kind])})
    with pytest.raises(UntrustedTypeError, match=r"--trust (posix|functools|subprocess|operator)\."):
        load_model(path)
    assert not marker.exists()


def test_old_readers_are_not_used(rewrite, skops_file, tmp_path):
    """An estimator that asks for skops' readers of old files, which check less, is refused."""
    stored = skops_file(crafted(tmp_path / "ran")["function"], protocol=0)
    with pytest.raises(ModelError, match="has skops protocol 0"):
        load_model(rewrite(members={"estimator.skops": stored}))


@pytest.mark.parametrize(
    "schema",
    [{}, {"__class__": "str", "__module__": "builtins"}, {"__class__": "x", "__module__": "y", "__loader__": "NoNode"}],
)
def test_damaged_estimators_are_named(skops_file, schema):
    """A skops file that makes no sense is a named error."""
    with pytest.raises(ModelError, match="The estimator in m cannot be built"):
        load_estimator(skops_file(schema), "m")


def test_compressed_estimators_are_refused(skops_file):
    """A bomb needs compression; the inner archive may not have any either."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}" + " " * 100_000)
    with pytest.raises(ModelError, match="The estimator in m is damaged or was not written by fusionfer"):
        load_estimator(buffer.getvalue(), "m")


PROLOGUE = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from fusionfer.persistence import Model, load_model, save_model
X = np.array([[0.0], [1.0], [0.1], [0.9]])
block = {"backbone": "a", "level": "b", "dim": 1, "key": {}, "record": {}}
model = Model(LogisticRegression().fit(X, ["x", "y", "x", "y"]), {"a:b": block}, ("x", "y"))
"""


def run(code, folder):
    """Run code in a fresh Python and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_saving_and_loading_do_not_load_torch(tmp_path):
    """After a model was saved and loaded torch is not loaded, no trace is left, and it can still be imported."""
    code = """
assert "skops" not in sys.modules and "torch" not in sys.modules
load_model(save_model(model, "m"))
print("torch" in sys.modules, "skops.io" in sys.modules)
import torch
print(int(torch.ones(2).sum()))
"""
    assert run(code, tmp_path) == ["False", "True", "2"]


def test_a_model_is_the_first_thing_that_a_process_loads(tmp_path):
    """Loading needs nothing imported before it: scipy computes at import, while torch is hidden."""
    run('save_model(model, "m")', tmp_path)
    code = "import sys\nfrom fusionfer.persistence import load_model\n"
    code += "print(len(load_model('m').classes), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "False"], done.stderr


def test_nothing_is_hidden_where_torch_is_loaded(tmp_path):
    """With torch in use already, it stays the same module."""
    code = """
import types
sys.modules["torch"] = stand_in = types.ModuleType("torch")
save_model(model, "m")
print(sys.modules["torch"] is stand_in)
"""
    assert run(code, tmp_path) == ["True"]
