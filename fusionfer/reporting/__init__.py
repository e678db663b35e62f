"""What a run found, as one page for people and the same facts for machines.

- ``_runs``: ``fusionfer report``: what lies at RUN, and which page that makes
- ``_pages``: the pages of an evaluation and of a fit
- ``_networks``, ``_replays``: folders of ``train`` and of ``replay``
- ``_faces``: faces of each class, their mean, mistakes
- ``_commands``: the command lines that caches and models record
"""

from fusionfer.reporting._faces import Album
from fusionfer.reporting._pages import report_evaluation, report_fit
from fusionfer.reporting._runs import read_audit, report_run

__all__ = ["Album", "read_audit", "report_evaluation", "report_fit", "report_run"]
