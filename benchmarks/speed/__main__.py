"""``python -m benchmarks.speed [NAME ...]``: print ratios, each measured in one run."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed._timing import Report, machine

BENCHMARKS = (
    "extract", "engines", "forward", "packing", "decode", "cache", "fit", "boosting", "linear", "svm",
    "occlusion", "live",
)  # fmt: skip


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Speed as ratios, in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions; medians are shown (default: %(default)s)")
    parser.add_argument(
        "--images", type=int, default=256,
        help="extract, engines: faces at 224 pixels; eight times as many at 48 (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--processor-time", action="store_true", help="engines: count it, not the clock, where others use the machine"
    )
    parser.add_argument("--device", default="cpu", help="extract: cuda, or cuda:1, measures that device (%(default)s)")
    parser.add_argument("--precision", help="extract on another device than the CPU: what it computes in (bf16)")
    parser.add_argument(
        "--memory", type=int, nargs=2, metavar=("FEW", "MANY"), default=(256, 4096), help="extract: for peak memory"
    )
    parser.add_argument("--rows", type=int, help="cache: rows of the file; fit, boosting, linear, svm: training rows")
    parser.add_argument(
        "--folder", type=Path, help="fit, boosting, linear, svm: a cache folder, not one extracted here"
    )
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown or options.rounds < 1:
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    about, reports = machine(), []
    if not options.json:
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    for name in options.names or BENCHMARKS:
        for report in _run(name, options):
            reports.append(report)
            if not options.json:
                print(f"\n{report}", flush=True)
    if options.json:
        print(json.dumps({"machine": about, "reports": [report.as_dict() for report in reports]}, indent=2))


def _run(name: str, options: argparse.Namespace) -> Iterator[Report]:
    # Each is imported when its turn comes, so that only what it needs has to be installed.
    module = importlib.import_module(f"benchmarks.speed._{name}")
    if name == "extract" and options.device != "cpu":
        module = importlib.import_module("benchmarks.speed._device")
        return module.run(options.rounds, options.images, options.device, options.precision or "bf16")
    if name == "extract":
        return module.run(options.rounds, options.images, tuple(options.memory))
    if name == "engines":
        return module.run(options.rounds, options.images, processor_time=options.processor_time)
    if name in {"decode", "forward", "live", "occlusion", "packing"}:
        return module.run(options.rounds)
    if name == "cache":
        return module.run(options.rounds, options.rows)
    return module.run(options.rounds, options.rows, options.folder)


if __name__ == "__main__":
    main()
