"""What a selection is given: arrays, or Features, of which not all may be selected from."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from fusionfer.exceptions import DataError, NonFiniteFeaturesError
from fusionfer.matrices import is_mapped, is_read_here
from fusionfer.selection._folds import Folds

__all__ = ["as_mask", "check_features", "check_held_out", "check_rows", "check_rows_to_predict", "is_features"]


def is_features(X: Any) -> bool:
    """Whether `X` is no array but carries one, with labels, blocks and groups."""
    return not hasattr(X, "shape") and all(hasattr(X, name) for name in ("X", "y", "blocks", "groups"))


def check_rows(selector: Any, X: Any, y: Any) -> Any:
    """Return X and `y`, checked as scikit-learn checks them in `fit`.

    A matrix that stays in its files is checked by its shape alone: heads refuse what is not finite when they read it,
    and `check_held_out` what they never learn from.
    """
    if not is_mapped(X):
        return validate_data(selector, X, y, dtype=(np.float64, np.float32))
    y = column_or_1d(y)
    check_consistent_length(X, y)
    selector.n_features_in_ = X.shape[1]
    return X, y


def check_held_out(X: Any, folds: Folds) -> None:
    """Refuse rows that are judged in a fold, are learned from in none, and are not finite; arrays were checked before.

    Raises
    ------
    NonFiniteFeaturesError
        With the first such row of `X`; of a matrix that computes elsewhere, with the column.
    """
    if not is_mapped(X):
        return
    judged, learned = (np.unique(np.concatenate([fold[side] for fold in folds])) for side in (1, 0))
    rows = np.setdiff1d(judged, learned, assume_unique=True)
    if not len(rows):
        return
    if is_read_here(X):
        X.rows(rows).check_finite()
        return
    mean = X.rows(rows).combine(np.full((1, len(rows)), 1.0 / len(rows)))[0]
    if not np.all(np.isfinite(mean)):
        column = int(np.argmin(np.isfinite(mean)))
        msg = f"Rows that are held out must be finite; column {column} of them holds NaN or infinity."
        raise NonFiniteFeaturesError(msg)


def check_rows_to_predict(selector: Any, X: Any) -> Any:
    """Return X, checked as `check_rows` does it, for a selector that is fitted."""
    if not is_mapped(X):
        return validate_data(selector, X, dtype=(np.float64, np.float32), reset=False)
    if X.shape[1] != selector.n_features_in_:
        msg = (
            f"X has {X.shape[1]} features, but {type(selector).__name__} is expecting {selector.n_features_in_} "
            "features as input."
        )
        raise ValueError(msg)
    return X


def as_mask(held_out: Any, n: int) -> np.ndarray:
    """Which rows are held out, (n,)."""
    mask = np.asarray(held_out)
    if mask.shape != (n,) or mask.dtype != np.bool_:
        msg = f"held_out must be {n} times True or False, one for each row; got {mask.dtype} of shape {mask.shape}."
        raise DataError(msg)
    return mask


def check_features(features: Any, held_out: Any) -> None:
    """Refuse features from which nobody may select.

    These are such with test rows among others, with rows of unknown label, and with rows that the weights were trained
    on where these would be held out: what the weights remember cannot be judged.
    """
    splits = set(np.asarray(getattr(features, "splits", [])).tolist())
    if "test" in splits and len(splits) > 1:  # test rows alone were asked for by name
        others = "+".join(sorted(splits - {"test", ""}))
        remedy = f'features.split("{others}")' if others else 'features.take(features.splits != "test")'
        msg = f"These features hold test rows among others; select without them: fit({remedy})."
        raise DataError(msg)
    unlabelled = int(np.count_nonzero(np.asarray(features.y) == ""))
    if unlabelled:
        msg = f"{unlabelled} of {len(features.y)} rows have no label; take the labelled ones only."
        raise DataError(msg)
    seen = features.seen() if hasattr(features, "seen") else {}
    judged = np.ones(len(features.y), dtype=bool) if held_out is None else as_mask(held_out, len(features.y))
    blocks = [name for name, rows in seen.items() if np.any(rows & judged)]
    if blocks:
        rows = np.any([seen[name] for name in blocks], axis=0) & judged
        msg = (
            f"The weights of {', '.join(blocks)} were trained on {np.count_nonzero(rows)} of the {np.sum(judged)} rows "
            "that would be held out: scores on them say what the weights remember. Use fusionfer.fitting.fit, which "
            "judges by other rows, or give held_out, rows of another split."
        )
        raise DataError(msg)
