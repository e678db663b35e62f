"""What it takes to run pictures through networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fusionfer.costs._machine import cores, slowness
from fusionfer.costs._summing import summed
from fusionfer.memory import Estimate

__all__ = [
    "NETWORKS",
    "Network",
    "estimate_explaining",
    "estimate_exporting",
    "estimate_extraction",
    "estimate_live",
    "estimate_prediction",
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
_FRAMES = 16  # of a video that are read, searched, judged, drawn and written at a time, with their copies
_PIXELS = 48 * 48  # of a picture of which nothing is known
_DECODED = 8  # bytes a pixel while a picture is decoded: the file, blue-green-red, red-green-blue; 5.1 to 6.7 were seen
_LOADING = 12e-3  # seconds a MB of weights: read, hashed, folded, laid out
_EACH = 0.6  # ms a picture at any size: reading, decoding, hashing, handing over
_EACH_PIXEL = 20e-6  # ms: decoding; 9 to 28 ns were seen
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
    pixels: int = _PIXELS,
    rows: int | None = None,
    more: Sequence[tuple[str, int]] = (),
    seconds: float = 0.0,
) -> Estimate:
    kept, reading = _loaded(networks)
    room = _activations(networks, batch_size, workers) if on_cpu else 0
    parts = [
        ("programs", _TORCH + _KERNELS), ("weights", kept + reading), ("activations", room),
        ("tables of rows", _ROW * (n if rows is None else rows)),
        ("pictures being decoded", workers * _DECODED * pixels), *more,
    ]  # fmt: skip
    loading = _LOADING * sum(network_costs(name).weights for name, _ in networks)
    decoding = 1e-3 * min(n, n if rows is None else rows) * _EACH_PIXEL * pixels
    work = _work(networks, n) + decoding
    taken = slowness() * (work / max(1, min(cores(), workers)) + loading + _START + seconds)
    return summed(what, parts, taken if on_cpu else float("nan"))


def estimate_extraction(
    n: int, networks: Sequence[tuple[str, int]], *, batch_size: int = 32, threads: int | None = None,
    pixels: int = _PIXELS, rows: int | None = None, on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what extraction takes.

    Parameters
    ----------
    n : int
        Pictures that this process runs through the networks.
    networks : sequence of (str, int)
        Name of each backbone, and its input side in pixels.
    batch_size : int
        Pictures that go through a network together.
    threads : int, optional
        Of torch; by default as many as there are cores.
    pixels : int
        Of a picture.
    rows : int, optional
        Pictures of the whole set, whose names every process knows; by default n.
    on_cpu : bool
        Whether the networks run here. What they take on a GPU is neither of this memory nor known before.

    Returns
    -------
    Estimate
    """
    workers = workers_for(-(-n // batch_size), threads)
    return _forward(
        "extract", n, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu, pixels=pixels, rows=rows
    )  # fmt: skip


def fitting_batch(
    n: int, networks: Sequence[tuple[str, int]], limit: int, *, batch_size: int, **options: Any
) -> int:  # fmt: skip
    """Return the largest halved, quartered, ... `batch_size` with which extraction stays below a limit; 0 if none.

    The other `options` are those of `estimate_extraction`.
    """
    size = batch_size
    while size and estimate_extraction(n, networks, batch_size=size, **options).bytes > limit:
        size //= 2
    return size


def estimate_prediction(
    n: int, networks: Sequence[tuple[str, int]], *, batch_size: int = 32, columns: int = 0, head: int = 0,
    pixels: int = _PIXELS, on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what prediction takes: that of extraction, features in `columns`, a model of `head` bytes."""
    more = [("features", 12 * n * columns), ("the model", 3 * head)]
    workers = workers_for(-(-n // batch_size))
    return _forward(
        "predict", n, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu, pixels=pixels, more=more
    )  # fmt: skip


def estimate_explaining(
    pictures: int, windows: int, networks: Sequence[tuple[str, int]], *, batch_size: int, head: int = 0,
    pixels: int = _PIXELS, on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what explaining takes: each picture goes through the networks once for each place of the square."""
    more = [("the model", 3 * head), ("figures", 60 * _MB)]
    workers = workers_for(-(-windows // batch_size))
    return _forward(
        "explain", pictures * windows, networks, batch_size=batch_size, workers=workers, on_cpu=on_cpu, rows=pictures,
        pixels=pixels, more=more,
    )  # fmt: skip


def estimate_live(
    networks: Sequence[tuple[str, int]], *, head: int = 0, pixels: int = 1920 * 1080, on_cpu: bool = True
) -> Estimate:
    """Estimate what a camera or a video takes: one face at a time, and the frames that are under way; no time."""
    more = [("the model", 3 * head), ("frames", _FRAMES * 3 * pixels), ("detector and drawing", 60 * _MB)]
    return _forward(
        "live", 1, networks, batch_size=1, workers=1, on_cpu=on_cpu, pixels=pixels, more=more, seconds=float("nan")
    )  # fmt: skip


def estimate_exporting(networks: Sequence[tuple[str, int]], *, checks: int, head: int = 0) -> Estimate:
    """Estimate what an export takes: the graph, the program that runs it, and the model beside it."""
    weights = sum(network_costs(name).weights for name, _ in networks) * _MB
    more = [("the file, as text of operators", int(3 * weights)), ("the model", 6 * head)]
    seconds = 0.1 * checks + 30e-3 * weights / _MB + 5.0
    return _forward(
        "export", checks, networks, batch_size=8, workers=1, on_cpu=True, more=more, seconds=seconds
    )  # fmt: skip
