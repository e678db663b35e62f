"""``python -m benchmarks.scale rows|boosting|cluster|units``: what sizes cost, measured."""

from __future__ import annotations

import importlib
import sys

#: Name -> module and function; each reads its own options from sys.argv.
BENCHMARKS = {
    "rows": ("_rows", "main"),
    "boosting": ("_boosting", "main"),
    "cluster": ("_cluster", "run"),
    "units": ("_units", "run"),
}


def main() -> None:
    """Run the one that is named."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHMARKS:
        sys.exit(f"usage: python -m benchmarks.scale {'|'.join(BENCHMARKS)} [options]")
    module, function = BENCHMARKS[name]
    sys.argv = [f"python -m benchmarks.scale {name}", *sys.argv[2:]]
    getattr(importlib.import_module(f"benchmarks.scale.{module}"), function)()


if __name__ == "__main__":
    main()
