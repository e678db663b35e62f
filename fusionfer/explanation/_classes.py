"""Which parts of the face matter for which class: maps averaged over a set, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ImageError, unknown_name
from fusionfer.explanation._explain import Settings, _finite, explain, require_probabilities
from fusionfer.images import SPLITS, FaceSet
from fusionfer.occlusion import region_masks
from fusionfer.prediction import Classifier
from fusionfer.statistics import percentile_interval, resample

__all__ = ["ClassMaps", "RegionEstimate", "draw_faces", "explain_classes"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class RegionEstimate:
    """How much of a class's saliency lies in one part of the face, over pictures.

    Attributes
    ----------
    label, region : str
    area : float
        Share of the picture's pixels.
    share, low, high : float
        Positive saliency in the part by all positive saliency, summed over pictures, and its interval of 95 %.
        NaN where no map is positive anywhere; of one picture there is no interval.
    density : float
        `share` by `area`.
    """

    label: str
    region: str
    area: float
    share: float
    low: float
    high: float

    @property
    def density(self) -> float:
        """Above 1, the part matters more than its size."""
        return self.share / self.area


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Maps of several classes, each the mean over pictures of that class.

    Attributes
    ----------
    name : str
        Of the data set.
    split : str
        From which pictures were drawn; empty if from all.
    classes : tuple of str, length K
        Those that have pictures.
    ids : dict of str to tuple of str
        Pictures of each class.
    right : dict of str to int
        How many of them the model names rightly.
    maps : ndarray of float64, shape (K, height, width)
        Mean drop of the class's own probability, right or wrong, when each pixel is covered.
    mean_faces : ndarray of float64, shape (K, height, width)
        Mean of the pictures, grey, 0 to 255.
    regions : tuple of RegionEstimate
        Of each class in turn, the densest part first.
    skipped : tuple of (id, reason)
        Pictures that could not be read.
    settings : Settings
    window : int
        Side of the square in pixels of the maps.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    ids: dict[str, tuple[str, ...]]
    right: dict[str, int]
    maps: np.ndarray
    mean_faces: np.ndarray
    regions: tuple[RegionEstimate, ...]
    skipped: tuple[tuple[str, str], ...]
    settings: Settings
    window: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON knows them."""
        return {
            "data": self.name,
            "split": self.split,
            "window": self.window,
            "fill": self.settings.fill,
            "classes": [
                {
                    "class": label,
                    "pictures": len(self.ids[label]),
                    "right": self.right[label],
                    "ids": list(self.ids[label]),
                    "regions": [
                        {"region": one.region, "area": one.area, "share": _finite(one.share), "low": _finite(one.low),
                         "high": _finite(one.high), "density": _finite(one.density)}
                        for one in self.regions if one.label == label
                    ],
                }
                for label in self.classes
            ],
            "skipped": [{"image": sample, "reason": reason} for sample, reason in self.skipped],
        }  # fmt: skip


def draw_faces(faces: FaceSet, *, split: str = "test", limit: int | None = 50, seed: int = 0) -> FaceSet:
    """Return up to `limit` faces of each class, drawn with a seed, so that no class depends on the others.

    Parameters
    ----------
    faces : FaceSet
        With labels.
    split : str
        Where to draw from; where the set has no splits at all, from everything.
    limit : int, optional
        Of each class; None for all.
    seed : int

    Returns
    -------
    FaceSet
        In the order of the set.

    Raises
    ------
    DataError
        If there is nothing to draw from.
    UnknownNameError
        If there is no such split.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if limit is not None and limit < 1:
        msg = f"limit must be a whole number from 1, got {limit!r}."
        raise DataError(msg)
    some = faces.splits == split if any(faces.splits) else np.ones(len(faces), dtype=bool)
    if not (some & (faces.labels != "")).any():
        there = ", ".join(sorted({str(one) for one in faces.splits} - {""})) or "none"
        msg = f"{faces.name} has no labelled pictures in the split {split}. Splits there: {there}."
        raise DataError(msg)
    drawn = [
        np.random.default_rng(seed).permutation(np.flatnonzero(some & (faces.labels == label)))[:limit]
        for label in faces.classes
    ]
    return faces.take(np.sort(np.concatenate(drawn)))


def explain_classes(
    faces: FaceSet,
    classifier: Classifier,
    *,
    split: str = "test",
    limit: int | None = 50,
    seed: int = 0,
    settings: Settings | None = None,
    batch_size: int = 32,
    samples: int = 1000,
    on_error: str = "skip",
    progress: Progress | None = None,
) -> ClassMaps:
    """Average the maps of each class over pictures of that class, and say which parts of the face they need.

    Of each picture the probability of its own label is followed, whether the model names it rightly or not.

    Parameters
    ----------
    faces : FaceSet
        With labels, cut out tightly as FER-2013's, as parts are looked for in that frame.
    classifier : Classifier
        The model with its networks.
    split, limit, seed
        As in `draw_faces`.
    settings : Settings, optional
        Size, stride and fill of the square.
    batch_size : int
        That of `classifier`, best.
    samples : int
        Draws of the bootstrap over pictures; each class by itself.
    on_error : {"skip", "fail"}
        What a picture does that cannot be read.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    ClassMaps

    Raises
    ------
    DataError
        If the labels are none of the model's, or there is nothing to draw from.
    ModelError
        If the head gives no probabilities.
    ImageError
        With ``on_error="fail"``.
    """
    settings = settings or Settings()
    require_probabilities(classifier.model)
    if not len(faces) and faces.skipped:
        first, reason = faces.skipped[0]
        told = f"{len(faces.skipped)} were left out. The first, {first}: {reason}"
        msg = f"{faces.name}: not one picture can be used; {told}"
        raise DataError(msg)
    drawn = draw_faces(faces, split=split, limit=limit, seed=seed)
    strange = sorted(set(drawn.classes) - set(classifier.classes))
    if strange:
        msg = (
            f"The model does not know the labels {', '.join(strange)}, only {', '.join(classifier.classes)}. "
            "Map or drop them: --classes 'label=known,label='."
        )
        raise DataError(msg)
    found: dict[str, list[tuple[str, np.ndarray, np.ndarray, bool]]] = {}
    skipped, window = list(faces.skipped), 0
    for i in range(len(drawn)):
        sample, label = str(drawn.ids[i]), str(drawn.labels[i])
        try:
            pixels = drawn.load(i)[0]
        except ImageError as error:
            if on_error == "fail":
                raise
            skipped.append((sample, str(error)))
            continue
        one = explain(
            pixels, classifier, classes=[label], name=sample, settings=settings, alone=False, batch_size=batch_size
        )
        window = int(one.found.windows[0, 2])
        face = one.pixels.astype(np.float64)
        face = face if face.ndim == 2 else face @ (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
        found.setdefault(label, []).append((sample, one.maps[0, 0], face, one.predicted == label))
        if progress is not None:
            progress(i + 1, len(drawn), "explaining")
    shapes = {entry[1].shape for some in found.values() for entry in some}
    if len(shapes) != 1:
        msg = (
            "Not one picture can be read."
            if not shapes
            else f"Pictures differ in size ({len(shapes)} sizes) and the model's networks too, so their maps cannot "
            "be averaged. Give pictures of one size."
        )
        raise DataError(msg)
    classes = tuple(sorted(found))
    return ClassMaps(
        name=faces.name,
        split=split if any(faces.splits) else "",
        classes=classes,
        ids={label: tuple(sample for sample, *_ in found[label]) for label in classes},
        right={label: sum(right for *_, right in found[label]) for label in classes},
        maps=np.stack([np.mean([one for _, one, *_ in found[label]], axis=0) for label in classes]),
        mean_faces=np.stack([np.mean([face for _, _, face, _ in found[label]], axis=0) for label in classes]),
        regions=tuple(
            estimate
            for label in classes
            for estimate in _estimates(label, np.stack([one for _, one, *_ in found[label]]), samples, seed)
        ),
        skipped=tuple(skipped),
        settings=settings,
        window=window,
    )


def _estimates(label: str, maps: np.ndarray, samples: int, seed: int) -> list[RegionEstimate]:
    """Shares of regions as ratios of sums, so that pictures whose probability hardly moves count little."""
    masks = region_masks((maps.shape[1], maps.shape[2]))
    positive = np.maximum(maps, 0.0)
    sums = np.stack([positive[:, mask].sum(axis=1) for mask in masks.values()], axis=1)

    def shares(weights: np.ndarray) -> np.ndarray:
        parts = weights @ sums
        total = parts.sum(axis=1, keepdims=True)
        return np.divide(parts, total, out=np.full_like(parts, np.nan), where=total > 0)

    point = shares(np.ones((1, len(maps))))[0]
    bounds = [(float("nan"), float("nan"))] * len(masks)
    if len(maps) > 1:
        drawn = resample(shares, len(maps), samples=samples, seed=seed).inside
        drawn = drawn[np.isfinite(drawn[:, 0])]  # where no probability falls there is nothing to share out
        if len(drawn):
            bounds = [percentile_interval(drawn[:, k]) for k in range(len(masks))]
    found = [
        RegionEstimate(label, region, float(mask.mean()), float(share), *bound)
        for (region, mask), share, bound in zip(masks.items(), point, bounds, strict=True)
        if mask.any()
    ]
    return sorted(found, key=lambda one: -np.nan_to_num(one.density))
