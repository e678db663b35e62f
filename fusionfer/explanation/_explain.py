"""One picture and one model: which part of the face carries the probability, for all networks and for each alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ModelError, unknown_name
from fusionfer.explanation._canvas import canvas
from fusionfer.occlusion import (
    DRAWS,
    Curves,
    OcclusionMap,
    RegionShare,
    centred_gaussian,
    deletion_insertion,
    occlusion_map,
    region_shares,
    shuffled_map,
)
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier

__all__ = ["ALL", "Explanation", "Settings", "explain", "faithfulness"]

#: The view in which the square hides the face from all networks; the others are named by the one network it blinds.
ALL = "all networks"

Progress = Callable[[int, int, str], None]

_CORNERS = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Settings:
    """How the square is moved; see `fusionfer.occlusion.occlusion_map`.

    Attributes
    ----------
    size, stride : int or float, optional
        Of the square: pixels of the network's input, or shares of its side.
    fill : {"zero", "mean", "blur", "noise"} or float
        What it shows.
    effort : float
        Share of the windows that may be computed, in (0, 1].
    seed, draws : int
        Of noise.
    """

    size: int | float | None = None
    stride: int | float | None = None
    fill: str | float = "mean"
    effort: float = 1.0
    seed: int = 0
    draws: int = DRAWS


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the square took away from some classes of one picture.

    Attributes
    ----------
    name : str
        Of the picture.
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        The picture on which the square was moved.
    known : tuple of str, length K
        All classes of the model.
    predicted : str
        What the model says of the whole picture; of some heads that is not the class of the largest probability.
    proba : ndarray of float64, shape (K,)
        Of the whole picture.
    classes : tuple of str, length C
        Those that are explained.
    views : tuple of str, length V
        `ALL` first: the square hides the face from all networks. Then, for a hybrid, the name of each network: the
        square is shown to that one only, while the others see the whole face.
    found : OcclusionMap
        Its columns are the classes of the first view, then those of the second, and so on.
    settings : Settings
    """

    name: str
    pixels: np.ndarray
    known: tuple[str, ...]
    predicted: str
    proba: np.ndarray
    classes: tuple[str, ...]
    views: tuple[str, ...]
    found: OcclusionMap
    settings: Settings

    @property
    def maps(self) -> np.ndarray:
        """Mean drop of probability over the windows that cover each pixel: float64, shape (V, C, height, width)."""
        return self.found.pixels().reshape(len(self.views), len(self.classes), *self.found.shape)

    @property
    def drops(self) -> np.ndarray:
        """Drop of probability by window: float64, shape (V, C, rows, columns)."""
        return self.found.drops.T.reshape(len(self.views), len(self.classes), *self.found.grid)

    def regions(self, label: str, view: str = ALL) -> tuple[RegionShare, ...]:
        """Share out what speaks for a class among the parts of a face, for a face in FER-2013's frame."""
        return region_shares(self.maps[self.views.index(view), self.classes.index(label)])

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON knows them: all but pixels and maps."""
        size = self.found.windows[0]
        rows = [
            {
                "class": label,
                "probability": float(self.proba[self.known.index(label)]),
                "views": [self._view(label, c, view, v) for v, view in enumerate(self.views)],
            }
            for c, label in enumerate(self.classes)
        ]
        return {
            "image": self.name,
            "predicted": self.predicted,
            "probabilities": dict(zip(self.known, self.proba.tolist(), strict=True)),
            "window": int(size[2] - size[0]),
            "fill": self.settings.fill,
            "windows": len(self.found.windows),
            "measured": int(self.found.measured.sum()),
            "pictures_computed": self.found.asked,
            "classes": rows,
        }

    def _view(self, label: str, c: int, view: str, v: int) -> dict[str, Any]:
        drops = self.found.drops[:, v * len(self.classes) + c]
        top = int(np.argmax(drops))
        return {
            "hidden_from": view,
            "largest_drop": float(drops[top]),
            "largest_drop_at": dict(zip(_CORNERS, self.found.windows[top].tolist(), strict=True)),
            "smallest_drop": float(drops.min()),
            "regions": [
                {"region": one.region, "area": one.area, "share": _finite(one.share), "density": _finite(one.density)}
                for one in self.regions(label, view)
            ],
        }  # fmt: skip


class Viewed:
    """The probabilities of a model for each view side by side, from one pass through the networks.

    The head is given the features of the changed picture from the networks that see the square, and those of the whole
    picture, the first one that came, from the others. So the views take no forward pass of their own.
    """

    def __init__(self, classifier: Classifier, alone: bool) -> None:
        self._classifier = classifier
        names = {name: str(block["backbone"]) for name, block in classifier.model.blocks.items()}
        networks = list(dict.fromkeys(names.values()))
        columns = {
            network: np.concatenate(
                [np.arange(s.start, s.stop) for name, s in classifier.columns.items() if names[name] == network]
            )
            for network in networks
        }
        self._blind = list(columns.values()) if alone and len(networks) > 1 else []
        self.views = (ALL, *(networks if self._blind else ()))
        self._whole: np.ndarray | None = None
        self.predicted = ""

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return probabilities, shape (n, V * K)."""
        X = self._classifier.features(pictures)
        if self._whole is None:
            self._whole = X[:1].copy()
            self.predicted = str(self._classifier.model.predict(self._whole)[0])
        seen = [X]
        for columns in self._blind:
            one = np.repeat(self._whole, len(X), axis=0)
            one[:, columns] = X[:, columns]
            seen.append(one)
        proba = np.asarray(self._classifier.model.predict_proba(np.concatenate(seen)), dtype=np.float64)
        return np.hstack(np.split(proba, len(seen)))


def explain(
    pixels: np.ndarray,
    classifier: Classifier,
    *,
    classes: str | Sequence[str] = "predicted",
    name: str = "picture",
    settings: Settings | None = None,
    alone: bool = True,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Explanation:
    """Slide a square over a face and record how far the probability falls, for the hybrid and for each network alone.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
    classifier : Classifier
        The model with its networks; the head may be anything that gives probabilities, trees too.
    classes : {"predicted", "all"}, or sequence of str
        Which classes to explain, each once; both words may stand among names. More classes take no more time.
    name : str
        Of the picture, for the result.
    settings : Settings, optional
        Size, stride and fill of the square.
    alone : bool
        Also show the square to one network at a time, while the others see the whole face. That takes no further pass
        through the networks, only more rows for the head.
    batch_size : int
        That of `classifier`, best.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Explanation

    Raises
    ------
    ModelError
        If the head gives no probabilities.
    UnknownNameError
        If the model does not know a class.
    DataError
        If a setting is out of its range.
    ImageError
        If `pixels` is no picture.
    """
    settings = settings or Settings()
    model = classifier.model
    require_probabilities(model)
    asked = [classes] if isinstance(classes, str) else list(classes)
    special = {"predicted", "all"} - set(model.classes)
    for label in asked:
        if label not in model.classes and label not in special:
            raise unknown_name("class", label, [*model.classes, *special], plural="classes")
    if not asked:
        msg = "Name a class to explain, or give 'predicted' or 'all'."
        raise DataError(msg)
    board = canvas(pixels, model) if isinstance(pixels, np.ndarray) and pixels.ndim in (2, 3) else pixels
    viewed = Viewed(classifier, alone)
    known = model.classes

    def columns(whole: np.ndarray) -> list[int]:
        meant = {"all": known, "predicted": (viewed.predicted,)}
        every = [one for label in asked for one in (meant[label] if label in special else (label,))]
        chosen = list(dict.fromkeys(every))  # a class that is named twice is explained once
        seen.extend(whole[: len(known)].tolist())
        labels.extend(chosen)
        return [view * len(known) + known.index(label) for view in range(len(viewed.views)) for label in chosen]

    seen: list[float] = []
    labels: list[str] = []
    found = occlusion_map(
        viewed, board, class_index=columns, size=settings.size, stride=settings.stride, fill=settings.fill,
        effort=settings.effort, seed=settings.seed, draws=settings.draws, batch_size=batch_size, progress=progress,
    )  # fmt: skip
    return Explanation(
        name, board, known, viewed.predicted, np.array(seen), tuple(labels), viewed.views, found, settings
    )


def faithfulness(
    explanation: Explanation, classifier: Classifier, *, steps: int = 32, batch_size: int = 32, shuffles: int = 3
) -> dict[str, Curves]:
    """Say how faithful the map of the first class is, by deletion and insertion, beside two maps that know nothing.

    Parameters
    ----------
    explanation : Explanation
        Its map for all networks together.
    classifier : Classifier
        That it was made with.
    steps, batch_size : int
        As in `fusionfer.occlusion.deletion_insertion`.
    shuffles : int
        Maps of shuffled windows; their curves and areas are averaged.

    Returns
    -------
    dict of str to Curves
        "map"; "shuffled": the same drops at random windows; "centre": a Gaussian in the middle of the picture.
    """
    found, pixels = explanation.found, explanation.pixels
    label = explanation.known.index(explanation.classes[0])
    blind = [shuffled_map(found, seed=explanation.settings.seed + k) for k in range(shuffles)]
    maps = [explanation.maps[0, 0], centred_gaussian(found.shape), *blind]
    own, centre, *shuffled = (
        deletion_insertion(
            classifier.predict_proba, pixels, one, class_index=label, steps=steps, batch_size=batch_size
        )
        for one in maps
    )  # fmt: skip
    mean = Curves(own.shares, *(np.mean([getattr(one, part) for one in shuffled], axis=0) for part in _CURVES))
    return {"map": own, "shuffled": mean, "centre": centre}


_CURVES = ("deletion", "insertion", "deletion_area", "insertion_area")


def require_probabilities(model: Model) -> None:
    """Refuse a head whose probabilities cannot fall, because it has none.

    Raises
    ------
    ModelError
    """
    if not hasattr(model.estimator, "predict_proba"):
        msg = (
            f"The head {type(model.estimator).__name__} gives no probabilities, and a probability is what is "
            "explained. Fit a head that gives them, such as ecoc, softmax or svm-linear; other scores can be mapped by "
            "fusionfer.occlusion.occlusion_map."
        )
        raise ModelError(msg)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
