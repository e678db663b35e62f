"""Do published tables add up? Figures that follow from each other, tested within their rounding.

- ``_stating``: what a paper states: figures with their printed digits, and where each stands
- ``_reading``: a TOML file of them; `TABLES` come with the package
- ``_intervals``: what a printed figure can have been
- ``_confusing``: figures of classes and averages from cells that are known up to rounding
- ``_facts``, ``_rules``, ``_matrix_rules``: what is known, and what follows from what
- ``_checking``: each claim beside it
"""

from fusionfer.claims._checking import Check, Comparison, check_claims
from fusionfer.claims._reading import TABLES, read_claims
from fusionfer.claims._stating import Confusion, Figure, Paper, Statement, System

__all__ = [
    "TABLES",
    "Check",
    "Comparison",
    "Confusion",
    "Figure",
    "Paper",
    "Statement",
    "System",
    "check_claims",
    "read_claims",
]
