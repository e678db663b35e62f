"""Scores and selections as tables, figures and pages for people.

- ``_tables``: rows of text for console, Markdown and HTML
- ``_intervals``: how sure each figure is, and the tables that show it
- ``_similarity``: how alike blocks of features are
- ``_evidence``: differences between candidates, their intervals and tests
- ``_spreadsheet``: CSV that no spreadsheet takes for formulas
- ``_figures``: confusion matrix, classes, folds, faces (matplotlib)
- ``_boosting_figure``: what a boosted head did, round by round
- ``_training_figures``: what networks did epoch by epoch, and how they compare
- ``_steps_figure``: shares one below the other
- ``_occlusion_figure``: maps of what a sliding square took away, over faces
- ``_words``: what figures show, in words; ``_thumbnails``: one face, small
- ``_parts``: what a page is made of; ``_sections``: the sections of a report
- ``_html``: a folder with a page (``page.html.jinja``), the same in Markdown and JSON, and the figures
"""

from fusionfer.report._boosting_figure import boosting_history_figure
from fusionfer.report._eda_figure import eda_figure, eda_sections, eda_tables
from fusionfer.report._evidence import evidence_table
from fusionfer.report._figures import class_figure, confusion_figure, faces_figure, fold_figure, png_bytes
from fusionfer.report._html import write_report
from fusionfer.report._intervals import (
    average_intervals,
    class_intervals,
    describe_intervals,
    interval_table,
    overall_interval_table,
)
from fusionfer.report._occlusion_figure import OcclusionPanel, occlusion_figure
from fusionfer.report._parts import Code, Picture, Section, Sheet
from fusionfer.report._sections import (
    audit_section,
    curves_picture,
    data_section,
    features_section,
    provenance_section,
    scores_section,
    selection_section,
)
from fusionfer.report._similarity import block_similarity, linear_cka
from fusionfer.report._spreadsheet import write_csv
from fusionfer.report._steps_figure import steps_figure
from fusionfer.report._tables import (
    Table,
    class_table,
    confusion_table,
    heads_table,
    markdown_table,
    overall_table,
    selection_table,
    undefined_table,
)
from fusionfer.report._training_figures import curves_figure, roc_figure, roc_points, training_table
from fusionfer.report._writing import write_bytes

__all__ = [
    "Code",
    "OcclusionPanel",
    "Picture",
    "Section",
    "Sheet",
    "Table",
    "audit_section",
    "average_intervals",
    "block_similarity",
    "boosting_history_figure",
    "class_figure",
    "class_intervals",
    "class_table",
    "confusion_figure",
    "confusion_table",
    "curves_figure",
    "curves_picture",
    "data_section",
    "describe_intervals",
    "eda_figure",
    "eda_sections",
    "eda_tables",
    "evidence_table",
    "faces_figure",
    "features_section",
    "fold_figure",
    "heads_table",
    "interval_table",
    "linear_cka",
    "markdown_table",
    "occlusion_figure",
    "overall_interval_table",
    "overall_table",
    "png_bytes",
    "provenance_section",
    "roc_figure",
    "roc_points",
    "scores_section",
    "selection_section",
    "selection_table",
    "steps_figure",
    "training_table",
    "undefined_table",
    "write_bytes",
    "write_csv",
    "write_report",
]
