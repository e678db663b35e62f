"""Published protocols as short files, run again, and beside them the honest ones."""

from fusionfer.protocols._causes import CAUSES
from fusionfer.protocols._protocol import PROTOCOLS, Protocol, change_protocol, read_protocol
from fusionfer.protocols._replay import Replay, Result, replay
from fusionfer.protocols._table import claims_table, replay_table

__all__ = [
    "CAUSES",
    "PROTOCOLS",
    "Protocol",
    "Replay",
    "Result",
    "change_protocol",
    "claims_table",
    "read_protocol",
    "replay",
    "replay_table",
]
