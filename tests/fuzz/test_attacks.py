"""Each file of the corpus is refused by an error of ours, soon, in little memory, and without harm."""

import os
import re
import time

import pytest

from benchmarks.reliability.fuzz import peak_growth
from fusionfer.exceptions import FusionferError

SECONDS = 10.0  # a busy machine; alone, each takes less than one
MEMORY = 400 << 20


def test_attack(attack, corpus, tmp_path, monkeypatch):
    """The reader refuses the file (or reads what is harmless in it), and nothing of what it tries comes about."""
    made = corpus.ATTACKS[attack]
    if made.make.__name__ in ("named_pipe", "model_pipe") and not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / made.file
    made.make(path)
    victim = tmp_path / "victim"
    before = victim.read_bytes() if victim.exists() else b""
    read = corpus.readers()[made.reader]
    used, started = peak_growth(start=True), time.perf_counter()
    said = ""
    try:
        read(path)
    except FusionferError as error:
        said = str(error)
    taken, memory = time.perf_counter() - started, peak_growth(start=False) - used
    assert bool(said) == bool(made.said), said
    assert re.search(made.said, said), said
    assert len(said) < 2000
    assert said.isprintable()
    assert taken < SECONDS
    assert memory < MEMORY
    assert not (tmp_path / corpus.HARM).exists()
    assert not victim.exists() or victim.read_bytes() == before


def test_what_is_attacked_is_good(corpus, tmp_path):
    """The files that the attacks are made from are read; else any refusal would do."""
    good = tmp_path / "good.h5"
    good.write_bytes(corpus.GOLDEN.read_bytes())
    assert corpus.readers()["cache"](good)["names"] == ("resnet34", "penultimate", 3, 2)
    model = tmp_path / "good.fusionfer"
    corpus.rewritten(model, lambda members, manifest: None)
    from fusionfer.persistence import load_model

    assert load_model(model).classes == ("a", "b")
