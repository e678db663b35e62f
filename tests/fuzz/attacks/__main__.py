"""Write the corpus: ``python tests/fuzz/attacks FOLDER``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run by its path, the package itself is not to be found

from attacks import ATTACKS

if len(sys.argv) != 2:
    sys.exit("Usage: python tests/fuzz/attacks FOLDER")
for name, made in ATTACKS.items():
    folder = Path(sys.argv[1], name)
    folder.mkdir(parents=True)
    made.make(folder / made.file)
    print(f"{name}/{made.file}: tries to {made.tries}")  # noqa: T201
