"""``python -m benchmarks.accuracy.faithfulness MODEL DATA``: how faithful occlusion maps are, and what effort costs.

Faces of DATA's test split are drawn with a seed. For each the map of the predicted class is judged by deletion and
insertion, beside its own windows shuffled and a Gaussian in the middle; then the maps that compute a half and a quarter
of the windows are compared with the full one. Means over faces, with bootstrap intervals of 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.explanation import Settings, even_batches, explain, faithfulness, input_sizes
from fusionfer.images import read_faces
from fusionfer.occlusion import occlusion_map
from fusionfer.persistence import load_model
from fusionfer.prediction import Classifier
from fusionfer.statistics import mean_scores, percentile_interval, resample

EFFORTS = (0.5, 0.25)


class Remembered:
    """Probabilities of a classifier; what was asked before is not computed again."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier, self.known = classifier, {}

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities, shape (n, K)."""
        new = {one.tobytes(): one for one in pictures if one.tobytes() not in self.known}
        if new:
            self.known |= zip(new, self.classifier.predict_proba(list(new.values())), strict=True)
        return np.stack([self.known[one.tobytes()] for one in pictures])


def measure(pixels: np.ndarray, classifier: Classifier, settings: Settings, together: int, steps: int) -> list[float]:
    """Return areas of the three maps, then likeness of the partial maps, and of their strongest windows."""
    found = explain(pixels, classifier, settings=settings, alone=False, batch_size=together)
    curves = faithfulness(found, classifier, steps=steps, batch_size=together, shuffles=1)
    figures = [getattr(one, part) for part in ("deletion_area", "insertion_area") for one in curves.values()]
    predict, label, full = Remembered(classifier), found.known.index(found.classes[0]), found.maps[0, 0]
    for effort in EFFORTS:
        fast = occlusion_map(
            predict, found.pixels, fill=settings.fill, class_index=label, batch_size=together, effort=effort
        )
        figures.append(float(np.corrcoef(fast.pixels()[0].ravel(), full.ravel())[0, 1]))
        figures.append(float(np.argmax(fast.drops) == np.argmax(found.found.drops)))  # the windows are the same
    return figures


def say(name: str, values: np.ndarray) -> None:
    """Print mean and interval."""
    low, high = percentile_interval(resample(mean_scores(values[:, None]), len(values)).inside[:, 0])
    print(f"  {name:<58} {values.mean():>7.3f}  ({low:.3f} to {high:.3f})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.faithfulness")
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--faces", type=int, default=100)
    parser.add_argument("--fill", default="mean")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model, faces = load_model(options.model), read_faces(options.data)
    rows = np.flatnonzero(faces.splits == "test")
    rows = np.sort(np.random.default_rng(options.seed).permutation(rows)[: options.faces])
    together = even_batches(122, max(input_sizes(model)))
    settings = Settings(fill=options.fill)
    with Classifier(model, device="cpu", batch_size=together) as classifier:
        all_figures = np.array(
            [measure(faces.load(int(i))[0], classifier, settings, together, options.steps) for i in rows]
        )
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{len(rows)} faces, {options.model.name}, fill {options.fill}, {options.steps} steps, seed {options.seed}")
    names = [f"{curve} area, {which}" for curve in ("deletion", "insertion") for which in ("map", "shuffled", "centre")]
    for effort in EFFORTS:
        names += [f"effort {effort}: correlation with the full map", f"effort {effort}: same strongest window"]
    for name, values in zip(names, all_figures.T, strict=True):
        say(name, values)
    for k, other in ((1, "shuffled"), (2, "centre")):
        say(f"deletion, {other} less map (above 0: the map is better)", all_figures[:, k] - all_figures[:, 0])
        say(f"insertion, map less {other} (above 0: the map is better)", all_figures[:, 3] - all_figures[:, 3 + k])


if __name__ == "__main__":
    main()
