"""What a verb will take, before it begins: memory and time from unit costs, corrected by a probe of this machine."""

from fusionfer.costs._files import estimate_merging, estimate_noise, estimate_report, estimate_verifying
from fusionfer.costs._machine import REFERENCE_GFLOPS, cores, gflops, slowness
from fusionfer.costs._networks import (
    NETWORKS,
    Network,
    estimate_explaining,
    estimate_exporting,
    estimate_extraction,
    estimate_prediction,
    estimate_training,
    fitting_batch,
    network_costs,
    workers_for,
)
from fusionfer.costs._pictures import estimate_audit, estimate_eda
from fusionfer.costs._runs import estimate_demo, estimate_repair, estimate_replay

__all__ = [
    "NETWORKS",
    "REFERENCE_GFLOPS",
    "Network",
    "cores",
    "estimate_audit",
    "estimate_demo",
    "estimate_eda",
    "estimate_explaining",
    "estimate_exporting",
    "estimate_extraction",
    "estimate_merging",
    "estimate_noise",
    "estimate_prediction",
    "estimate_repair",
    "estimate_replay",
    "estimate_report",
    "estimate_training",
    "estimate_verifying",
    "fitting_batch",
    "gflops",
    "network_costs",
    "slowness",
    "workers_for",
]
