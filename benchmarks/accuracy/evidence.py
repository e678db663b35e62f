"""``python -m benchmarks.accuracy.evidence``: how often the selector's rules and tests are wrong, by simulation.

Two blocks of columns, A and B, and the classifier that takes the nearest class mean, for which a selection takes a
millisecond. In each setting thousands of data sets are drawn and selected on; what each rule keeps, what each test says
and what the intervals cover is counted. The truth is known: the score over folds has no bias, so that its mean over
all data sets is the score that is estimated. In the settings "no gain" the signal of B is such that the hybrid is as
good as A, no better: every preference for it there is an error.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.selection._evidence import Weighing, beats_all
from fusionfer.selection._judging import Judged
from fusionfer.selection._optimism import Choice, optimism
from fusionfer.statistics import mcnemar, resample

CLASSES, FOLDS = 3, 5
NAMES = ("A", "B", "A + B")
LEVEL = 0.05


@dataclass(frozen=True)
class Setting:
    """Rows, columns of each block, signal of A and B, and rows of a person; B's signal None is sought for no gain."""

    name: str
    n: int
    d: int
    a: float
    b: float | None
    copies: int = 1


SETTINGS = (
    Setting("noise alone", 150, 5, 0.0, 0.0),
    Setting("noise alone", 600, 5, 0.0, 0.0),
    Setting("A knows, B is noise", 150, 5, 1.0, 0.0),
    Setting("no gain", 150, 5, 1.0, None),
    Setting("no gain", 600, 5, 1.0, None),
    Setting("no gain, 40 columns a block", 150, 40, 1.5, None),
    Setting("no gain, 4 equal rows a person", 600, 5, 1.0, None, copies=4),
    Setting("both know", 150, 5, 1.0, 1.0),
    Setting("both know", 600, 5, 1.0, 1.0),
)


def draw(setting: Setting, b: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return X (n, 2 d) and y (n,): persons i, i + FOLDS, ... are a fold, which has each class as often as others."""
    people = setting.n // setting.copies
    y = np.arange(people) // FOLDS % CLASSES
    X = rng.normal(size=(people, 2 * setting.d))
    X[:, :CLASSES] += setting.a * np.eye(CLASSES)[y]
    X[:, setting.d : setting.d + CLASSES] += b * np.eye(CLASSES)[y]
    return np.repeat(X, setting.copies, axis=0), np.repeat(y, setting.copies)


def right(X: np.ndarray, y: np.ndarray, inside: np.ndarray, outside: np.ndarray, d: int) -> np.ndarray:
    """Which rows `outside` the nearest means of the rows `inside` get right, for A, B and both, (m, 3)."""
    one_hot = np.eye(CLASSES)[y[inside]]
    means = one_hot.T @ X[inside] / one_hot.sum(axis=0)[:, None]
    found = []
    for columns in (slice(0, d), slice(d, 2 * d), slice(0, 2 * d)):
        near = X[outside, columns] @ means[:, columns].T - (means[:, columns] ** 2).sum(axis=1) / 2
        found.append(near.argmax(axis=1) == y[outside])
    return np.stack(found, axis=1)


def in_folds(X: np.ndarray, y: np.ndarray, fold: np.ndarray, d: int) -> np.ndarray:
    """Which rows are got right when their fold is held out, (n, 3)."""
    found = np.zeros((len(y), 3), dtype=bool)
    for number in range(fold.max() + 1):
        found[fold == number] = right(X, y, np.flatnonzero(fold != number), np.flatnonzero(fold == number), d)
    return found


def signal_without_gain(setting: Setting, rng: np.random.Generator) -> float:
    """Return the signal of B at which the hybrid is as good as A, by interpolation between ten signals."""
    signals = np.linspace(0, setting.a, 11)[:-1]
    fold = np.arange(setting.n) // setting.copies % FOLDS
    rounds = max(300, 120_000 // setting.n)
    gains = []
    for b in signals:
        means = np.mean([in_folds(*draw(setting, b, rng), fold, setting.d).mean(axis=0) for _ in range(rounds)], axis=0)
        gains.append(means[2] - means[0])
    slope = np.polyfit(signals, gains, 3)
    roots = [root.real for root in np.roots(slope) if abs(root.imag) < 1e-9 and 0 <= root.real <= setting.a]
    return float(min(roots)) if roots else 0.0


def select(setting: Setting, b: float, rng: np.random.Generator) -> dict[str, float]:
    """Draw a data set, and return what each rule and test says of it."""
    X, y = draw(setting, b, rng)
    people = np.arange(setting.n) // setting.copies
    fold = people % FOLDS
    rights = in_folds(X, y, fold, setting.d)
    scores = {name: np.array([rights[fold == k, i].mean() for k in range(FOLDS)]) for i, name in enumerate(NAMES)}
    said = {name: np.where(rights[:, i], y, CLASSES)[None, :] for i, name in enumerate(NAMES)}
    groups = people if setting.copies > 1 else None
    judged = Judged("accuracy", np.arange(setting.n), fold, y, CLASSES, said, groups)
    drawn = resample(judged.scoring(list(NAMES)), setting.n, groups, samples=400, seed=int(rng.integers(2**31)))
    halves = {name: np.zeros((5, 2)) for name in NAMES}
    for repetition in range(5):
        half = np.empty(setting.n // setting.copies, dtype=int)
        for label in range(CLASSES):
            of_label = np.flatnonzero(y[:: setting.copies] == label)
            half[rng.permutation(of_label)] = np.arange(len(of_label)) % 2
        found = in_folds(X, y, half[people], setting.d)
        for k in range(2):
            for i, name in enumerate(NAMES):
                halves[name][repetition, k] = found[half[people] == k, i].mean()
    columns = {name: i for i, name in enumerate(NAMES)}
    folds = Weighing.of(scores, 1 / (FOLDS - 1), 0.0, judged, drawn, columns, None)
    twice = Weighing.of(scores, 1 / (FOLDS - 1), 0.0, judged, drawn, columns, halves)
    split = right(X, y, np.flatnonzero(fold != 0), np.flatnonzero(fold == 0), setting.d)

    def counted(rows: np.ndarray) -> bool:
        """Whether one-sided mid-p finds the hybrid better than A and better than B, on these rows."""
        only = [(np.sum(rows[:, 2] & ~rows[:, i]), np.sum(rows[:, i] & ~rows[:, 2])) for i in (0, 1)]
        return max(mcnemar(int(ours), int(theirs)).greater for ours, theirs in only) <= LEVEL

    def tested(weighing: Weighing) -> bool:
        p = beats_all(weighing.pairs(), "A + B")
        return p is not None and p <= LEVEL

    pair = folds.pair("A + B", "A")
    means = {name: float(values.mean()) for name, values in scores.items()}
    best = max(NAMES, key=lambda name: means[name])
    choice = Choice({"A": setting.d, "B": setting.d, "A + B": 2 * setting.d}, 1, 0.0, columns[best])
    chosen = optimism([drawn], [choice], 0, means[best])
    low, high = pair["interval"]
    t_low, t_high = pair["tests"]["corrected resampled t"]["interval"] or (np.nan, np.nan)
    apart = [drawn.inside[:, 2] - drawn.inside[:, i] for i in (0, 1)]
    return {
        "greater": means["A + B"] > max(means["A"], means["B"]),
        "t": tested(folds),
        "5x2": tested(twice),
        "one split": counted(split),
        "pooled": counted(rights),
        "bootstrap": max(np.mean(values <= 0) for values in apart) <= LEVEL,
        "difference": means["A + B"] - means["A"],
        "low": low, "high": high, "t low": t_low, "t high": t_high,
        "promised": means[best], "corrected": chosen["corrected"], "best": NAMES.index(best),
        **{name: means[name] for name in NAMES},
    }  # fmt: skip


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.evidence", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="data sets of each setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{options.rounds} data sets of each setting, seed {options.seed}; {CLASSES} classes, {FOLDS} folds\n")
    rows = []
    for number, setting in enumerate(SETTINGS):
        rng = np.random.default_rng([options.seed, number])
        b = signal_without_gain(setting, rng) if setting.b is None else setting.b
        found = [select(setting, b, rng) for _ in range(options.rounds)]
        rows.append((setting, {key: np.array([one[key] for one in found], dtype=float) for key in found[0]}))
    print("| data | rows | gain | greater | corrected t | 5x2 cv F | McNemar | pooled McNemar | pooled bootstrap |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    counts = ("greater", "t", "5x2", "one split", "pooled", "bootstrap")
    for setting, found in rows:
        rates = [f"{100 * found[key].mean():.1f}" for key in counts]
        print(f"| {setting.name} | {setting.n} | {100 * found['difference'].mean():+.1f} | {' | '.join(rates)} |")
    print("\n| data | rows | covered by the bootstrap | covered by t | promised | corrected | true |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for setting, found in rows:
        truth = found["difference"].mean()
        covered = np.mean((found["low"] <= truth) & (truth <= found["high"]))
        by_t = np.mean((found["t low"] <= truth) & (truth <= found["t high"]))
        true = np.array([found[name].mean() for name in NAMES])[found["best"].astype(int)].mean()
        figures = [covered, by_t, found["promised"].mean(), found["corrected"].mean(), true]
        print(f"| {setting.name} | {setting.n} | {' | '.join(f'{100 * value:.1f}' for value in figures)} |", flush=True)


if __name__ == "__main__":
    main()
