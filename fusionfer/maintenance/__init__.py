"""Care of caches: what is there, is it sound, mend it, join shards, remove what is not needed."""

from fusionfer.maintenance._pruning import prune
from fusionfer.maintenance._repairing import Mended, repair
from fusionfer.maintenance._tending import Listing, Merged, list_caches, merge
from fusionfer.maintenance._verifying import Verdict, verify

__all__ = ["Listing", "Mended", "Merged", "Verdict", "list_caches", "merge", "prune", "repair", "verify"]
