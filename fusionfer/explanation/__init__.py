"""Which part of a face carries a probability: occlusion maps of a model, head included, as figures and files.

- ``_canvas``: the picture on which the square is moved
- ``_explain``: one picture, for all networks and for each alone; how faithful its map is
- ``_classes``: maps averaged over a set, and which parts of the face each class needs
- ``_showing``: figures, tables and files
"""

from fusionfer.explanation._canvas import canvas, even_batches, input_sizes
from fusionfer.explanation._classes import ClassMaps, RegionEstimate, draw_faces, explain_classes
from fusionfer.explanation._explain import ALL, Explanation, Settings, explain, faithfulness
from fusionfer.explanation._showing import (
    class_maps_figure,
    class_maps_table,
    explanation_figure,
    explanation_tables,
    faithfulness_table,
    write_array,
    write_figure,
)

__all__ = [
    "ALL",
    "ClassMaps",
    "Explanation",
    "RegionEstimate",
    "Settings",
    "canvas",
    "class_maps_figure",
    "class_maps_table",
    "draw_faces",
    "even_batches",
    "explain",
    "explain_classes",
    "explanation_figure",
    "explanation_tables",
    "faithfulness",
    "faithfulness_table",
    "input_sizes",
    "write_array",
    "write_figure",
]
