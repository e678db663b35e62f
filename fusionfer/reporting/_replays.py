"""The folder that ``fusionfer replay`` leaves: what is claimed, what the protocol yields, and what each cause adds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionfer.exceptions import DataError
from fusionfer.report import Picture, Section, Table, provenance_section, steps_figure, write_report

__all__ = ["REPLAY", "report_replay"]

REPLAY = "replay.json"


def report_replay(folder: str | Path, run: Path, *, commands: Sequence[str] = ()) -> Path:
    """Write the report of a replayed protocol.

    Parameters
    ----------
    folder : path
        Of the report.
    run : Path
        Folder with ``replay.json``.
    commands : sequence of str
        Command lines to show last.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    DataError
        If ``replay.json`` is damaged.
    ReportError
        If something cannot be written.
    """
    try:
        found = json.loads((run / REPLAY).read_bytes())
        protocol, claimed, results = found["protocol"], float(found["claimed_accuracy"] or 0), found["results"]
        steps = [(_named(one), float(one["accuracy"])) for one in results]
        rows = [_row(name, one) for (name, _), one in zip(steps, results, strict=True)]
        title, summary = str(protocol["name"]), str(protocol["summary"])
        notes = [*map(str, found["notes"]), *(f"Other than the protocol: {what}." for what in found["reduced"])]
        facts = [
            (f"{section}: {key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            for section, keys in protocol.items()
            if isinstance(keys, dict)
            for key, value in keys.items()
            if value not in ("", [])
        ]
        if not steps:
            msg = "it has no results"
            raise ValueError(msg)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{run / REPLAY} cannot be read: {' '.join(str(error).split())}. Run fusionfer replay again."
        raise DataError(msg) from error
    said = f"{summary[:1].upper()}{summary[1:]}: {100 * steps[0][1]:.1f} % by the protocol as it is"
    said += f", {100 * steps[-1][1]:.1f} % by the last of {len(steps)} runs" if len(steps) > 1 else ""
    said += f"; claimed are {100 * claimed:.1f} %." if claimed else "."
    header = ("run", "accuracy, %", "difference", "macro F1, %", "trained on", "scored", "chosen", "leaks")
    shown = [("claimed", claimed), *steps] if claimed else steps
    words = ", ".join(f"{name} {100 * value:.1f} %" for name, value in shown)
    return write_report(
        folder,
        title=f"Protocol {title}",
        lead=said,
        notes=notes,
        sections=[
            Section(
                "Runs",
                (
                    Picture("steps", "Accuracy of each run.", steps_figure(shown), f"Bars, accuracy: {words}."),
                    Table("Runs", header, tuple(rows), "Each run is the one before it without one cause."),
                ),
            ),
            Section("Protocol", (Table("As it was run", ("key", "value"), tuple(facts)),)),
            provenance_section({"claimed in": str(found.get("claimed_where") or "")}, commands),
        ],
        data=found,
    )


def _named(one: dict[str, Any]) -> str:
    cause = one["cause_switched_off"]
    name = f"without {cause}" if cause else "the protocol as it is"
    return name if one["still_too_good_by"] or not cause else f"{name}: honest"


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    difference, f1, draws = one.get("difference"), one["macro_f1"], one["accuracies"]
    drawn = f" ({100 * min(draws):.1f} to {100 * max(draws):.1f})" if len(draws) > 1 else ""
    return (
        name,
        f"{100 * one['accuracy']:.1f}{drawn}",
        "" if difference is None else f"{100 * difference:+.1f}",
        "" if f1 is None else f"{100 * f1:.1f}",
        f"{one['n_train']:,}",
        f"{one['n_scored']:,}",
        str(one["chosen"]),
        "yes" if one["leaking"] else "no",
    )
