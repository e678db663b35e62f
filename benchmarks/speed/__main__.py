"""``python -m benchmarks.speed [NAME ...]``: print ratios, each measured in one run."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed._timing import Report, machine

BENCHMARKS = ("extract", "engines", "decode", "cache", "fit", "boosting", "linear")


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Speed as ratios, in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions; medians are shown (default: %(default)s)")
    parser.add_argument(
        "--images", type=int, default=256, help="extract: faces at 224 pixels; eight times as many at 48 (%(default)s)"
    )
    parser.add_argument(
        "--memory", type=int, nargs=2, metavar=("FEW", "MANY"), default=(256, 4096), help="extract: for peak memory"
    )
    parser.add_argument("--rows", type=int, help="cache: rows of the file; fit, boosting, linear: training rows")
    parser.add_argument("--folder", type=Path, help="fit, boosting, linear: a cache folder, not one extracted here")
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
    if name == "extract":
        return module.run(options.rounds, options.images, tuple(options.memory))
    if name == "engines":
        return module.run(options.rounds, options.images)
    if name == "decode":
        return module.run(options.rounds)
    if name == "cache":
        return module.run(options.rounds, options.rows)
    return module.run(options.rounds, options.rows, options.folder)


if __name__ == "__main__":
    main()
