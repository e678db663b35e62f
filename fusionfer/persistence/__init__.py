"""Models on disk: one file that names what it expects, is checked before use, and is never a pickle.

- ``_model``: Model, a fitted classifier with what it expects
- ``_storing``: save, load and describe
- ``_estimators``: the estimator in skops' format, trusted types only
- ``_archive``: the zip around it
"""

from fusionfer.persistence._archive import file_sha256, replacing
from fusionfer.persistence._estimators import TRUSTED_TYPES
from fusionfer.persistence._model import Model
from fusionfer.persistence._storing import describe_model, load_model, save_model

__all__ = ["TRUSTED_TYPES", "Model", "describe_model", "file_sha256", "load_model", "replacing", "save_model"]
