"""``python -m benchmarks.accuracy.label_noise DATA CACHE VOTES``: do annotators outvote the labels that are flagged?

DATA holds faces of FER-2013, CACHE features of them, VOTES is FER+'s fer2013new.csv. Printed are, of the flagged labels
with the widest margins, of all that are flagged, of the others, and of those that the head merely calls otherwise, the
share whose label has fewer votes than another choice; and the same share of labels drawn at random with the same
classes. ``docs/audit.md`` shows what came of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fusionfer.audit import Disagreement, LabelNoise, audit, find_disagreement, find_label_noise
from fusionfer.features import Features
from fusionfer.images import read_faces, read_ferplus

FIRST = (100, 200, 500)


def expected(noise: LabelNoise, votes: Disagreement, rows: np.ndarray) -> float:
    """Return the share of outvoted labels among any with the classes of `rows`."""
    rates = {name: votes.contradicted_among(noise.ids[noise.labels == name]) for name in noise.classes}
    return float(np.mean([rates[label] for label in noise.labels[rows].tolist()]))


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.label_noise", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("votes", type=Path)
    parser.add_argument("--split", help="splits to judge (default: all)")
    options = parser.parse_args()
    faces = read_faces(options.data)
    copies = [one.ids for one in audit(faces, near=False).copies]
    noise = find_label_noise(Features.read(options.cache), options.split, copies=copies)
    votes = find_disagreement(faces, read_ferplus(options.votes))
    flagged = noise.flagged
    everything = np.arange(len(noise.ids))
    otherwise = np.flatnonzero(np.array(noise.classes)[noise.proba.argmax(axis=1)] != noise.labels)
    parts = [("judged", everything), ("not flagged", np.setdiff1d(everything, flagged)), ("flagged", flagged)]
    parts += [(f"flagged, first {n}", flagged[:n]) for n in FIRST if n < len(flagged)]
    parts += [("likeliest class is another", otherwise)]
    print("\n".join(noise.notes))
    print(f"The head is right in {100 * noise.accuracy:.1f} %; estimated wrong {100 * noise.share:.1f} %.\n")
    print("| samples | number | label outvoted, % | expected by class, % |")
    print("|---|---:|---:|---:|")
    for name, rows in parts:
        found = votes.contradicted_among(noise.ids[rows])
        print(f"| {name} | {len(rows):,} | {100 * found:.1f} | {100 * expected(noise, votes, rows):.1f} |")
    place = {name: k for k, name in enumerate(noise.classes)}
    counts = read_ferplus(options.votes).votes_for(noise.classes, noise.ids[flagged])
    own, other = (
        counts[np.arange(len(flagged)), [place[label] for label in labels[flagged].tolist()]]
        for labels in (noise.labels, noise.suggested)
    )
    more, fewer = 100 * np.mean(other > own), 100 * np.mean(other < own)
    print(
        f"\nOf the flagged, the suggested class has more votes than the label in {more:.1f} %, fewer in {fewer:.1f} %."
    )


if __name__ == "__main__":
    main()
