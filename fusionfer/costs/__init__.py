"""What a verb will take, before it begins: memory and time from unit costs, corrected by a probe of this machine."""

from fusionfer.costs._files import estimate_merging, estimate_noise, estimate_report, estimate_verifying
from fusionfer.costs._machine import REFERENCE_GFLOPS, cores, decoders, gflops, slowness
from fusionfer.costs._networks import (
    NETWORKS,
    Network,
    estimate_explaining,
    estimate_exporting,
    estimate_extraction,
    estimate_live,
    estimate_prediction,
    fitting_batch,
    network_costs,
    workers_for,
)
from fusionfer.costs._pictures import estimate_audit, estimate_eda
from fusionfer.costs._runs import estimate_demo, estimate_repair, estimate_replay
from fusionfer.costs._summing import MARGIN, summed
from fusionfer.costs._training import estimate_scoring, estimate_training, most_pictures

__all__ = [
    "MARGIN",
    "NETWORKS",
    "REFERENCE_GFLOPS",
    "Network",
    "cores",
    "decoders",
    "estimate_audit",
    "estimate_demo",
    "estimate_eda",
    "estimate_explaining",
    "estimate_exporting",
    "estimate_extraction",
    "estimate_live",
    "estimate_merging",
    "estimate_noise",
    "estimate_prediction",
    "estimate_repair",
    "estimate_replay",
    "estimate_report",
    "estimate_scoring",
    "estimate_training",
    "estimate_verifying",
    "fitting_batch",
    "gflops",
    "most_pictures",
    "network_costs",
    "slowness",
    "summed",
    "workers_for",
]
