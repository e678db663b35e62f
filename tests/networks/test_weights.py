"""State dicts: read without executing, loaded only where they fit."""

import hashlib
import pickle

import pytest
import safetensors.torch
import torch

from fusionfer.exceptions import WeightsError
from fusionfer.networks import build_module, load_into, read_state_dict, state_hash


@pytest.fixture(scope="module")
def resnet():
    return build_module("resnet34", seed=1)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_round_trip_and_hash(tmp_path, resnet, suffix):
    """Both formats give back equal tensors and the SHA-256 of the file."""
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(resnet.state_dict(), path)
    else:
        safetensors.torch.save_file(resnet.state_dict(), path, metadata={"made": "here"})
    state = read_state_dict(path)
    assert state.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    other = build_module("resnet34", seed=2)
    assert state_hash(other) != state_hash(resnet)
    load_into(other, state, name="resnet34", last_layer="fc")
    assert state_hash(other) == state_hash(resnet)
    assert state.metadata == ({"made": "here"} if suffix == ".safetensors" else {})


def test_wrapped_and_prefixed_state_dicts_are_understood(tmp_path, resnet):
    """Training scripts save {"state_dict": {"module.conv1.weight": ...}}: both are taken off."""
    path = tmp_path / "w.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in resnet.state_dict().items()}}, path)
    assert set(read_state_dict(path).tensors) == set(resnet.state_dict())


def test_another_number_of_classes_is_welcome(tmp_path):
    """A fine-tuned last layer of 7 classes replaces that of 1000."""
    module = build_module("resnet34")
    module.fc = torch.nn.Linear(512, 7)
    path = tmp_path / "w.pth"
    torch.save(module.state_dict(), path)
    other = load_into(build_module("resnet34"), read_state_dict(path), name="resnet34", last_layer="fc")
    assert other.fc.out_features == 7
    assert torch.equal(other.fc.weight, module.fc.weight)


def test_other_mismatches_are_listed(tmp_path, resnet):
    """Fault 23: missing, unexpected and misshaped entries are each counted and named."""
    state = dict(resnet.state_dict())
    del state["conv1.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["layer1.0.bn1.weight"] = torch.zeros(3)
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"1 missing \(conv1.weight\); 1 unexpected \(extra.weight\); 1 of another"):
        load_into(build_module("resnet34"), read_state_dict(path), name="resnet34", last_layer="fc")


class _Bomb:
    def __reduce__(self):
        return print, ("executed",)


def test_code_in_a_weight_file_is_refused_and_not_run(tmp_path, capsys):
    """Fault 23: a pickle that would call a function raises our error, and the function is not called."""
    for name, save in [("a.pth", lambda f: pickle.dump(_Bomb(), f)), ("b.pth", lambda f: torch.save(_Bomb(), f))]:
        path = tmp_path / name
        with path.open("wb") as file:
            save(file)
        with pytest.raises(WeightsError, match="no plain state dict, or is damaged, and was not executed"):
            read_state_dict(path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("cut", [0, 1, 100, -100])
def test_damaged_files_are_named(tmp_path, resnet, suffix, cut):
    """Fault 23: empty and truncated files give our error with the path, at several lengths."""
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(resnet.state_dict(), path)
    else:
        safetensors.torch.save_file(resnet.state_dict(), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(WeightsError, match=path.name.replace(".", r"\.")):
        read_state_dict(path)


def test_missing_file_unknown_suffix_and_no_mapping(tmp_path):
    """Each says what is wrong with the path or the content."""
    with pytest.raises(WeightsError, match="Cannot read the weights"):
        read_state_dict(tmp_path / "gone.pth")
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"must be a \.pth, \.pt or \.safetensors file, got '\.h5'"):
        read_state_dict(tmp_path / "w.h5")
    torch.save(torch.zeros(3), tmp_path / "t.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "t.pth")
    torch.save({"lr": 0.1}, tmp_path / "o.pth")
    with pytest.raises(WeightsError, match="holds tensors only; these entries are none: lr"):
        read_state_dict(tmp_path / "o.pth")


def test_old_densenet_names_are_translated(tmp_path):
    """The published DenseNet121 file says norm.1 where the module says norm1."""
    module = build_module("densenet121")
    new = {name for name in module.state_dict() if not name.endswith("num_batches_tracked")}  # not in files of 2017
    state = {k.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): module.state_dict()[k] for k in new}
    assert set(state) != new
    path = tmp_path / "w.pth"
    torch.save(state, path)
    assert set(read_state_dict(path).tensors) == new
