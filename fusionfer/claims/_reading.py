"""From a TOML file to what a paper states; every complaint about the file at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

from fusionfer.claims._intervals import Interval, rounded
from fusionfer.claims._stating import AVERAGES, Confusion, Figure, Paper, Statement, System
from fusionfer.exceptions import DataError, unknown_name

__all__ = ["TABLES", "read_claims"]

#: Papers whose figures come with the package.
TABLES = ("kumar-agarwal-2024", "malik-2025", "praveen-2025", "rajeshwari-2024", "singh-mandloi-2025")

#: The names under which figures are printed, and the figure that each of them is.
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "precision": "precision",
    "recall": "recall",
    "sensitivity": "recall",
    "specificity": "specificity",
    "f1": "f1",
    "dice": "f1",
    "jaccard": "jaccard",
    "auc": "auc",
    "support": "support",
    "n": "n",
}
_COUNTS = ("support", "n")
_UNITS = {"percent": 100, "fraction": 1}
_KEYS = {"of", "source", "unit", "partial", "classes", "confusion", "confusion_rows", "hard_labels", "runs"}
_UNDEFINED = {"nan", "-", "–", "undefined"}
_SHARES = Interval(Fraction(0), Fraction(1))
_LONGEST = 30  # digits of one number; no paper prints more, and 1e999999999 would fill the memory
_LARGEST = 1 << 20  # bytes of a file


def read_claims(paper: str | Path) -> Paper:
    """Read the figures of a paper.

    Parameters
    ----------
    paper : str or path
        A name of `TABLES`, or the path of a TOML file.

    Returns
    -------
    Paper

    Raises
    ------
    UnknownNameError
        If there is no such table.
    DataError
        If the file cannot be read, is no TOML, or holds anything but figures; all complaints at once.

    Examples
    --------
    >>> [one.label for one in read_claims("singh-mandloi-2025").systems[0].statements]
    ['recall 98.21 %', 'sensitivity 96.25 %']
    """
    name = str(paper)
    content = _content(name)
    complaints: list[str] = []
    for key in content:
        if key not in ("paper", "missing", "unit", "reports"):
            raise unknown_name("key of a table of claims", key, ("paper", "missing", "unit", "reports"), plural="keys")
    reports = content.get("reports", [])
    if not isinstance(reports, list) or not all(isinstance(one, dict) for one in reports):
        complaints.append("reports must be tables, each under [[reports]]")
        reports = []
    elif not reports:
        complaints.append("it states no figures: give reports, each under [[reports]]")
    gathered: dict[str, _Gathered] = {}
    for number, report in enumerate(reports, 1):
        of = str(report.get("of", ""))
        one = gathered.setdefault(of, _Gathered(of))
        one.read({"unit": content.get("unit"), **report}, f"report {number}")
    systems = [one.system() for one in gathered.values()]
    complaints += [complaint for one in gathered.values() for complaint in one.complaints]
    if complaints:
        msg = f"{name}: {'; '.join(complaints)}."
        raise DataError(msg)
    short = name.rpartition("/")[2].removesuffix(".toml")
    return Paper(short, str(content.get("paper", short)), str(content.get("missing", "")), tuple(systems))


def _content(name: str) -> dict[str, Any]:
    """Return the keys of a file; numbers keep their printed digits."""
    try:
        if name in TABLES:
            stored = (files("fusionfer.claims") / "tables" / f"{name}.toml").read_bytes()
        elif name.endswith(".toml"):
            with Path(name).open("rb") as file:
                stored = file.read(_LARGEST + 1)
        else:
            raise unknown_name("table of claims", name, [*TABLES, "<path>.toml"], plural="tables")
        if len(stored) > _LARGEST:
            msg = f"{name} is larger than {_LARGEST:,} bytes, which no table of a paper is."
            raise DataError(msg)
        return tomllib.loads(stored.decode("utf-8-sig"), parse_float=Decimal)  # Windows' Notepad puts a mark first
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    except DataError:
        raise
    except (ValueError, InvalidOperation, RecursionError) as error:  # TOML, UTF-8, numbers of thousands of digits
        known = isinstance(error, tomllib.TOMLDecodeError | UnicodeDecodeError | RecursionError)
        why = error if known else "a number is too long"
        msg = f"{name} is no TOML: {why}."
        raise DataError(msg) from error


class _Gathered:
    """The reports of one system, as they are read one after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.complaints: list[str] = []
        self.statements: list[Statement] = []
        self.confusions: list[tuple[tuple[str, ...], Confusion]] = []
        self.lists: list[tuple[str, ...]] = []  # of classes, where they are complete
        self.named: list[str] = []
        self.hard_labels = False
        self.runs = 1

    def read(self, report: Mapping[str, Any], where: str) -> None:
        """Take in one report."""
        source = str(report.get("source", ""))
        unit = report.get("unit")
        if not source:
            self.complaints.append(f"{where} names no source: say where its figures stand")
        if unit not in (None, *_UNITS):
            self.complaints.append(f"unit of {where} must be percent or fraction, got {unit!r}")
            unit = "percent"
        self._flags(report, where)
        for key, value in report.items():
            place = f"{key} of {where}"
            if key in NAMES:
                self._state(Figure(NAMES[key]), key, value, unit, source, place)
            elif key in AVERAGES:
                for name, figure in self._entries(value, place, {*NAMES} - {"n", "balanced_accuracy"}):
                    if name == "support":  # as class reports have it: of an average it is the number of all samples
                        self._state(Figure("n"), "n", figure, unit, source, f"{name}, {place}")
                    else:
                        self._state(Figure(NAMES[name], key), name, figure, unit, source, f"{name}, {place}")
            elif key == "classes":
                self._classes(value, unit, source, where, bool(report.get("partial", False)))
            elif key in ("confusion", "confusion_rows"):
                self._confusion(value, unit, source, place, key == "confusion_rows")
            elif key not in _KEYS:
                raise unknown_name(f"key of {where}", key, sorted({*_KEYS, *NAMES, *AVERAGES}), plural="keys")

    def _flags(self, report: Mapping[str, Any], where: str) -> None:
        for key in ("hard_labels", "partial"):
            if not isinstance(report.get(key, False), bool):
                self.complaints.append(f"{key} of {where} must be true or false, got {report[key]!r}")
        runs = report.get("runs", 1)
        if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
            self.complaints.append(f"runs of {where} must be a whole number from 1, got {runs!r}")
            runs = 1
        self.hard_labels |= report.get("hard_labels") is True
        self.runs = max(self.runs, runs)

    def _entries(self, value: Any, place: str, known: set[str]) -> list[tuple[str, Any]]:
        """Return the figures of a table within a report."""
        if not isinstance(value, dict):
            self.complaints.append(f"{place} must be a table, such as {{ recall = 88.4 }}, got {value!r}")
            return []
        for name in value:
            if name not in known:
                raise unknown_name(f"figure in {place}", name, known, plural="figures")
        return list(value.items())

    def _classes(self, value: Any, unit: Any, source: str, where: str, partial: bool) -> None:
        if not isinstance(value, dict) or not value:
            self.complaints.append(f"classes of {where} must be a table with one table a class")
            return
        for name, row in value.items():
            place = f"class {name} of {where}"
            for figure, stated in self._entries(row, place, {*NAMES} - {"n", "balanced_accuracy"}):
                self._state(Figure(NAMES[figure], name, True), figure, stated, unit, source, f"{figure} of {place}")
        self.named += value
        if not partial:
            self.lists.append(tuple(value))

    def _confusion(self, value: Any, unit: Any, source: str, place: str, shares: bool) -> None:
        K = len(value) if isinstance(value, dict) else 0
        if not K or not all(isinstance(row, list) and len(row) == K for row in value.values()):
            self.complaints.append(f"{place} must have a row a true class, each with a number for every class in turn")
            return
        rows = []
        for name, row in value.items():
            cells = [self._value(cell, not shares, unit, f"row {name}, {place}")[0] for cell in row]
            rows.append(tuple(Interval.point(0) if cell is None else cell for cell in cells))
            if shares and not all(cell.meet(_SHARES) for cell in rows[-1]):
                self.complaints.append(f"row {name}, {place} must be shares, from 0 to 1 or to 100 %, got {row}")
        self.confusions.append((tuple(value), Confusion(tuple(rows), shares, source)))
        self.named += value
        self.lists.append(tuple(value))

    def _state(self, figure: Figure, called: str, value: Any, unit: Any, source: str, place: str) -> None:
        interval, text = self._value(value, figure.name in _COUNTS, unit, place, figure.name == "auc")
        self.statements.append(Statement(figure, called, text, interval, source))

    def _value(self, value: Any, count: bool, unit: Any, place: str, area: bool = False) -> tuple[Interval | None, str]:
        """Return what a number can have been, and the number with its unit; complain where it is none."""
        long = isinstance(value, int) and abs(value) >= 10**_LONGEST  # which Python refuses to write where it is huge
        text = "" if long else str(value).strip().lower()
        if text in _UNDEFINED and not count:
            return None, "undefined"
        percent = text.endswith("%")
        try:
            number = Decimal(text.removesuffix("%").strip())
        except InvalidOperation:
            number = Decimal("nan")
        digits = number.as_tuple()
        if isinstance(value, bool) or not isinstance(digits.exponent, int) or (
            len(digits.digits) + abs(digits.exponent) > _LONGEST
        ):  # fmt: skip
            got = f"one of more than {_LONGEST} digits" if long else repr(value)
            self.complaints.append(f"{place} must be a number, got {got}")
            return None, text
        if count:
            if number < 0 or number != int(number) or percent:
                self.complaints.append(f"{place} counts samples and must be a whole number from 0, got {value!r}")
            return Interval.point(int(number)), f"{int(number):,}"
        if unit is None and not percent:
            self.complaints.append(f"{place}: unit must say whether figures are percent or fraction")
            unit = "percent"
        # Papers that print percent print areas from 0 to 1 all the same, and no area is as small as one percent.
        small = area and not percent and abs(number) <= 1
        scale = 100 if percent or (unit == "percent" and not small) else 1
        if scale == 1 and number > 1:
            self.complaints.append(f"{place} is {number}, and no fraction is above 1: unit is percent, or it is wrong")
        shown = f"{number} %" if scale == 100 else f"{number}"
        return rounded(number, scale), shown

    def system(self) -> System:
        """Return what was gathered; names of classes that do not fit each other are one complaint more."""
        classes = max(self.lists, key=len, default=())
        strange = sorted({*self.named} - {*classes})
        other = [names for names in self.lists if {*names} != {*classes}]
        if (strange and classes) or other:
            which = ", ".join(strange or sorted({*classes} - {*other[0]}))
            self.complaints.append(
                f"the reports of {self.name or 'the paper'} do not name the same classes (see {which}); say "
                "partial = true where a report lists some of them"
            )
            return System(self.name)
        confusions = tuple(_in_order(names, one, classes) for names, one in self.confusions)
        return System(self.name, classes, tuple(self.statements), confusions, self.hard_labels, self.runs)


def _in_order(names: tuple[str, ...], one: Confusion, classes: tuple[str, ...]) -> Confusion:
    """Return a matrix with its classes in the order of the system's."""
    order = [names.index(name) for name in classes]
    return one._replace(rows=tuple(tuple(one.rows[i][j] for j in order) for i in order))
