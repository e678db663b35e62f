"""What ``fusionfer audit`` says of labels: those that a head contradicts, and those that annotators disagree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusionfer.memory import Estimate, planned_bytes

from .tables import print_table

if TYPE_CHECKING:
    from fusionfer.audit import Audit, Disagreement, LabelNoise
    from fusionfer.features import Features
    from fusionfer.images import CopiesCeiling, FaceSet, FerPlus

__all__ = [
    "LabelFindings",
    "Questions",
    "judge_labels",
    "noise_options",
    "print_labels",
    "read_questions",
    "write_sheet",
]


@dataclass(frozen=True)
class Questions:
    """What is asked of labels, and what answers it; None where nothing is asked."""

    features: Features | None
    votes: FerPlus | None
    sheet: Path | None

    def estimate(self) -> Estimate | None:
        """What it takes to look for labels that features contradict, under the limit that is set; None if not asked."""
        from fusionfer.costs import estimate_noise

        if self.features is None:
            return None
        rows, columns = self.features.X.shape
        return estimate_noise(rows, columns, len(set(self.features.y.tolist()) - {""}), limit=planned_bytes())


@dataclass(frozen=True)
class LabelFindings:
    """What was asked for; the rest is None."""

    noise: LabelNoise | None
    votes: Disagreement | None
    copies: CopiesCeiling | None

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it; empty where nothing was asked for."""
        found = {"label_noise": self.noise, "votes": self.votes, "copies_ceiling": self.copies}
        return {name: one.describe() for name, one in found.items() if one is not None}


def noise_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that ask for it."""
    for option in (
        click.option(
            "--noise-sheet",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="PNG",
            help="--features: draw the faces whose labels are contradicted most.",
        ),
        click.option(
            "--noise-split",
            metavar="SPLIT",
            help="--features: judge the labels of these splits alone, as in validation+test.  [default: all]",
        ),
        click.option(
            "--votes",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="FER+'s fer2013new.csv: how far annotators disagree, with each other and with the labels.",
        ),
        click.option(
            "--features",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="CACHE",
            help="What fusionfer extract cached: find labels that a linear head contradicts, out of fold.",
        ),
    ):
        command = option(command)
    return command


def read_questions(
    faces: FaceSet, features: Path | None, votes: Path | None, noise_split: str | None, noise_sheet: Path | None
) -> Questions:
    """Read what is asked for, before minutes are spent on pictures."""
    from fusionfer.audit import features_of
    from fusionfer.features import Features
    from fusionfer.images import read_ferplus

    if features is None and (noise_split or noise_sheet):
        msg = "--noise-split and --noise-sheet are about --features; name these, too."
        raise click.UsageError(msg)
    rows = None if features is None else features_of(faces, Features.read(features))
    if rows is not None and noise_split is not None:
        rows = rows.split(noise_split)
    return Questions(rows, None if votes is None else read_ferplus(votes), noise_sheet)


def judge_labels(faces: FaceSet, found: Audit, asked: Questions, *, seed: int, progress: Any) -> LabelFindings:
    """Look at the labels as far as that is asked for."""
    from fusionfer.audit import find_disagreement, find_label_noise
    from fusionfer.images import copies_ceiling

    noise, ceiling = None, None
    if asked.features is not None:
        copies = [one.ids for one in (*found.copies, *found.near)]
        noise = find_label_noise(asked.features, copies=copies, random_state=seed, progress=progress)
    disagreement = None if asked.votes is None else find_disagreement(faces, asked.votes)
    labels = [one.labels for one in found.copies]
    classes = {label for counts in found.counts.values() for label in counts if label}
    if (noise or disagreement) and len(classes) > 1 and any(sum(map(bool, one)) > 1 for one in labels):
        ceiling = copies_ceiling(labels, len(classes))
    return LabelFindings(noise, disagreement, ceiling)


def write_sheet(asked: Questions, faces: FaceSet, found: LabelFindings) -> None:
    """Draw the samples whose labels are contradicted most, if that is asked for and there are any."""
    from fusionfer.audit import write_noise_sheet

    if asked.sheet is None or found.noise is None:
        return
    if len(found.noise.flagged):
        write_noise_sheet(asked.sheet, faces, found.noise, asked.votes)
        click.echo(f"fusionfer: Wrote {asked.sheet}.", err=True)
    else:
        click.echo(f"fusionfer: {asked.sheet} was not written: no label is contradicted.", err=True)


def print_labels(found: LabelFindings, show: int) -> None:
    """Print the tables; and what the reader must know to stderr."""
    if found.noise is not None:
        _print_noise(found.noise, show)
    if found.votes is not None:
        _print_votes(found.votes)
    if found.noise is not None and found.votes is not None:
        _print_both(found.noise, found.votes)
    if found.copies is not None:
        one = found.copies
        low, high = (100 * value for value in one.interval)
        click.echo(
            f"Copies: of {one.n:,} pictures with labelled copies, two copies agree in {100 * one.agreement:.1f} %; if "
            f"they were labelled independently, no predictor is right more often than in {100 * one.highest:.1f} % "
            f"[{low:.1f}, {high:.1f}].\n"
        )


def _print_noise(noise: LabelNoise, show: int) -> None:
    for note in noise.notes:
        click.echo(f"fusionfer: {note}", err=True)
    flagged = noise.flagged
    of = Counter(noise.labels.tolist())
    pairs = Counter(zip(noise.labels[flagged].tolist(), noise.suggested[flagged].tolist(), strict=True))
    rows = []
    for k, name in enumerate(noise.classes):
        others = {other: n for (label, other), n in pairs.items() if label == name}
        most = max(others, key=lambda other: (others[other], other), default="")
        wrong = 1.0 - noise.joint[k, k] / noise.joint[k].sum()
        rows.append([name, f"{of[name]:,}", f"{sum(others.values()):,}", _percent(wrong), most])
    rows.append(["all", f"{len(noise.ids):,}", f"{len(flagged):,}", _percent(noise.share), ""])
    title = f"Labels that a head contradicts (its accuracy: {_percent(noise.accuracy)})"
    print_table(["label", "samples", "flagged", "estimated wrong", "mostly suggested"], rows, title=title)
    if show and len(flagged):
        _print_worst(noise, flagged[:show].tolist())


def _print_worst(noise: LabelNoise, rows: Sequence[int]) -> None:
    margin = noise.margin
    print_table(
        ["contradicted most", "label", "suggested", "margin"],
        [[str(noise.ids[i]), str(noise.labels[i]), str(noise.suggested[i]), f"{margin[i]:.2f}"] for i in rows],
    )


def _print_votes(votes: Disagreement) -> None:
    rows = []
    for name in (*votes.classes, ""):
        one = votes.of_class(name)
        shares = [_percent(one[key]) for key in ("largest", "agreement", "contradicted")]
        rows.append([name or "all", f"{one['n']:,}", f"{one['entropy']:.2f}", *shares])
    header = ["label", "samples", "entropy, bits", "most frequent choice", "votes for the label", "label outvoted"]
    print_table(header, rows, title="Votes of the annotators")
    click.echo(f"{votes.ceiling.sentence()}\n")


def _print_both(noise: LabelNoise, votes: Disagreement) -> None:
    import numpy as np

    flagged = noise.flagged
    parts = [("flagged", noise.ids[flagged]), ("flagged, the first 100", noise.ids[flagged[:100]])]
    parts += [("not flagged", np.delete(noise.ids, flagged)), ("all that were judged", noise.ids)]
    print_table(
        ["samples", "number", "label outvoted"],
        [[name, f"{len(ids):,}", _percent(votes.contradicted_among(ids))] for name, ids in parts if len(ids)],
        title="What annotators say of the flags",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
