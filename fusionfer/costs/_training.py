"""What it takes to train networks, and to score trained ones."""

from __future__ import annotations

from collections.abc import Sequence

from fusionfer.costs._machine import cores, slowness
from fusionfer.costs._networks import network_costs
from fusionfer.costs._summing import summed
from fusionfer.memory import MAPPED_FROM, Estimate

__all__ = ["estimate_scoring", "estimate_training", "most_pictures"]

_MB = 1 << 20
_SIDE = 224.0
_PROGRAMS = 340 * _MB  # the interpreter, torch and what it prepares, OpenCV, scikit-learn
_LIGHTNING = 130 * _MB
_TRAINED_COPIES = 5.5  # of weights: themselves, gradients, moments, average, best epoch, what is written
_LOADED_COPIES = 2.0  # of weights while a checkpoint is read
_BACKWARD, _BACKWARD_ROOM = 3.5, 3.0  # of a pass forward alone
_AUGMENTING = 0.7  # ms a picture
_EACH = 0.6  # ms a picture at any size: reading, decoding, hashing
_ROW = 900  # bytes: ids, labels and groups as text, digests twice, the key of a picture
_START = 6.0  # seconds: imports
_MOST_PICTURES = 4 << 30  # bytes of one split that are kept; more are decoded again in every epoch
_MOST_DECODERS = 8  # pictures that are decoded at a time
_DECODED = 8  # bytes a pixel meanwhile, as in extraction


def most_pictures(limit: int | None) -> int:
    """Return how many bytes of decoded pictures of one split stay in memory; of more than that, none do.

    Parameters
    ----------
    limit : int or None
        What all together may take, as `fusionfer.memory.asked_bytes` says it: each split gets an eighth of it, as
        features do. None where nothing was asked for.

    Returns
    -------
    int

    Examples
    --------
    >>> most_pictures(None) >> 30, most_pictures(8 << 30) >> 30
    (4, 1)
    """
    return _MOST_PICTURES if limit is None else min(_MOST_PICTURES, int(MAPPED_FROM * limit))


def estimate_training(
    n: int,
    judged: int | Sequence[int],
    networks: Sequence[tuple[str, int]],
    *,
    epochs: int,
    batch_size: int,
    size: int,
    optimizers: int = 1,
    small_stem: bool = False,
    views: int = 1,
    channels: int = 3,
    pixels: int = 48 * 48,
    limit: int | None = None,
    on_cpu: bool = True,
) -> Estimate:
    """Estimate what training takes.

    Parameters
    ----------
    n : int
        Pictures that train.
    judged : int or sequence of int
        Pictures of each further split; those of the first are judged after each epoch, the others at the end.
    networks : sequence of (str, int)
        Name, and side in pixels of what it is shown.
    epochs : int
    batch_size : int
    size : int
        Side of the pictures that are kept, in pixels.
    optimizers : int
        Each trains every network once.
    small_stem : bool
        Whether the network begins without halving, and so computes on sixteen times the pixels.
    views : int
        Of each picture that is judged at the end.
    channels : int
        Of the pictures that are kept.
    pixels : int
        Of a picture before it is resized.
    limit : int, optional
        Bytes that are asked for; see `most_pictures`.
    on_cpu : bool

    Returns
    -------
    Estimate
    """
    others = [judged] if isinstance(judged, int) else list(judged)
    networks = [(name, side * 4 if small_stem else side) for name, side in networks]
    weights = max(network_costs(name).weights for name, _ in networks) * _MB
    parts = [
        ("programs", _PROGRAMS + _LIGHTNING),
        ("weights, gradients, moments and averages", int(_TRAINED_COPIES * weights)),
        ("activations", int(_BACKWARD_ROOM * _activations(networks, batch_size)) if on_cpu else 0),
        ("pictures", sum(_kept(some, channels * size * size, limit) for some in (n, *others))),
        ("pictures being decoded", _MOST_DECODERS * _DECODED * pixels),
        ("tables of rows", (n + sum(others)) * _ROW),
    ]
    each = sum(network_costs(name).work * _scale(side) for name, side in networks) + _AUGMENTING * len(networks)
    epoch = 1e-3 * (each * (_BACKWARD * n + others[0]) + _EACH * (n + others[0]))
    last = 1e-3 * each * sum(others) * views
    taken = slowness() * (optimizers * (epochs * epoch + last) / cores() + 2 * _START)
    return summed("train", parts, taken if on_cpu else float("nan"))


def estimate_scoring(
    n: int,
    tuned: int,
    networks: Sequence[tuple[str, int]],
    *,
    sizes: Sequence[int],
    views: Sequence[int],
    batch_size: int = 64,
    channels: int = 3,
    pixels: int = 48 * 48,
    rows: int | None = None,
    limit: int | None = None,
    on_cpu: bool = True,
) -> Estimate:
    """Estimate what scoring trained networks on pictures takes, one network after the other.

    Parameters
    ----------
    n, tuned : int
        Pictures that are scored, and those on which the weights of an average are found.
    networks : sequence of (str, int)
        Name, and side in pixels of what it is shown.
    sizes, views : sequence of int
        Of each network: the side of the pictures that are kept for it, and how many views of each it is shown.
    batch_size : int
    channels : int
        Of the pictures that are kept.
    pixels : int
        Of a picture before it is resized.
    rows : int, optional
        Pictures of the whole set; by default those that are looked at.
    limit : int, optional
        Bytes that are asked for; see `most_pictures`.
    on_cpu : bool

    Returns
    -------
    Estimate
    """
    every = list(zip(networks, sizes, views, strict=True))
    shown = max((4 * 3 * many * batch_size * side**2 for (_, side), _, many in every), default=0)  # in float32
    activations = max((_activations([one], batch_size) for one in networks), default=0)
    weights = max((network_costs(name).weights for name, _ in networks), default=0.0) * _MB
    parts = [
        ("programs", _PROGRAMS),
        ("weights", int(_LOADED_COPIES * weights)),
        ("activations", activations + shown if on_cpu else 0),
        ("pictures", max((_kept(max(n, tuned), channels * size**2, limit) for size in sizes), default=0)),
        ("pictures being decoded", _MOST_DECODERS * _DECODED * pixels),
        ("tables of rows", _ROW * (n + tuned if rows is None else rows)),
    ]
    each = sum(_EACH + many * network_costs(name).work * _scale(side) for (name, side), _, many in every)
    taken = slowness() * (1e-3 * (n + tuned) * each / cores() + _START)
    return summed("evaluate", parts, taken if on_cpu else float("nan"))


def _kept(n: int, each: int, limit: int | None) -> int:
    """Bytes of n pictures of `each` bytes that stay in memory: all, or none where that were too many."""
    return n * each if n * each <= most_pictures(limit) else 0


def _scale(side: int) -> float:
    return (side / _SIDE) ** 2


def _activations(networks: Sequence[tuple[str, int]], batch_size: int) -> int:
    return int(batch_size * max(network_costs(name).room * _scale(side) for name, side in networks) * _MB)
