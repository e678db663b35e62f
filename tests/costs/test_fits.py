"""What `estimate_fit` says of heads, folds side by side and workers; from shapes alone, nothing is fitted."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from fusionfer.costs import MARGIN
from fusionfer.fitting import _planning, estimate_fit
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit

GB = 1 << 30
CLASSES = np.array(["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"])


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """As on the machine that was measured, in a process that holds nothing."""
    monkeypatch.setattr(_planning, "slowness", lambda: 1.0)
    monkeypatch.setattr(_planning, "cores", lambda: 2)
    monkeypatch.setattr(_planning, "anonymous_bytes", lambda: 0)


def features(n, *, mapped=False, workers=0):
    """So many rows of 512 + 2,048 columns, all of them the same bytes; 80 % of them to train on."""
    A, B = (np.broadcast_to(np.float32(0), (n, d)) for d in (512, 2048))
    X = MappedMatrix([A, B]) if mapped or workers else np.broadcast_to(np.float32(0), (n, 2560))
    if workers:
        X.team = SimpleNamespace(workers=["one"] * workers, fits=1)
    splits = np.array(["train", "train", "train", "train", "test"])[np.arange(n) % 5]
    return SimpleNamespace(
        X=X, y=CLASSES[np.arange(n) % 7], splits=splits, classes=CLASSES,
        blocks={"A": slice(0, 512), "B": slice(512, 2560)},
    )  # fmt: skip


def head_bytes(head, n=5000, **options):
    """What the head alone takes."""
    found = estimate_fit(options.pop("given", None) or features(n), [head], cv=3, **options)
    return dict(found.parts)[head if isinstance(head, str) else type(head).__name__]


@pytest.mark.parametrize("head", ["xgb", "xgb-wn", "svm-rbf", GaussianNB()])
def test_fits_side_by_side_take_as_much_as_all_of_them(head):
    """Three folds of the widest candidate, then those of the next; more than there are fits changes nothing."""
    one, two, three, nine = (head_bytes(head, n_jobs=jobs) for jobs in (1, 2, 3, 9))
    assert two == pytest.approx(2 * one, rel=1e-3)
    assert three == pytest.approx(3 * one, rel=1e-3)
    assert nine == pytest.approx(3 * one * (2560 + 2048 + 512) / 2560, rel=1e-3)
    assert head_bytes(head, n_jobs=90) == nine


@pytest.mark.parametrize("head", ["ecoc", "svm-linear", "softmax", "svm-nystroem"])
def test_fits_that_share_the_work_are_one(head):
    """Linear heads solve all folds in the same products, whatever --jobs says."""
    assert head_bytes(head, n_jobs=9) == head_bytes(head, n_jobs=1)


def test_fits_side_by_side_share_what_may_be_planned_with():
    """What one alone keeps in memory goes to files where three would keep it."""
    with memory_limit(3 * GB):
        alone, three = (head_bytes("xgb-wn", given=features(100_000, mapped=True), n_jobs=jobs) for jobs in (1, 3))
    assert three < 2 * alone


@pytest.mark.parametrize(
    ("head", "shares"),
    [
        ("ecoc", True),
        ("svm-linear", True),
        ("softmax", True),
        ("xgb", False),
        ("svm-rbf", False),
        (GaussianNB(), False),
    ],
)
def test_only_heads_for_clusters_share_rows(head, shares):
    """The rows of all others are read by this process, which needs as much as without workers."""
    alone, among_four = (head_bytes(head, given=features(400_000, mapped=True, workers=w)) for w in (0, 4))
    assert among_four < 0.7 * alone if shares else among_four == alone


def test_boosting_on_a_cluster_runs_as_many_fits_as_it_has_room_for(monkeypatch):
    """Each worker boosts its rows for all of them; what the team plans with is left as it was."""
    on_cluster = pytest.importorskip("fusionfer.fitting._on_cluster", exc_type=ImportError)
    found = {}
    for fits in (1, 2):
        monkeypatch.setattr(
            on_cluster, "folds_side_by_side", lambda team, *_, fits=fits: setattr(team, "fits", 7) or fits
        )
        given = features(40_000, workers=4)
        found[fits] = head_bytes("xgb-wn", given=given)
        assert given.X.team.fits == 1
    assert found[2] == pytest.approx(2 * found[1], rel=1e-3)
    assert found[1] < head_bytes("xgb-wn", given=features(40_000, mapped=True))


def test_workers_on_this_machine_count():
    """Each of them and the process that fits."""
    given = features(40_000, workers=3)
    elsewhere, here = (dict(estimate_fit(given, ["ecoc"], cv=3, local=local).parts) for local in (False, True))
    assert here["ecoc"] == 4 * elsewhere["ecoc"]
    assert here["rows and what is loaded"] == 4 * elsewhere["rows and what is loaded"]


def test_what_is_held_needs_no_margin(monkeypatch):
    """It is measured, not guessed."""
    few = estimate_fit(features(5000), [GaussianNB()]).bytes
    monkeypatch.setattr(_planning, "anonymous_bytes", lambda: GB)
    assert estimate_fit(features(5000), [GaussianNB()]).bytes == few + GB
    assert dict(estimate_fit(features(5000), [GaussianNB()]).parts)["margin"] == pytest.approx(
        MARGIN / (1 + MARGIN) * few, rel=0.01
    )


@pytest.mark.parametrize(
    ("head", "settings", "n", "seconds"),
    [
        ("ecoc", {"tol": 0.01}, 10_000, 9.5),
        ("ecoc", {"tol": 0.01}, 100_000, 37),
        ("ecoc", {"tol": 0.01}, 1_000_000, 488),
        ("xgb-wn", {"n_rounds": 10}, 10_000, 8.1),
        ("xgb-wn", {"n_rounds": 10}, 100_000, 59),
        ("xgb-wn", {"n_rounds": 10}, 1_000_000, 445),
    ],
)
def test_times_as_they_were_measured(head, settings, n, seconds):
    """Within a factor of two of three folds with --memory 4G, on two quiet cores."""
    with memory_limit(4 * GB):
        given = features(n, mapped=4 * n * 2560 > GB / 2)
        found = estimate_fit(given, [head], cv=3, params={head: settings}).seconds
    assert seconds / 2 < found < 2 * seconds


def test_times_are_those_of_this_machine(monkeypatch):
    """Half as fast cores take twice as long, four cores half as long."""
    one = estimate_fit(features(50_000), ["ecoc"]).seconds
    monkeypatch.setattr(_planning, "slowness", lambda: 2.0)
    assert estimate_fit(features(50_000), ["ecoc"]).seconds == pytest.approx(2 * one)
    monkeypatch.setattr(_planning, "cores", lambda: 4)
    assert one < estimate_fit(features(50_000), ["ecoc"]).seconds < 1.5 * one
