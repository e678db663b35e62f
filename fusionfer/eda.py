"""What a data set looks like: counts, sizes, brightness and contrast, mean faces, samples, in one pass."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images import SPLITS, FaceSet, decode_image, read_header

__all__ = ["Eda", "Spread", "eda", "write_eda", "write_figure"]

_AT_ONCE = 256  # pictures that are handed to the threads together
_SIDE = 96  # of mean faces and samples, at most
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green and blue (ITU-R BT.601)
_PART = 1 << 20  # pixels of a large picture that become grey together: their floats take more room than the picture

Progress = Callable[[int, int, str], None]


class Spread(NamedTuple):
    """How a figure is spread over pictures.

    Attributes
    ----------
    mean, sd : float
        Standard deviation with n - 1; 0 for one picture.
    low, median, high : float
        Quantiles of 5, 50 and 95 %.
    """

    mean: float
    sd: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, eq=False)
class Eda:
    """What was seen of a data set.

    Attributes
    ----------
    name : str
    n_samples : int
    classes : tuple of str, length K
        Labels that occur; "" stands for none.
    counts : dict of str to dict of str to int
        Samples of each split and label.
    brightness, contrast : dict of str to Spread
        Of each class that has readable pictures: mean and standard deviation of a picture's grey values, 0 to 255.
    widths, heights : tuple of int
        Smallest, median and largest, in pixels; 0 where nothing can be read.
    sizes : dict of (int, int) to int
        Width and height -> pictures, the most frequent first.
    channels, formats : dict of str to int
        "grey", "RGB" or "RGB with equal channels"; what the files are -> pictures.
    mean_faces : dict of str to ndarray of float64, shape (side, side)
        Mean of all pictures of each class, grey, 0 to 255, each squeezed into the same square.
    samples : dict of str to tuple of (str, ndarray of uint8)
        Id and pixels, made smaller where they are large, of some pictures of each class.
    unreadable : tuple of (str, str)
        Id and reason of those that cannot be read, and of those that the reader left out.
    """

    name: str
    n_samples: int
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    brightness: dict[str, Spread]
    contrast: dict[str, Spread]
    widths: tuple[int, int, int]
    heights: tuple[int, int, int]
    sizes: dict[tuple[int, int], int]
    channels: dict[str, int]
    formats: dict[str, int]
    mean_faces: dict[str, np.ndarray]
    samples: dict[str, tuple[tuple[str, np.ndarray], ...]]
    unreadable: tuple[tuple[str, str], ...]

    def describe(self) -> dict[str, Any]:
        """All of it but pictures, as JSON knows it."""
        return {
            "name": self.name,
            "n_samples": self.n_samples,
            "counts": self.counts,
            "brightness": {label: one._asdict() for label, one in self.brightness.items()},
            "contrast": {label: one._asdict() for label, one in self.contrast.items()},
            "widths": dict(zip(("smallest", "median", "largest"), self.widths, strict=True)),
            "heights": dict(zip(("smallest", "median", "largest"), self.heights, strict=True)),
            "sizes": [{"width": w, "height": h, "pictures": n} for (w, h), n in self.sizes.items()],
            "channels": self.channels,
            "formats": self.formats,
            "samples": {label: [one for one, _ in some] for label, some in self.samples.items()},
            "unreadable": [{"id": one, "reason": reason} for one, reason in self.unreadable],
        }


class _Seen(NamedTuple):
    """What is kept of one picture."""

    reason: str  # why it cannot be read; empty if it can
    size: tuple[int, int] = (0, 0)
    channels: str = ""
    kind: str = ""
    brightness: float = np.nan
    contrast: float = np.nan
    face: np.ndarray | None = None
    sample: np.ndarray | None = None


def eda(
    faces: FaceSet, *, samples: int = 8, side: int | None = None, seed: int = 0, progress: Progress | None = None
) -> Eda:
    """Look at every picture of a data set once.

    Pictures are decoded in threads and summed up one after the other, in their order, so that equal data give equal
    figures; what is kept of each is a few numbers.

    Parameters
    ----------
    faces : FaceSet
    samples : int
        Pictures of each class that are kept to be shown.
    side : int, optional
        Of mean faces, in pixels; by default that of the first picture, 96 at most.
    seed : int
        Of the samples.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Eda

    Raises
    ------
    DataError
        If there is no picture, or `samples` or `side` is out of range.

    Examples
    --------
    >>> from fusionfer.images import generate_faces
    >>> found = eda(generate_faces(3, takes=1, size=48))
    >>> found.n_samples, found.sizes, found.channels
    (21, {(48, 48): 21}, {'RGB': 21})
    >>> sorted(found.mean_faces)[0], found.mean_faces["angry"].shape
    ('angry', (48, 48))
    """
    if not len(faces) or samples < 0 or (side is not None and side < 1):
        msg = f"{faces.name}: there must be a picture (got {len(faces)}), samples from 0 (got {samples}) and a side "
        msg += f"from 1 pixel (got {side})."
        raise DataError(msg)
    labels = faces.labels.tolist()
    classes = tuple(sorted(set(labels)))
    drawn = _draw(labels, classes, samples, seed)
    side = side or _first_side(faces)
    sums = {label: np.zeros((side, side)) for label in classes}
    values = np.full((2, len(faces)), np.nan, dtype=np.float32)
    tallies: tuple[Counter[Any], ...] = (Counter(), Counter(), Counter())
    kept: dict[str, list[tuple[str, np.ndarray]]] = {label: [] for label in classes}
    unreadable = list(faces.skipped)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(faces), _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, len(faces)))
            for i, seen in zip(some, pool.map(lambda i: _look(faces, i, side, i in drawn), some), strict=True):
                if seen.face is None:
                    unreadable.append((str(faces.ids[i]), seen.reason))
                    continue
                sums[labels[i]] += seen.face
                values[:, i] = seen.brightness, seen.contrast
                for tally, what in zip(tallies, (seen.size, seen.channels, seen.kind), strict=True):
                    tally[what] += 1
                if seen.sample is not None:
                    kept[labels[i]].append((str(faces.ids[i]), seen.sample))
            if progress is not None:
                progress(some.stop, len(faces), "pictures")
    rows = {label: np.flatnonzero((faces.labels == label) & np.isfinite(values[0])) for label in classes}
    sizes, channels, formats = (dict(sorted(one.items(), key=lambda item: (-item[1], item[0]))) for one in tallies)
    return Eda(
        name=faces.name,
        n_samples=len(faces),
        classes=classes,
        counts=_counts(faces),
        brightness={label: _spread(values[0, index]) for label, index in rows.items() if len(index)},
        contrast={label: _spread(values[1, index]) for label, index in rows.items() if len(index)},
        widths=_range([(w, n) for (w, _), n in sizes.items()]),
        heights=_range([(h, n) for (_, h), n in sizes.items()]),
        sizes=sizes,
        channels=channels,
        formats=formats,
        mean_faces={label: sums[label] / len(index) for label, index in rows.items() if len(index)},
        samples={label: tuple(some) for label, some in kept.items()},
        unreadable=tuple(unreadable),
    )


def write_eda(found: Eda, folder: str | Path) -> Path:
    """Write a page with tables and figures, the same in Markdown, and all numbers as JSON.

    Parameters
    ----------
    found : Eda
    folder : path
        Made if it does not exist.

    Returns
    -------
    Path
        Of ``index.html``, which needs no other file.

    Raises
    ------
    ReportError
        If a file cannot be written.
    """
    from fusionfer.report import eda_sections, write_report

    title = f"What {Path(found.name).name or found.name} looks like"
    lead = f"{found.n_samples:,} pictures of {len([label for label in found.classes if label])} classes."
    return write_report(folder, title=title, lead=lead, sections=eda_sections(found), data=found.describe())


def write_figure(found: Eda, path: str | Path) -> None:
    """Write counts, brightness, contrast, mean faces and samples as one PNG.

    Parameters
    ----------
    found : Eda
    path : path
        Replaced if it is there.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    from fusionfer.report import eda_figure, png_bytes, write_bytes

    write_bytes(Path(path), png_bytes(eda_figure(found)))


def _look(faces: FaceSet, i: int, side: int, keep: bool) -> _Seen:
    """Decode picture `i` and measure it."""
    try:
        stored = faces.read(i)
        kind = "pixels" if isinstance(stored, np.ndarray) else read_header(stored)[0]
        pixels = decode_image(stored, max_pixels=faces.max_pixels)
    except ImageError as error:
        return _Seen(str(error))
    channels, grey = "grey", pixels
    if pixels.ndim == 3:
        equal = all(np.array_equal(pixels[..., 0], pixels[..., c]) for c in (1, 2))
        channels, grey = ("RGB with equal channels", pixels[..., 0]) if equal else ("RGB", _luma(pixels))
    height, width = grey.shape
    sample = None
    if keep:
        largest = max(height, width, _SIDE)
        h, w = (max(1, round(n * _SIDE / largest)) for n in (height, width))
        layers = [_squeezed(layer, h, w) for layer in np.moveaxis(np.atleast_3d(pixels), 2, 0)]
        sample = np.rint(np.dstack(layers) if pixels.ndim == 3 else layers[0]).astype(np.uint8)
    face = _squeezed(grey, side, side)
    return _Seen("", (width, height), channels, kind, float(grey.mean()), float(grey.std()), face, sample)


def _luma(pixels: np.ndarray) -> np.ndarray:
    """Return the grey values of a colour picture, shape (height, width), float32."""
    grey = np.empty(pixels.shape[:2], dtype=np.float32)
    rows = max(1, _PART // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        grey[start : start + rows] = pixels[start : start + rows] @ _LUMA
    return grey


def _squeezed(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the picture at another size: each new pixel is the mean of the area that it covers."""
    if pixels.shape == (height, width):
        return pixels
    return _areas(pixels.shape[0], height) @ pixels @ _areas(pixels.shape[1], width).T


@lru_cache(maxsize=32)  # of large pictures each takes a megabyte
def _areas(old: int, new: int) -> np.ndarray:
    """Return the share of each of `old` pixels in each of `new` ones along one side, shape (new, old)."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0.0) * (new / old)).astype(np.float32)


def _first_side(faces: FaceSet) -> int:
    """Return the longer side of the first picture that can be read, 96 at most."""
    for i in range(len(faces)):
        try:
            stored = faces.read(i)
            sides = stored.shape[:2] if isinstance(stored, np.ndarray) else read_header(stored)[1:]
        except ImageError:
            continue
        return min(max(sides), _SIDE)
    return _SIDE


def _draw(labels: Sequence[str], classes: Sequence[str], samples: int, seed: int) -> set[int]:
    """Draw rows of each class; which are drawn of one class does not depend on the others."""
    index = np.array(labels)
    drawn: set[int] = set()
    for label in classes:
        rows = np.flatnonzero(index == label)
        drawn.update(np.random.default_rng(seed).permutation(rows)[:samples].tolist())
    return drawn


def _counts(faces: FaceSet) -> dict[str, dict[str, int]]:
    """Samples by split and label, splits in their own order."""
    counts = Counter(zip(faces.splits.tolist(), faces.labels.tolist(), strict=True))
    order = [split for split in ("", *SPLITS) if split in {one for one, _ in counts}]
    return {split: {label: n for (one, label), n in sorted(counts.items()) if one == split} for split in order}


def _spread(values: np.ndarray) -> Spread:
    exact = values.astype(np.float64)
    sd = float(exact.std(ddof=1)) if len(exact) > 1 else 0.0
    return Spread(float(exact.mean()), sd, *np.quantile(exact, [0.05, 0.5, 0.95]).tolist())


def _range(sides: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Smallest, (lower) median and largest of sides and how often each occurs."""
    if not sides:
        return (0, 0, 0)
    ordered = sorted(sides)
    before = np.cumsum([n for _, n in ordered])
    middle = int(np.searchsorted(before, before[-1] / 2))
    return (ordered[0][0], ordered[middle][0], ordered[-1][0])
