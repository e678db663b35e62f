"""``fusionfer check-claims``: whether the figures of a published table can all be true."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from .options import json_option
from .tables import print_json

if TYPE_CHECKING:
    from fusionfer.claims import Check, Comparison

_CONTRADICTED = 5  # the exit code


@click.command("check-claims")
@click.argument("paper", metavar="FILE")
@json_option
def check_claims(paper: str, as_json: bool) -> int:
    """Test if the figures of a published table can all be true.

    FILE is a TOML file of a paper's figures, or one of those that come along: singh-mandloi-2025, rajeshwari-2024,
    malik-2025, praveen-2025, kumar-agarwal-2024. Each figure stands for all that could have been rounded to it; what
    follows from the others must meet that. Exits with 5 if anything does not.

    \b
    Examples:
      fusionfer check-claims praveen-2025
      fusionfer check-claims mine.toml --json
    """
    from fusionfer.claims import check_claims as check

    found = check(paper)
    if as_json:
        print_json(found.describe())
    else:
        _print(found)
    return _CONTRADICTED if found.findings else 0


def _print(found: Check) -> None:
    click.echo(f"{found.paper.title}\n")
    for one in found.findings:
        click.echo(f"{one.claim}{f' of {one.system}' if one.system else ''} misses by {_missed(one)}")
        click.echo(f"    stands in     {one.source}")
        click.echo(f"    must be       {_follows(one)}: {one.because}")
        click.echo(f"    follows from  {'; '.join(one.inputs)}\n" if one.inputs else "")
    agree = len(found.comparisons) - len(found.findings)
    click.echo(f"Figures: {found.n_figures:,}. Comparisons: {agree:,} agree, {len(found.findings):,} do not.")
    if found.paper.missing:
        click.echo(f"Not at hand: {found.paper.missing}")


def _follows(one: Comparison) -> str:
    """What follows, in the unit of the claim and with a digit more."""
    low, high = one.follows
    if one.counts:
        return f"{low:,.0f}" if low == high else f"{low:,.1f} to {high:,.1f}"
    printed = re.findall(r"\d+(?:\.(\d+))?", one.claim)
    digits = max(len(printed[-1]) + 1 if printed else 0, 2)
    if one.claim.endswith("%"):
        return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _missed(one: Comparison) -> str:
    if one.counts:
        return "1 sample" if one.misses_by == 1 else f"{one.misses_by:,.3g} samples"
    return f"{100 * one.misses_by:.2g} points" if one.misses_by < 0.01 else f"{100 * one.misses_by:.2f} points"
