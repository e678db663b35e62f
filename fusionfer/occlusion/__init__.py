"""What a sliding square takes away: occlusion maps of any predict function, from arrays alone.

- ``_windows``: where the square stands, and what windows say of pixels
- ``_fills``: what stands in the square
- ``_asking``: changed pictures through a predict function, in batches, none twice
- ``_refining``: coarse to fine
- ``_map``: the map itself
- ``_curves``: deletion and insertion, which say how faithful a map is, and maps that know nothing
- ``_regions``: the parts of a face
"""

from fusionfer.occlusion._curves import Curves, centred_gaussian, deletion_insertion, shuffled_map
from fusionfer.occlusion._fills import DRAWS, FILLS, fill_fields
from fusionfer.occlusion._map import OcclusionMap, occlusion_map
from fusionfer.occlusion._regions import REGIONS, RegionShare, region_masks, region_shares
from fusionfer.occlusion._windows import pixel_means, window_grid, window_sizes

__all__ = [
    "DRAWS",
    "FILLS",
    "REGIONS",
    "Curves",
    "OcclusionMap",
    "RegionShare",
    "centred_gaussian",
    "deletion_insertion",
    "fill_fields",
    "occlusion_map",
    "pixel_means",
    "region_masks",
    "region_shares",
    "shuffled_map",
    "window_grid",
    "window_sizes",
]
