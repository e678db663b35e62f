"""What is wrong with a data set, found before anyone trains on it."""

from fusionfer.audit._auditing import Audit, Copies, audit

__all__ = ["Audit", "Copies", "audit"]
