"""The corpus of attacks, a package that lies beside the tests."""

import importlib
from pathlib import Path

import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).parent))
    CORPUS = importlib.import_module("attacks")


def pytest_generate_tests(metafunc):
    """Give a test that takes `attack` the name of each."""
    if "attack" in metafunc.fixturenames:
        metafunc.parametrize("attack", CORPUS.ATTACKS)


@pytest.fixture(scope="session")
def corpus():
    """The package `attacks`."""
    return CORPUS
