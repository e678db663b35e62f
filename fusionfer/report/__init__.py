"""Scores and selections as tables, figures and pages for people.

- ``_tables``: rows of text for console, Markdown and HTML
- ``_spreadsheet``: CSV that no spreadsheet takes for formulas
- ``_figures``: confusion matrix, classes, folds, faces (matplotlib)
- ``_boosting_figure``: what a boosted head did, round by round
- ``_training_figures``: what networks did epoch by epoch, and how they compare
- ``_html``: a folder with a page, the same in Markdown, the figures and the numbers
- ``_assembly``: all of this for one evaluation
"""

from fusionfer.report._assembly import report_scores
from fusionfer.report._boosting_figure import boosting_history_figure
from fusionfer.report._figures import class_figure, confusion_figure, faces_figure, fold_figure, png_bytes
from fusionfer.report._html import Picture, write_report
from fusionfer.report._spreadsheet import write_csv
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

__all__ = [
    "Picture",
    "Table",
    "boosting_history_figure",
    "class_figure",
    "class_table",
    "confusion_figure",
    "confusion_table",
    "curves_figure",
    "faces_figure",
    "fold_figure",
    "heads_table",
    "markdown_table",
    "overall_table",
    "png_bytes",
    "report_scores",
    "roc_figure",
    "roc_points",
    "selection_table",
    "training_table",
    "undefined_table",
    "write_csv",
    "write_report",
]
