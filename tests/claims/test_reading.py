"""TOML to statements: printed digits are kept, every complaint names its place, nothing else is let in."""

from fractions import Fraction

import pytest

from fusionfer.claims import TABLES, read_claims
from fusionfer.exceptions import DataError, UnknownNameError

HEAD = 'unit = "percent"\n[[reports]]\nsource = "table 1"\n'


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a text as a file of claims."""

    def from_text(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return read_claims(path)

    return from_text


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("98.96", "0.98955", "0.98965"),
        ("98.960", "0.989595", "0.989605"),
        ("100", "0.995", "1.005"),
        ("77.0", "0.7695", "0.7705"),
        ('"98.96 %"', "0.98955", "0.98965"),
        ('"98.96"', "0.98955", "0.98965"),
        ("9.4e1", "0.935", "0.945"),
    ],
)
def test_digits_are_kept(read, printed, low, high):
    """A figure stands for all that is rounded to it, by the digits that are printed."""
    (one,) = read(f"{HEAD}accuracy = {printed}").systems[0].statements
    assert one.value == (Fraction(low), Fraction(high))


def test_units(read):
    """Fractions by the unit, percent by the sign; an area up to 1 is a fraction among percent."""
    text = 'unit = "fraction"\n[[reports]]\nsource = "x"\naccuracy = 0.94\nrecall = "94 %"\n'
    text += '[[reports]]\nsource = "y"\nunit = "percent"\nauc = 0.97\nprecision = 0.9\n'
    values = {one.called: one.value for one in read(text).systems[0].statements}
    assert values["accuracy"] == values["recall"] == (Fraction("0.935"), Fraction("0.945"))
    assert values["auc"] == (Fraction("0.965"), Fraction("0.975"))
    assert values["precision"] == (Fraction("0.0085"), Fraction("0.0095"))


def test_a_mark_of_windows_is_passed_over(read):
    """Notepad's byte order mark stands before the first key."""
    assert read(f"\ufeff{HEAD}accuracy = 5").systems[0].statements[0].text == "5 %"


def test_names_sources_and_order(read):
    """Sensitivity is recall under its own name; classes, averages and matrices find their places; sources stay."""
    paper = read(
        f"""paper = "A"\nmissing = "B"\n{HEAD}of = "net"\nhard_labels = true
        macro = {{ dice = 50, support = 12 }}
        classes.b = {{ sensitivity = 40, support = 5 }}\nclasses.a = {{ recall = nan, precision = "-" }}
        [[reports]]\nof = "net"\nsource = "figure 2"\n[reports.confusion]\na = [1, 2]\nb = [3, 4]\n"""
    )
    (system,) = paper.systems
    assert (paper.title, paper.missing, paper.name) == ("A", "B", "mine")
    assert (system.name, system.classes, system.hard_labels) == ("net", ("b", "a"), True)
    assert [one.label for one in system.statements] == [
        "macro dice 50 %", "samples 12", "sensitivity of b 40 %", "support of b 5",
        "recall of a undefined", "precision of a undefined",
    ]  # fmt: skip
    assert {one.source for one in system.statements} == {"table 1"}
    (matrix,) = system.confusions
    assert (matrix.source, matrix.shares) == ("figure 2", False)
    assert [[int(cell.low) for cell in row] for row in matrix.rows] == [[4, 3], [2, 1]]  # in the order b, a


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[reports]]\naccuracy = 94\nunit = "percent"', r"report 1 names no source"),
        ('[[reports]]\nsource = "x"\naccuracy = 94', r"accuracy of report 1: unit must say whether"),
        ('[[reports]]\nsource = "x"\nunit = "per mille"', r"unit of report 1 must be percent or fraction, got 'per"),
        ('unit = "fraction"\n[[reports]]\nsource = "x"\naccuracy = 94.1', r"accuracy of report 1 is 94.1, and no frac"),
        (f"{HEAD}accuracy = true", r"accuracy of report 1 must be a number, got True"),
        (f'{HEAD}accuracy = "many"', r"must be a number, got 'many'"),
        (f"{HEAD}accuracy = inf", r"must be a number"),
        (f"{HEAD}accuracy = 1e999999999", r"must be a number"),
        (f"{HEAD}accuracy = {'9' * 5000}", r"is no TOML: a number is too long"),
        (f"{HEAD}n = 0x{'f' * 5000}", r"n of report 1 must be a number, got one of more than 30 digits"),
        (f"{HEAD}accuracy = [1]", r"must be a number, got \[1\]"),
        (f"{HEAD}n = 3.5", r"n of report 1 counts samples and must be a whole number from 0, got Decimal\('3.5'\)"),
        (f"{HEAD}n = -3", r"must be a whole number from 0"),
        (f"{HEAD}runs = 0", r"runs of report 1 must be a whole number from 1, got 0"),
        (f"{HEAD}hard_labels = 1", r"hard_labels of report 1 must be true or false, got 1"),
        (f"{HEAD}macro = 3", r"macro of report 1 must be a table"),
        (f"{HEAD}classes = {{}}", r"classes of report 1 must be a table with one table a class"),
        (f"{HEAD}confusion.a = [1, 2]", r"confusion of report 1 must have a row a true class"),
        (f"{HEAD}confusion.a = [-1]", r"row a, confusion of report 1 counts samples"),
        (f"{HEAD}confusion_rows.a = [-5, 105]\nconfusion_rows.b = [0, 100]", r"row a, .* to 100 %, got \[-5"),
        ('paper = "empty"', r"states no figures: give reports"),
        (f"{HEAD}classes.a = {{ recall = 3 }}\n[[reports]]\nsource = 'x'\nclasses.b = {{ recall = 3 }}",
         r"do not name the same classes \(see b\); say partial = true"),
        ("reports = 3", r"reports must be tables, each under \[\[reports\]\]"),
        ("= 3", r"is no TOML"),
        ("a = " + "[" * 9000, r"is no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(read, text, message):
    """Place, what is allowed, what came."""
    with pytest.raises(DataError, match=message):
        read(text)


def test_all_complaints_at_once(read):
    """Two wrong figures, one error."""
    with pytest.raises(DataError, match=r"accuracy of report 1 .*; f1 of report 1 "):
        read(f'{HEAD}accuracy = "a"\nf1 = "b"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}acuracy = 3", r"Unknown key of report 1 'acuracy'.*Did you mean 'accuracy'\?"),
        (f"{HEAD}macro = {{ recal = 3 }}", r"Unknown figure in macro of report 1 'recal'.*Did you mean 'recall'\?"),
        ("papers = 3", r"Unknown key of a table of claims 'papers'.*Did you mean 'paper'\?"),
    ],
)
def test_unknown_names(read, text, message):
    """The known ones, and the closest."""
    with pytest.raises(UnknownNameError, match=message):
        read(text)


def test_a_part_of_the_classes(read):
    """With partial = true a report may name some; without a complete list there are no classes to average over."""
    paper = read(f"{HEAD}partial = true\nclasses.a = {{ recall = 3 }}")
    assert paper.systems[0].classes == ()
    text = f"{HEAD}partial = true\nclasses.a = {{ recall = 3 }}\n[[reports]]\nsource = 'x'\nconfusion.a = [1]"
    assert read(text).systems[0].classes == ("a",)


def test_files_that_are_none(tmp_path):
    """Missing, too large, no UTF-8, unknown: one sentence each."""
    large, strange = tmp_path / "large.toml", tmp_path / "strange.toml"
    large.write_bytes(b"#" * (1 << 20) + b"\n")
    strange.write_bytes(b"a = '\xff'")
    with pytest.raises(DataError, match=r"gone.toml cannot be read: No such file"):
        read_claims(tmp_path / "gone.toml")
    with pytest.raises(DataError, match=r"larger than 1,048,576 bytes"):
        read_claims(large)
    with pytest.raises(DataError, match=r"is no TOML"):
        read_claims(strange)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'malik-2025'\?"):
        read_claims("malik")


@pytest.mark.parametrize("name", TABLES)
def test_tables_come_along(name):
    """Each is found by its name, names its paper, and each figure has a source."""
    paper = read_claims(name)
    assert paper.name == name
    assert paper.title != name
    assert all(one.source for system in paper.systems for one in system.statements)
