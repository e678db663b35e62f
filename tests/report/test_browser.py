"""A report in a real browser: nothing is logged, nothing is fetched, every figure is there, and a phone can show it."""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest

from fusionfer.report import (
    Section,
    Sheet,
    audit_section,
    data_section,
    features_section,
    provenance_section,
    scores_section,
    selection_section,
    write_report,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE, DESKTOP = 390, 1280

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

#: Runs in a copy of the page, whose policy forbids scripts, and tells what the browser made of it.
PROBE = """<script>addEventListener("load", () => parent.postMessage(JSON.stringify({
  width: innerWidth, needed: document.documentElement.scrollWidth, fetched: performance.getEntriesByType("resource")
    .map(entry => entry.name).filter(name => !name.startsWith("data:")),
  pictures: [...document.images].map(image => [image.complete && image.naturalWidth > 0 && image.width > 0, image.alt]),
  targets: [...document.querySelectorAll("nav a")].map(link => !!document.querySelector(link.getAttribute("href"))),
}), "*"))</script>"""
FRAME = """<!DOCTYPE html><body><script>addEventListener("message", message => {
  const told = document.createElement("pre"); told.id = "told"; told.textContent = message.data;
  document.body.append(told) })</script><iframe src="probe.html" width="%d" height="844"></iframe></body>"""


def browse(page, profile):
    """Load a page; return the document as it is then, and what it wrote to the console."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
        "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probe(page, folder, width, planted=""):
    """Return what the browser makes of a page at a width, and what was written to the console."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    (folder / "probe.html").write_text(text.replace("</body>", f"{planted}{PROBE}</body>"), "utf-8")
    (folder / "frame.html").write_text(FRAME % width, "utf-8")
    document, console = browse(folder / "frame.html", folder / "profile")
    return json.loads(unescape(re.search(r'<pre id="told">(.*?)</pre>', document, re.DOTALL).group(1))), console


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with every kind of section."""
    from fusionfer.metrics import score

    rng = np.random.default_rng(0)
    names = ["angry", "happy", "surprise <b>", "a very long name of a class that nobody has shortened"]
    y_true = np.array(names)[rng.integers(4, size=200)]
    proba = rng.random((200, 4)) + (y_true[:, None] == np.array(names))
    scores = score(y_true, np.array(names)[proba.argmax(axis=1)], proba, classes=names)
    block = {"dim": 2048, "key": {"preprocess": {"size": 48}}, "record": {"weights": {"name": "x" * 70}}}
    faces = Sheet("faces", "Some faces.", list(rng.integers(256, size=(9, 48, 40), dtype=np.uint8)), ["sad\n9 %"] * 9)
    selection = {
        "scores": {"resnet34:penultimate": [0.5, 0.6], "resnet50:penultimate": [0.4, 0.5], "both of them": [0.7, 0.6]},
        "selected": "both of them", "scoring": "accuracy", "reason": "Kept both: better than either.",
    }  # fmt: skip
    counts = {"train": dict.fromkeys(names, 3_000), "test": dict.fromkeys(names, 300)}
    return write_report(
        tmp_path_factory.mktemp("report"),
        title="A report",
        lead="62.5 % are right.",
        notes=["Some were trained on."],
        sections=[
            data_section(counts, [faces]),
            audit_section(None),
            features_section({"a": block, "b": block}, (["a", "b"], np.array([[1, 0.3], [0.3, 1]]), 4096)),
            selection_section(selection),
            scores_section(scores, y_true=y_true, proba=proba),
            Section("Mistakes", (faces._replace(name="mistakes"),)),
            provenance_section({"path": "/a/very/long/path" * 9}, ["fusionfer report " + "model " * 40]),
        ],
    )


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_every_figure_is_there_and_nothing_is_fetched(page, tmp_path, width):
    """On a phone and on a desk: pictures have pixels and words, links lead, the page does not scroll aside."""
    told, console = probe(page, tmp_path, width)
    assert told["width"] in (width, width - 15)  # less the bar at the side
    assert told["needed"] <= told["width"]
    assert len(told["pictures"]) == 2 * 9 + 4
    assert all(shown and words for shown, words in told["pictures"])
    assert told["fetched"] == []
    assert told["targets"] == [True] * 7
    assert console == []


def test_the_page_itself_is_quiet(page, tmp_path):
    """With its policy in force, which forbids scripts and all that is elsewhere, the console stays empty."""
    document, console = browse(page, tmp_path / "profile")
    assert "62.5 % are right." in document
    assert console == []


def test_the_probe_would_tell(page, tmp_path):
    """What must not happen is seen when it does: a fetched picture, one without pixels, a message, a wide page."""
    planted = (
        '<img alt="" src="http://pictures.invalid/x.png"><script>console.error("planted")</script>'
        '<div style="width: 3000px">wide</div>'
    )
    told, console = probe(page, tmp_path, PHONE, planted)
    assert told["fetched"] == ["http://pictures.invalid/x.png"]
    assert [False, ""] in told["pictures"]
    assert told["needed"] >= 3000
    assert any("planted" in line for line in console)
