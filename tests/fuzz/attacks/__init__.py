"""Files that try to harm whoever opens them, each with what it tries: ``python tests/fuzz/attacks FOLDER`` writes them.

The corpus is made anew by each run of the tests. Nothing in it harms by lying there; the worst tries to write a file
"HARM" beside itself.
"""

from attacks import _archives, _caches, _models, _pictures, _tables, _weights  # noqa: F401  (they enter their attacks)
from attacks._models import rewritten
from attacks._readers import readers
from attacks._registry import ATTACKS, GOLDEN, HARM, Attack

__all__ = ["ATTACKS", "GOLDEN", "HARM", "Attack", "readers", "rewritten"]
