"""Verbs say what they will take, take no more under a real limit, and refuse with the figure what is not allowed."""

import json
import os
import re
import subprocess
import sys

import pytest

from fusionfer.memory import parse_bytes

MB = 1 << 20

#: Run in a process of its own: the command, with RLIMIT_DATA set to the estimate when that is known, and ADDRESSES for
#: what the limit counts although nothing ever lies there: stacks, arenas, data of libraries.
DRIVER = """
import json, resource, sys
from fusionfer.cli import main
from fusionfer.memory import Estimate, PeakMemory

addresses, told = int(sys.argv.pop(1)), {}
require = Estimate.require

def limited(self, limit, remedy=""):
    told["estimate"] = self.bytes
    resource.setrlimit(resource.RLIMIT_DATA, (self.bytes + addresses,) * 2)
    require(self, limit, remedy)

Estimate.require = limited
with PeakMemory(0.02) as peak:
    try:
        main()
    except SystemExit as end:
        told["code"] = end.code
print(json.dumps({**told, "peak": peak.bytes}), file=sys.stderr)
"""
ADDRESSES = 200 * MB


@pytest.fixture(scope="module")
def paths(shared_faces, shared_cache, shared_model, tmp_path_factory):
    """What words in braces stand for."""
    out = tmp_path_factory.mktemp("memory")
    return {"faces": shared_faces, "cache": shared_cache, "model": shared_model, "out": out}


EXTRACT = ["extract", "{faces}", "--backbone", "resnet34", "--weights", "none", "--size", "32", "--cache", "{out}/new"]
COMMANDS = {
    "eda": ["eda", "{faces}", "--figure", "{out}/eda.png"],
    "audit": ["audit", "{faces}", "--features", "{cache}"],
    "extract": EXTRACT,
    "report": ["report", "{model}", "--cache", "{cache}", "--data", "{faces}", "--out", "{out}/report"],
    "cache verify": ["cache", "verify", "{cache}"],
    "fit with ecoc": ["fit", "{cache}", "--folds", "3", "--overwrite", "--out", "{out}/fitted"],
    "evaluate": ["evaluate", "{cache}", "--model", "{model}"],
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts so on Linux alone")
@pytest.mark.parametrize("verb", COMMANDS)
def test_under_a_real_limit(verb, paths):
    """The command passes with no more memory than it asked for, and did not ask for three times what it took."""
    words = [word.format(**paths) for word in COMMANDS[verb]]
    few = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(ADDRESSES), *words],
        capture_output=True, text=True, env={**os.environ, **few}, check=False,
    )  # fmt: skip
    found = json.loads(done.stderr.splitlines()[-1])
    assert found["code"] == 0, done.stderr
    assert f"fusionfer: {verb}: about " in done.stderr
    assert found["peak"] < found["estimate"] < 3 * found["peak"]


HEAVY = {
    **COMMANDS,
    "predict": ["predict", "{faces}", "--model", "{model}"],
    "explain": ["explain", "{faces}", "--model", "{model}", "--out", "{out}/why"],
    "export": ["export", "--model", "{model}", "--onnx", "{out}/model.onnx"],
    "train": ["train", "{faces}", "--network", "mobilenet_v2", "--out", "{out}/trained"],
    "demo": ["demo", "--out", "{out}/demo"],
    "replay": ["replay", "singh-mandloi-2025", "--data", "{faces}", "--limit", "20", "--weights", "none",
               "--out", "{out}/replay", "--cache", "{out}/replay-cache"],
    "cache merge": ["cache", "merge", "{cache}", "{cache}", "--out", "{out}/merged"],
    "cache repair": ["cache", "repair", "{cache}", "{faces}"],
    "live": ["live", "--images", "{faces}", "--model", "{model}", "--csv", "{out}/live.csv"],
}  # fmt: skip


@pytest.mark.parametrize("verb", [verb for verb in HEAVY if verb != "cache verify"])
def test_too_little_is_refused_with_the_figure(verb, paths, cli):
    """One line that says how much it would take, exit code 1, and nothing is written."""
    before = sorted(paths["out"].rglob("*"))
    outcome = cli(*(word.format(**paths) for word in HEAVY[verb]), "--memory", "64M")
    assert outcome.code == 1
    told = rf"error: {verb} would take about ([\d.,]+ [GM]B) of memory \(.*\), and 64 MB are allowed"
    found = re.search(told, outcome.error)
    assert found, outcome.error
    assert parse_bytes(found[1].replace(",", "")) > 64 * MB
    assert sorted(paths["out"].rglob("*")) == before


def test_what_fits_is_done(paths, cli):
    """Caches are checked block by block, which fits where networks do not; nothing is said after that."""
    outcome = cli(*(word.format(**paths) for word in COMMANDS["cache verify"]), "--memory", "4G")
    assert (outcome.code, outcome.notes) == (0, "")
    assert outcome.err.startswith("fusionfer: cache verify: about ")


def test_a_batch_size_that_fits_is_named(paths, cli):
    """Batches decide bits, so they are not made smaller unasked; the size that is named is then allowed."""
    words = [word.format(**paths) for word in EXTRACT] + ["--size", "224", "--batch-size", "512", "--memory", "1300M"]
    outcome = cli(*words)
    assert outcome.code == 1
    named = re.search(r"--batch-size (\d+) would fit", outcome.error)[1]
    assert int(named) in {256, 128, 64, 32}
    # Weights that are not there are looked for after the estimate, and before anything is computed.
    words[words.index("none")] = str(paths["out"] / "missing.pth")
    assert "missing.pth" in cli(*words, "--batch-size", named).error
    assert f"--batch-size {named} would fit" in cli(*words, "--batch-size", 2 * int(named)).error


def test_the_line_is_said_once_and_not_to_the_quiet(paths, cli):
    """A line before the work; none with --quiet, none where arguments are wrong."""
    words = [word.format(**paths) for word in COMMANDS["eda"]]
    assert cli(*words).err.count("of memory and") == 1
    assert cli(*words, "--quiet").err == ""
    assert "of memory and" not in cli("eda", paths["faces"], "--samples", "-1").err


@pytest.mark.parametrize("text", ["much", "4X", "1M"])
def test_what_is_no_size_is_refused(text, paths, cli):
    """Wrong usage, in one line that shows it."""
    outcome = cli("eda", paths["faces"], "--memory", text)
    assert outcome.code == 2
    assert repr(text) in outcome.err.splitlines()[-1]


def test_more_than_was_allowed_is_told(paths, cli, monkeypatch):
    """Where an estimate was too low, the user learns it when the step is done."""
    monkeypatch.setattr("fusionfer.memory.anonymous_bytes", lambda: 700 * MB)
    outcome = cli("eda", paths["faces"], "--memory", "600M")
    assert outcome.code == 0
    assert outcome.err.splitlines()[-1].startswith("fusionfer: eda took 700 MB of memory, more than --memory allows")
