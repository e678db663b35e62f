"""Tables made from any confusion matrix are never blamed; contradictions beyond rounding are found; five papers."""

import json
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from fusionfer.claims import TABLES, check_claims

DOCS = Path(__file__).parents[2] / "docs" / "claims.md"
NAMES = ["angry", "sad & so", "7", "happy"]


def labels(confusion):
    """True and predicted labels of a confusion matrix, as sklearn wants them."""
    cells = [(i, j) for (i, j), count in np.ndenumerate(confusion) for _ in range(count)]
    return zip(*cells, strict=True)


def figures(confusion, undefined):
    """Everything that a report can print, by sklearn where it has it, else written out.

    Figures without a value are 0 ("0") or nan; averages of nan leave them out.
    """
    y_true, y_pred = (np.array(one) for one in labels(confusion))
    K = range(len(confusion))
    keys = {"labels": list(K), "zero_division": 0 if undefined == "0" else np.nan}
    precision, recall, f1, support = precision_recall_fscore_support(y_true, y_pred, **keys)
    n, tp = confusion.sum(), np.diag(confusion)
    fp, fn = confusion.sum(axis=0) - tp, support - tp
    with np.errstate(invalid="ignore"):
        rows = {
            "precision": precision, "recall": recall, "sensitivity": recall, "f1": f1, "dice": f1,
            "specificity": (n - support - fp) / (n - support), "jaccard": tp / (tp + fp + fn),
            "accuracy": 1 - (fp + fn) / n,
        }  # fmt: skip
        rows["auc"] = (rows["recall"] + rows["specificity"]) / 2
    if undefined == "0":
        rows = {name: np.nan_to_num(values) for name, values in rows.items()}

    def average(values, weights):
        defined = ~np.isnan(values)
        total = weights[defined].sum()
        return float(values[defined] @ weights[defined] / total) if total else np.nan

    averages = {
        of: {name: average(values, weights) for name, values in rows.items() if name != "auc"}
        for of, weights in (("macro", np.ones(len(support))), ("weighted", support))
    }
    return {
        "accuracy": tp.sum() / n, "n": n, "support": support, "rows": rows, **averages,
        "balanced_accuracy": np.mean(recall[support > 0]),
        "shares": confusion / np.maximum(support, 1)[:, None],
    }  # fmt: skip


def printed(value, digits, rounding, percent):
    """A figure as a paper prints it."""
    if np.isnan(value):
        return "nan"
    exact = Decimal(float(value)) * (100 if percent else 1)
    return str(exact.quantize(Decimal(1).scaleb(-digits), rounding=rounding))


def toml(confusion, undefined="0", digits=4, rounding=ROUND_HALF_EVEN, percent=False, skip=(), change=None):
    """The TOML of a whole table; `change` adds to one figure, named by its place, before it is printed."""
    known = figures(confusion, undefined)
    change = change or {}

    def show(place, value):
        value = value + change.get(place, 0) if not np.isnan(value) else value
        return printed(value, digits, rounding, percent)

    names = [json.dumps(name) for name in NAMES[: len(confusion)]]
    lines = [f'unit = "{"percent" if percent else "fraction"}"', "[[reports]]", 'source = "made"', "hard_labels = true"]
    lines += [f"n = {known['n'] + change.get('n', 0)}"]
    lines += [f"{name} = {show(name, known[name])}" for name in ("accuracy", "balanced_accuracy") if name not in skip]
    for of in ("macro", "weighted"):
        cells = ", ".join(f"{name} = {show(f'{of}.{name}', value)}" for name, value in known[of].items())
        lines += [f"{of} = {{ {cells} }}"] if of not in skip else []
    kept = known["macro"] if undefined == "0" else known["weighted"]
    lines += [f"{name} = {show(name, kept[name])}" for name in ("precision", "recall", "f1", "specificity", "jaccard")]
    for k, name in enumerate(names):
        cells = [f"{figure} = {show(f'{k}.{figure}', values[k])}" for figure, values in known["rows"].items()]
        cells.append(f"support = {known['support'][k] + change.get(f'{k}.support', 0)}")
        lines += [f"classes.{name} = {{ {', '.join(cells)} }}"] if "classes" not in skip else []
    if "confusion" not in skip:
        rows = confusion.copy()
        for place, more in change.items():
            if place.startswith("cell"):
                rows[int(place[4]), int(place[5])] += more
        lines += [f"confusion.{name} = {row.tolist()}" for name, row in zip(names, rows, strict=True)]
    if not (known["support"].all() or {"classes", "confusion", "shares"} - {*skip}):
        # Nothing tells of the class without samples, and the balanced accuracy leaves it out where macro recall has 0.
        lines = [line for line in lines if not line.startswith("balanced_accuracy")]
    if "shares" not in skip:
        for name, row in zip(names, known["shares"], strict=True):
            lines.append(f"confusion_rows.{name} = [{', '.join(printed(x, digits, rounding, percent) for x in row)}]")
    return "\n".join(lines)


def check(tmp_path, text):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return check_claims(path)


matrices = st.integers(2, 4).flatmap(
    lambda K: st.lists(
        st.lists(st.one_of(st.just(0), st.integers(0, 40)), min_size=K, max_size=K), min_size=K, max_size=K
    )
).filter(lambda rows: np.sum(rows) > 0)  # fmt: skip
skips = st.sets(st.sampled_from(["classes", "confusion", "shares", "macro", "weighted", "accuracy"]))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    rows=matrices,
    undefined=st.sampled_from(["0", "nan"]),
    digits=st.integers(0, 5),
    rounding=st.sampled_from([ROUND_HALF_EVEN, ROUND_HALF_UP]),
    percent=st.booleans(),
    skip=skips,
)
def test_a_computed_table_is_never_blamed(tmp_path, rows, undefined, digits, rounding, percent, skip):
    """Whatever the matrix, the digits, the rounding, and which parts are printed: all figures agree."""
    found = check(tmp_path, toml(np.array(rows), undefined, digits, rounding, percent, skip))
    assert found.findings == ()
    assert found.comparisons


SOUND = np.array([[30, 4, 6], [5, 50, 2], [9, 1, 70]])


@pytest.mark.parametrize(
    "change",
    [
        *({f"{k}.{name}": shift} for k in range(3) for name in ("precision", "recall", "f1", "specificity", "jaccard",
          "accuracy", "auc", "sensitivity", "dice") for shift in (-0.0002, 0.0002)),
        *({f"{of}.{name}": -0.0002} for of in ("macro", "weighted")
          for name in ("precision", "recall", "f1", "specificity", "jaccard")),
        {"accuracy": 0.0002}, {"balanced_accuracy": -0.0002}, {"n": 1}, {"0.support": 1}, {"2.support": -1},
        {"cell01": 1}, {"cell22": -1}, {"precision": -0.3}, {"recall": 0.11}, {"f1": -0.3},
    ],
    ids=lambda change: str(*change),
)  # fmt: skip
@pytest.mark.parametrize("percent", [False, True])
def test_one_wrong_figure_is_found(tmp_path, change, percent):
    """A single figure that is off by two in its last digit is a finding; the same table without it has none."""
    digits = 2 if percent else 4
    assert check(tmp_path, toml(SOUND, digits=digits, percent=percent)).findings == ()
    assert check(tmp_path, toml(SOUND, digits=digits, percent=percent, change=change)).findings


@pytest.mark.parametrize(
    ("change", "skip", "because"),
    [
        ({"0.f1": 0.01}, ("confusion", "shares", "macro", "weighted"), "F1 = 2PR / (P + R)"),
        ({"0.jaccard": 0.01}, ("confusion", "shares", "macro", "weighted"), "Jaccard = F1 / (2 - F1)"),
        ({"1.auc": 0.01}, ("confusion", "shares", "macro", "weighted"), "mean of sensitivity and specificity"),
        ({"macro.accuracy": 0.01}, ("confusion", "shares", "weighted"), "is 1 - 2 (1 - accuracy) / 3"),
        ({"accuracy": 0.01}, ("confusion", "shares", "classes"), "the weighted recall is the accuracy"),
        ({"accuracy": 0.01}, ("confusion", "shares", "weighted"), "weighted by their samples, are the accuracy"),
        ({"accuracy": 0.01}, ("classes", "shares", "weighted"), "the diagonal over the sum of the confusion matrix"),
        ({"macro.f1": -0.01}, ("confusion", "shares", "weighted"), "it is the mean over the classes"),
        ({"weighted.f1": -0.01}, ("confusion", "shares", "macro"), "it is the weighted mean over the classes"),
        ({"balanced_accuracy": 0.01}, ("confusion", "shares", "macro"), "mean recall of the classes"),
        ({"n": 1}, ("confusion", "shares"), "the supports add up to the samples"),
        ({"0.sensitivity": 0.01}, ("confusion", "shares", "macro"), "recall and sensitivity are one figure"),
        ({"0.recall": 0.004, "0.sensitivity": 0.004}, ("confusion", "shares", "macro"), "a whole number of 40 samples"),
        ({"0.support": 1}, ("classes",), None),
        ({"2.precision": 0.02}, ("confusion", "shares", "macro"), "recall x support / precision adds up"),
        ({"2.specificity": 0.02}, ("confusion", "shares", "macro"), "recall x support x (1 / precision - 1)"),
        ({"2.accuracy": 0.02}, ("confusion", "shares", "macro"), "of a class against the rest"),
        ({"0.recall": 0.01, "0.sensitivity": 0.01}, ("confusion", "macro"), "on the diagonal of the normalised"),
        ({"1.support": 1}, ("shares", "macro"), "a row adds up to its class"),
    ],
)  # fmt: skip
def test_each_rule_finds_by_itself(tmp_path, change, skip, because):
    """What one rule is for, it finds where the rest of the table is missing, and says why."""
    found = check(tmp_path, toml(SOUND, change=change, skip=skip))
    reasons = " | ".join(one.because for one in found.findings)
    if because is None:  # the changed figure is not printed
        assert not found.findings
    else:
        assert because in reasons


def test_classes_of_an_incomplete_list_are_tested_too(tmp_path):
    """F1 of a class follows from its own figures, whichever other classes there are."""
    text = 'unit = "percent"\n[[reports]]\nsource = "x"\npartial = true\n'
    text += (
        "classes.a = { precision = 90, recall = 90, f1 = 10 }\nclasses.b = { precision = 80, recall = 80, f1 = 80 }\n"
    )
    (one,) = check(tmp_path, text).findings
    assert (one.claim, one.because) == ("F1 of a 10 %", "F1 = 2PR / (P + R)")


def test_a_finding_says_by_how_much(tmp_path):
    """The distance between the two intervals, not between the printed numbers."""
    text = 'unit = "percent"\n[[reports]]\nsource = "x"\nclasses.a = { precision = 50, recall = 50.0, f1 = 52 }\n'
    one = check(tmp_path, text).findings[0]
    assert (one.claim, one.claimed) == ("F1 of a 52 %", (0.515, 0.525))
    high = 2 * 0.505 * 0.5005 / (0.505 + 0.5005)
    assert one.follows == pytest.approx((2 * 0.495 * 0.4995 / (0.495 + 0.4995), high))
    assert one.misses_by == pytest.approx(0.515 - high)
    assert one.inputs == ("precision of a 50 %", "recall of a 50.0 %")


def test_an_average_f1_may_lie_below_that_of_the_averages(tmp_path):
    """Only above 2PR / (P + R) or below P + R - 1 an average F1 is impossible."""
    for f1, wrong in ((60, False), (70, False), (72, True), (40, False), (38, True)):
        text = f'unit = "percent"\n[[reports]]\nsource = "x"\nmacro = {{ precision = 70, recall = 70, f1 = {f1} }}\n'
        assert bool(check(tmp_path, text).findings) == wrong, f1


def test_means_over_runs_are_only_held_to_what_means_keep(tmp_path):
    """F1 below that of the means and recalls that no whole number gives are no findings over runs; a high F1 is."""
    text = 'unit = "fraction"\n[[reports]]\nsource = "x"\nruns = 10\nn = 7\naccuracy = 0.333\n'
    text += "classes.a = { precision = 0.50, recall = 0.50, f1 = %s, support = 3 }\nclasses.b = { support = 4 }\n"
    assert check(tmp_path, text % "0.45").findings == ()
    assert [one.claim for one in check(tmp_path, text % "0.57").findings] == ["F1 of a 0.57"]
    single = check(tmp_path, (text % "0.45").replace("runs = 10\n", ""))
    assert {one.claim for one in single.findings} == {"F1 of a 0.45", "accuracy 0.333", "recall of a 0.50"}


def test_rows_of_a_normalised_matrix_add_up(tmp_path):
    """A row of 90 % is a finding, one of 100 % within rounding is none."""
    text = 'unit = "percent"\n[[reports]]\nsource = "x"\n[reports.confusion_rows]\na = [33.3, 66.7]\nb = [%s, 50]\n'
    assert check(tmp_path, text % "50").findings == ()
    (one,) = check(tmp_path, text % "40").findings
    assert (one.claim, one.because) == ("sum of the row of b 0.9", "each row adds up to all of its class")
    assert one.misses_by == pytest.approx(0.09)


def test_a_share_above_all_is_found(tmp_path):
    """100.2 % is no recall; 100 is."""
    text = 'unit = "percent"\n[[reports]]\nsource = "x"\nrecall = %s\n'
    assert check(tmp_path, text % "100").findings == ()
    assert check(tmp_path, text % "100.2").findings[0].because == "it is a share"


def test_a_real_report_agrees(tmp_path):
    """The class report of a published model (huggingface.co/dima806/face_emotions_image_detection) adds up."""
    rows = """Ahegao 0.9739 0.9944 0.9840 1611;Angry 0.8282 0.6344 0.7185 1611;Happy 0.8947 0.9336 0.9137 1611
    Neutral 0.6064 0.7826 0.6833 1610;Sad 0.6624 0.5115 0.5772 1611;Surprise 0.7964 0.8814 0.8368 1611"""
    lines = ['unit = "fraction"', "[[reports]]", 'source = "README"', "accuracy = 0.7897", "n = 9665"]
    averages = "{ precision = 0.7937, recall = 0.7897, f1 = 0.7856, support = 9665 }"
    lines += [f"macro = {averages}", f"weighted = {averages}"]
    for row in rows.replace("\n", ";").split(";"):
        name, precision, recall, f1, support = row.split()
        lines.append(f"classes.{name} = {{ precision={precision}, recall={recall}, f1={f1}, support={support} }}")
    found = check(tmp_path, "\n".join(lines))
    assert found.findings == ()
    assert len(found.comparisons) > 20
    wrong = check(tmp_path, "\n".join(lines).replace("accuracy = 0.7897", "accuracy = 0.94"))
    assert {one.claim for one in wrong.findings} == {"accuracy 0.94"}


def test_the_example_of_the_page_agrees(tmp_path):
    """The table that docs/claims.md shows adds up; with the accuracy that it does not have, it does not."""
    text = DOCS.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert check(tmp_path, text).findings == ()
    assert check(tmp_path, text.replace("accuracy = 86.7", "accuracy = 87.7")).findings


@pytest.mark.parametrize(
    ("name", "claim", "follows", "misses_by"),
    [
        ("praveen-2025", "accuracy 94 %", (88.35, 88.45), 5.05),
        ("praveen-2025", "accuracy 94 %", (76.95, 77.05), 16.45),
        ("praveen-2025", "accuracy 77.0 %", (88.35, 88.45), 11.3),
        ("malik-2025", "recall 68.98 %", (67.75, 67.85), 1.125),
        ("kumar-agarwal-2024", "F1 99.57 %", (98.455, 99.4798), 0.0852),
        ("singh-mandloi-2025", "recall 98.21 %", (96.245, 96.255), 1.95),
    ],
)
def test_the_papers(name, claim, follows, misses_by):
    """What issue 6 computed by hand: each contradiction with its interval and its size, in percent."""
    near = [one for one in check_claims(name).findings
            if one.claim == claim and 100 * np.array(one.follows) == pytest.approx(follows, abs=1e-4)]  # fmt: skip
    assert len(near) == 1
    assert 100 * near[0].misses_by == pytest.approx(misses_by, abs=1e-4)


def test_every_paper_says_what_is_missing_and_where_its_figures_stand():
    """No figure without a source; no more findings than are known; JSON takes all of it."""
    counts = {}
    for name in TABLES:
        found = check_claims(name)
        counts[name] = len(found.findings)
        assert found.paper.missing
        assert all(one.source for system in found.paper.systems for one in system.statements)
        data = json.loads(json.dumps(found.describe(), allow_nan=False))
        assert data["consistent"] == (not data["findings"])
    assert counts == {
        "kumar-agarwal-2024": 1, "malik-2025": 1, "praveen-2025": 3, "rajeshwari-2024": 0, "singh-mandloi-2025": 1,
    }  # fmt: skip
