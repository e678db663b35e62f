"""A model as one ONNX file, which ONNX Runtime runs without fusionfer, torch or scikit-learn.

- ``_export``: export_onnx, the file and its check
- ``_graph``: graphs of ONNX operators, written as one writes NumPy
- ``_pictures``: inputs, normalisation, networks, fusion
- ``_estimators``: which estimators can be written, and by whom: ``_linear``, ``_kernels``, ``_trees``, ``_sklearn``; a
  ``_decision`` is what each returns
- ``_coupling``: posteriors of binary learners to those of classes
- ``_checking``: the same pictures through the file and the model
- ``_metadata``: what the file says of itself
- ``_packages``: what has to be installed
"""

from fusionfer.export._packages import require_packages

require_packages("onnx", "onnxruntime")  # before a file below imports them, and fails less clearly

from fusionfer.export._checking import CHAIN_BOUND, HEAD_BOUND, Agreement  # noqa: E402
from fusionfer.export._export import Export, export_onnx  # noqa: E402
from fusionfer.export._trees import Crossing  # noqa: E402

__all__ = ["CHAIN_BOUND", "HEAD_BOUND", "Agreement", "Crossing", "Export", "export_onnx"]
