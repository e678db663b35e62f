"""Time contenders in turns, and say what came out as a figure with its spread."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Figure", "Report", "alternate", "machine", "once", "ratio", "seconds"]


@dataclass(frozen=True)
class Figure:
    """One measured number: the median of several rounds, the lowest and the highest, and what it should reach."""

    what: str
    value: float
    low: float
    high: float
    unit: str = "x"
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def __str__(self) -> str:
        spread = f"({self.low:.3g} to {self.high:.3g})" if self.low != self.high else ""
        aim = ""
        if self.target is not None:
            aim = f"target {'<=' if self.at_most else '>='} {self.target:g}: {'met' if self.met else 'MISSED'}"
        return f"  {self.what:<68} {self.value:>8.4g} {self.unit:<10} {spread:<20} {aim}".rstrip()


@dataclass(frozen=True)
class Report:
    """What one benchmark found under one setting."""

    name: str
    setting: str
    figures: tuple[Figure, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.setting}", *map(str, self.figures)])

    def as_dict(self) -> dict[str, Any]:
        """Return the same for JSON."""
        figures = [{**asdict(figure), "met": figure.met} for figure in self.figures]
        return {"name": self.name, "setting": self.setting, "figures": figures}


def alternate(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    timer: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
) -> dict[str, np.ndarray]:
    """Run all contenders in every round, every other round in reverse, and return the seconds of each.

    What disturbs a machine for some seconds then disturbs all alike, and a ratio of one round stays a ratio.
    """
    if warm_up:
        for run in contenders.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in _turns(list(contenders), number):
            begin = timer()
            contenders[name]()
            taken[name].append(timer() - begin)
    return {name: np.array(values) for name, values in taken.items()}


def _turns(names: list[str], number: int) -> Iterator[str]:
    yield from reversed(names) if number % 2 else names


def ratio(what: str, slow: np.ndarray, fast: np.ndarray, *, target: float | None = None) -> Figure:
    """Return how many times longer `slow` took than `fast`, round by round."""
    times = slow / fast
    return Figure(what, float(np.median(times)), float(times.min()), float(times.max()), target=target)


def seconds(what: str, taken: np.ndarray, *, per: int = 1, unit: str = "s", target: float | None = None) -> Figure:
    """Return a time as a figure: of the whole in seconds, or of one of `per` things in another unit of time."""
    scaled = np.asarray(taken, float) / per * {"s": 1.0, "ms": 1e3}[unit]
    value, low, high = float(np.median(scaled)), float(scaled.min()), float(scaled.max())
    return Figure(what, value, low, high, unit, target, at_most=True)


def once(what: str, value: float, unit: str, *, at_most: float | None = None) -> Figure:
    """Return a figure that was measured once."""
    return Figure(what, value, value, value, unit, at_most, at_most=at_most is not None)


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0] if lines else platform.processor()
