"""What it takes to run pictures through networks, and to train networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionfer.costs._machine import cores, slowness
from fusionfer.memory import Estimate

__all__ = [
    "NETWORKS",
    "Network",
    "estimate_explaining",
    "estimate_exporting",
    "estimate_extraction",
    "estimate_prediction",
    "estimate_training",
    "fitting_batch",
    "network_costs",
    "workers_for",
]

_MB = 1 << 20
_SIDE = 224.0
_MOST_WORKERS = 8  # as extraction has them
_TORCH = 225 * _MB  # the interpreter, torch, OpenCV, scikit-learn
_KERNELS = 115 * _MB  # what torch prepares when the first network runs
_COPIES = 3.8  # of the weights while they are read, folded and laid out for the processor
_KEPT_COPIES = 2.4  # of them that stay, where further networks follow
_ROW = 900  # bytes: ids, labels and groups as text, digests twice, the key of a picture
_START = 6.0  # seconds: imports
_LOADING = 12e-3  # seconds a MB of weights: read, hashed, folded, laid out
_EACH = 0.6  # ms a picture at any size: reading, decoding, hashing, handing over
_TRAINED_COPIES = 5.5  # of weights: themselves, gradients, moments, average, best epoch, what is written
_BACKWARD, _BACKWARD_ROOM = 3.5, 3.0  # of a pass forward alone
_AUGMENTING = 0.7  # ms a picture
_ENLARGING = 1.5  # ms to make 224 x 224 values of a picture and normalise them


@dataclass(frozen=True)
class Network:
    """What one network takes; measured by ``python -m benchmarks.scale units``.

    Attributes
    ----------
    weights : float
        MB, in float32, of what stays after the levels that are taken.
    room : float
        MB for each picture of 224 pixels in a batch: inputs, activations, work space.
    work : float
        Milliseconds of one core for each picture of 224 pixels.
    """

    weights: float
    room: float
    work: float


#: Known networks. Room and work grow with the number of pixels.
NETWORKS = {
    "resnet34": Network(83, 5.0, 106),
    "resnet50": Network(98, 6.2, 135),
    "mobilenet_v2": Network(14, 6.7, 26),
    "densenet121": Network(31, 15.0, 190),
    "vgg16": Network(230, 22.0, 510),
    "xception": Network(80, 12.0, 160),
}

#: What stands for those of which nothing was measured.
_USUAL = "resnet50"


def network_costs(name: str) -> Network:
    """Return what a network takes: its own, that of the one it is made of, or that of resnet50 if it is not known.

    Examples
    --------
    >>> network_costs("vgg16-gru") is NETWORKS["vgg16"], network_costs("timm:convnext_tiny") is NETWORKS["resnet50"]
    (True, True)
    """
    return next((one for known, one in NETWORKS.items() if name.startswith(known)), NETWORKS[_USUAL])


def workers_for(batches: int, threads: int | None = None) -> int:
    """How many batches are in work at the same time on a CPU, each in memory of its own."""
    return max(1, min(_MOST_WORKERS, threads or cores(), batches))


def _scale(side: int) -> float:
    return (side / _SIDE) ** 2


def _loaded(networks: Sequence[tuple[str, int]]) -> list[int]:
    """Bytes of weights: what stays of each network, and what the largest takes beyond that while it is read."""
    weights = [network_costs(name).weights * _MB for name, _ in networks]
    return [int(_KEPT_COPIES * sum(weights)), int((_COPIES - _KEPT_COPIES) * max(weights, default=0))]


def _activations(networks: Sequence[tuple[str, int]], batch_size: int, workers: int) -> int:
    return int(
        workers
        * batch_size
        * max((network_costs(name).room * _scale(side) for name, side in networks), default=0.0)
        * _MB
    )


def _work(networks: Sequence[tuple[str, int]], n: int) -> float:
    """Seconds of one core for n pictures, with all that is done to a picture before the networks."""
    each = _EACH + _ENLARGING * sum(_scale(side) for side in {side for _, side in networks})
    return 1e-3 * n * (each + sum(network_costs(name).work * _scale(side) for name, side in networks))


def _forward(
    what: str,
    n: int,
    networks: Sequence[tuple[str, int]],
    *,
    batch_size: int,
    workers: int,
    on_cpu: bool,
    rows: int | None = None,
    more: Sequence[tuple[str, int]] = (),
    seconds: float = 0.0,
) -> Estimate:
    kept, reading = _loaded(networks)
    room = _activations(networks, batch_size, workers) if on_cpu else 0
    parts = [
        ("programs", _TORCH + _KERNELS), ("weights", kept + reading), ("activations", room),
        ("tables of rows", _ROW * (n if rows is None else rows)), *more,
    ]  # fmt: skip
    loading = _LOADING * sum(network_costs(name).weights for name, _ in networks)
    taken = slowness() * (_work(networks, n) / max(1, min(cores(), workers)) + loading + _START + seconds)
    return Estimate.of(what, parts, taken if on_cpu else float("nan"))


def estimate_extraction(
    n: int, networks: Sequence[tuple[str, int]], *, batch_size: int = 32, threads: int | None = None,
    on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what extraction takes.

    Parameters
    ----------
    n : int
        Pictures.
    networks : sequence of (str, int)
        Name of each backbone, and its input side in pixels.
    batch_size : int
        Pictures that go through a network together.
    threads : int, optional
        Of torch; by default as many as there are cores.
    on_cpu : bool
        Whether the networks run here. What they take on a GPU is neither of this memory nor known before.

    Returns
    -------
    Estimate
    """
    workers = workers_for(-(-n // batch_size), threads)
    return _forward("extract", n, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu)


def fitting_batch(
    n: int, networks: Sequence[tuple[str, int]], limit: int, *, batch_size: int, threads: int | None = None
) -> int:
    """Return the largest halved, quartered, ... `batch_size` with which extraction stays below a limit; 0 if none."""
    size = batch_size
    while size and estimate_extraction(n, networks, batch_size=size, threads=threads).bytes > limit:
        size //= 2
    return size


def estimate_prediction(
    n: int, networks: Sequence[tuple[str, int]], *, batch_size: int = 32, columns: int = 0, head: int = 0,
    on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what prediction takes: that of extraction, features in `columns`, a model of `head` bytes."""
    more = [("features", 12 * n * columns), ("the model", 3 * head)]
    workers = workers_for(-(-n // batch_size))
    return _forward("predict", n, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu, more=more)


def estimate_explaining(
    pictures: int, windows: int, networks: Sequence[tuple[str, int]], *, batch_size: int, head: int = 0,
    on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what explaining takes: each picture goes through the networks once for each place of the square."""
    more = [("the model", 3 * head), ("figures", 60 * _MB)]
    workers = workers_for(-(-windows // batch_size))
    return _forward(
        "explain", pictures * windows, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu, rows=pictures,
        more=more,
    )  # fmt: skip


def estimate_exporting(networks: Sequence[tuple[str, int]], *, checks: int, head: int = 0) -> Estimate:
    """Estimate what an export takes: the graph, the program that runs it, and the model beside it."""
    weights = sum(network_costs(name).weights for name, _ in networks) * _MB
    more = [("the file, as text of operators", int(3 * weights)), ("the model", 6 * head)]
    seconds = 0.1 * checks + 30e-3 * weights / _MB + 5.0
    return _forward(
        "export", checks, networks, batch_size=8, workers=1, on_cpu=True, more=more, seconds=seconds
    )  # fmt: skip


def estimate_training(
    n: int,
    judged: int,
    networks: Sequence[tuple[str, int]],
    *,
    epochs: int,
    batch_size: int,
    size: int,
    optimizers: int = 1,
    small_stem: bool = False,
    views: int = 1,
    channels: int = 3,
    most_pictures: int = 2 << 30,
    on_cpu: bool = True,
) -> Estimate:
    """Estimate what training takes.

    Parameters
    ----------
    n, judged : int
        Pictures that train, and those that are judged after each epoch.
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
    most_pictures : int
        Bytes of them at most; where there are more, they are decoded anew each epoch.
    on_cpu : bool

    Returns
    -------
    Estimate
    """
    networks = [(name, side * 4 if small_stem else side) for name, side in networks]
    weights = max(network_costs(name).weights for name, _ in networks) * _MB
    kept = 2 * (n + judged) * channels * size * size
    parts = [
        ("programs", _TORCH + _KERNELS + 130 * _MB),  # with Lightning
        ("weights, gradients, moments and averages", int(_TRAINED_COPIES * weights)),
        ("activations", int(_BACKWARD_ROOM * _activations(networks, batch_size, 1)) if on_cpu else 0),
        ("pictures", min(kept, most_pictures)),
        ("tables of rows", (n + judged) * _ROW),
    ]
    each = sum(network_costs(name).work * _scale(side) for name, side in networks) + _AUGMENTING * len(networks)
    epoch = 1e-3 * (each * (_BACKWARD * n + judged) + _EACH * (n + judged))
    last = 1e-3 * each * judged * views
    taken = slowness() * (optimizers * (epochs * epoch + last) / cores() + 2 * _START)
    return Estimate.of("train", parts, taken if on_cpu else float("nan"))
