"""The corpus of attacks, which lies beside the tests as a script."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load():
    spec = importlib.util.spec_from_file_location("attacks", Path(__file__).with_name("attacks.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["attacks"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


CORPUS = _load()


def pytest_generate_tests(metafunc):
    """Give a test that takes `attack` the name of each."""
    if "attack" in metafunc.fixturenames:
        metafunc.parametrize("attack", CORPUS.ATTACKS)


@pytest.fixture(scope="session")
def corpus():
    """The module `attacks`."""
    return CORPUS
