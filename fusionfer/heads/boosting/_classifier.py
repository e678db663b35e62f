"""What both heads share: checks, the rows held out for early stopping, prediction from the stock model, importance."""

from __future__ import annotations

import importlib.util
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fusionfer.exceptions import DataError
from fusionfer.heads._folds import inner_folds
from fusionfer.heads._training import raise_complaints, rows_to_predict, thread_count, training_rows
from fusionfer.heads.boosting._checking import load_booster
from fusionfer.heads.boosting._losses import probabilities
from fusionfer.heads.boosting._model import column_gains
from fusionfer.matrices import MappedMatrix, in_pieces, is_mapped, take_rows

if TYPE_CHECKING:
    import xgboost

__all__ = ["BoostedClassifier", "Labelled", "Progress"]

Progress = Callable[[int, int, str], None]

#: Parameter -> (lowest, highest, whether the lowest is allowed, whole numbers only); None is checked by its head.
_RANGES: dict[str, tuple[float, float, bool, bool]] = {
    "n_rounds": (1, 100_000, True, True),
    "eta": (0, np.inf, False, False),
    "max_depth": (1, 32, True, True),
    "reg_lambda": (0, np.inf, True, False),
    "gamma": (0, np.inf, True, False),
    "min_child_weight": (0, np.inf, True, False),
    "validation_fraction": (0, 0.5, False, False),
    "early_stopping_rounds": (1, 100_000, True, True),
    "tau": (0, np.inf, False, False),
    "lead": (0, np.inf, True, False),
    "colsample_bytree": (0, 1, False, False),
    "subsample": (0, 1, False, False),
}


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows (n, d) float32 with classes (n,) from 0 and weights (n,) float64, all more than 0."""

    X: np.ndarray | MappedMatrix
    y: np.ndarray
    weight: np.ndarray


class BoostedClassifier(ClassifierMixin, BaseEstimator):
    """A boosted forest that is kept as a stock model of XGBoost; a head says how it is grown."""

    _most_bins = 65_536

    @abstractmethod
    def _grow(self, train: Labelled, validation: Labelled | None, progress: Progress | None) -> bytes:
        """Grow a forest, set `history_` and `best_round_`, and return the model of the rounds to keep, as JSON."""

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        eval_set: Any = None,
        progress: Progress | None = None,
        held_out: Any = None,
    ) -> Any:
        """Grow the forest.

        Parameters
        ----------
        X : array-like or MappedMatrix, shape (n, d)
            Training rows; float32 is used as it is, all else becomes float32. A MappedMatrix stays in its files.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0; rows of weight 0 count as absent.
        groups : array-like of shape (n,), optional
            Rows of one group (person, sequence) are held out together.
        eval_set : tuple of (X, y) or (X, y, sample_weight), optional
            Rows to stop by, in the place of some that are held out of X.
        held_out : array-like of bool, shape (n,), optional
            Rows of X that are not trained on but stopped by, as an `eval_set` is.
        progress : callable, optional
            ``progress(done, total, what)``, called after every round.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        DataError
            If `y` holds one class only, a parameter is out of its range, `eval_set` does not fit, or a fit on another
            device than the CPU is too large to be kept in memory.
        NonFiniteFeaturesError
            If a row of a MappedMatrix is not finite, be it one to stop by; of an array it is a ValueError.
        ModuleNotFoundError
            If XGBoost is not installed.
        """
        self._check_parameters()
        if importlib.util.find_spec("xgboost") is None:
            msg = f"{type(self).__name__} needs XGBoost: pip install 'fusionfer[xgb]'."
            raise ModuleNotFoundError(msg, name="xgboost")
        self._check_device()
        found = training_rows(self, X, y, sample_weight, groups, self.class_weight, np.float32, held_out)
        self.classes_ = found.classes
        # The weights keep their sum, so that steps and penalties keep their meaning.
        kept = float(np.sum(found.weight / found.factor[found.y])) / float(np.sum(found.weight))
        rows = Labelled(found.X, found.y, found.weight * kept)
        if eval_set is not None and found.judging is not None:
            msg = "eval_set and held_out both say by which rows to stop; give one of them."
            raise DataError(msg)
        validation = self._eval_rows(eval_set, found.factor * kept)
        if found.judging is not None:
            validation = Labelled(found.judging.X, found.judging.y, found.judging.weight * kept)
        if validation is None and self.early_stopping_rounds is not None:
            rows, validation = self._held_out(rows, found.groups)
        self.model_json_ = np.frombuffer(self._grow(rows, validation, progress), dtype=np.uint8)
        self._booster = self._load()
        gains = column_gains(self.model_json_.tobytes(), self.n_features_in_)
        self.feature_importances_ = gains / (gains.sum() or 1.0)
        return self

    def _check_parameters(self) -> None:
        params = self.get_params(deep=False)
        complaints = []
        for name, (low, high, closed, whole) in _RANGES.items():
            value = params.get(name)
            if name not in params or (value is None and name == "early_stopping_rounds"):
                continue
            number = isinstance(value, Integral if whole else Real) and not isinstance(value, (bool, np.bool_))
            if not (number and (low <= value if closed else low < value) and value <= high and value < np.inf):
                kind = "a whole number" if whole else "a finite number"
                above = f"of at least {low:g}" if closed else f"above {low:g}"
                most = "" if high == np.inf else f" and at most {high:g}"
                complaints.append(f"{name} must be {kind} {above}{most}, got {value!r}")
        if not (isinstance(self.max_bin, Integral) and 2 <= int(self.max_bin) <= self._most_bins):
            complaints.append(f"max_bin must be a whole number from 2 to {self._most_bins}, got {self.max_bin!r}")
        raise_complaints(self, thread_count("n_jobs", self.n_jobs), *complaints)

    def _check_device(self) -> None:
        """Refuse a device that XGBoost does not know, or was not built for: it would go on without, on the CPU."""
        import xgboost

        if not (isinstance(self.device, str) and re.fullmatch(r"cpu|cuda(:\d+)?", self.device)):
            msg = f'device must be "cpu", "cuda" or "cuda:" and a number, got {self.device!r}.'
            raise DataError(msg)
        if self.device != "cpu" and not xgboost.build_info().get("USE_CUDA"):
            msg = (
                f"device={self.device!r} needs an XGBoost with CUDA, and the one that is installed has none; install "
                'the package xgboost in the place of xgboost-cpu, or leave device="cpu".'
            )
            raise DataError(msg)

    def _eval_rows(self, eval_set: Any, by_class: np.ndarray) -> Labelled | None:
        if eval_set is None:
            return None
        if not (isinstance(eval_set, (tuple, list)) and len(eval_set) in (2, 3)):
            msg = "eval_set must be (X, y) or (X, y, sample_weight)."
            raise DataError(msg)
        if is_mapped(eval_set[0]):
            X, y = rows_to_predict(self, eval_set[0]), column_or_1d(eval_set[1])
            check_consistent_length(X, y)
        else:
            X, y = validate_data(self, eval_set[0], eval_set[1], dtype=np.float32, reset=False)
        weight = _check_sample_weight(
            eval_set[2] if len(eval_set) == 3 else None,
            np.empty((len(y), 1)),
            dtype=np.float64,
            ensure_non_negative=True,
        )
        foreign = np.setdiff1d(y, self.classes_)
        if len(foreign):
            msg = f"eval_set holds labels that the training rows lack: {', '.join(map(str, foreign))}."
            raise DataError(msg)
        kept = np.flatnonzero(weight > 0)
        if not len(kept):
            msg = "eval_set has rows of weight 0 only."
            raise DataError(msg)
        index = np.searchsorted(self.classes_, y[kept])
        return Labelled(take_rows(X, kept) if len(kept) < len(y) else X, index, weight[kept] * by_class[index])

    def _held_out(self, rows: Labelled, groups: Any) -> tuple[Labelled, Labelled | None]:
        """Divide into rows to grow on and rows to stop by; a class that would be lost to growing stays there."""
        number = np.arange(len(rows.y)) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
        largest = int(np.bincount(rows.y).max())
        if len(np.unique(number)) < 2 or largest < 2:
            return rows, None
        n_folds = min(max(2, round(1 / self.validation_fraction)), largest)
        folds = inner_folds(rows.y, n_folds, self.random_state, groups)
        outside = folds == folds.min()
        lost = np.setdiff1d(rows.y[outside], rows.y[~outside])
        outside &= ~np.isin(number, number[np.isin(rows.y, lost) & outside])
        if not np.any(outside):
            return rows, None
        parts = [Labelled(take_rows(rows.X, part), rows.y[part], rows.weight[part]) for part in (~outside, outside)]
        return parts[0], parts[1]

    def _seed(self) -> np.random.RandomState:
        """Draws as 0 does where there is no seed, so that a fit can be repeated."""
        return check_random_state(0 if self.random_state is None else self.random_state)

    def _tree_parameters(self) -> dict[str, Any]:
        """Parameters of XGBoost that both heads have by the same names."""
        names = ("max_depth", "max_bin", "reg_lambda", "gamma", "min_child_weight", "device")
        found = {name: getattr(self, name) for name in names}
        if self.n_jobs is not None:
            found["nthread"] = effective_n_jobs(self.n_jobs)
        return found

    def _load(self) -> xgboost.Booster:
        booster = load_booster(self.model_json_.tobytes(), n_features=self.n_features_in_, n_classes=len(self.classes_))
        booster.set_param({"device": self.device, "nthread": self._tree_parameters().get("nthread", 0)})
        return booster

    @property
    def booster_(self) -> xgboost.Booster:
        """The stock model; checked and built again when the head was loaded from a file."""
        check_is_fitted(self)
        if getattr(self, "_booster", None) is None:
            self._booster = self._load()
        return self._booster

    def export_model(self, path: str | Path) -> None:
        """Write the stock model as JSON, which a process that has only XGBoost reads: ``Booster(model_file=path)``.

        Parameters
        ----------
        path : str or Path
            Should end in ".json", by which XGBoost knows the format.
        """
        check_is_fitted(self)
        Path(path).write_bytes(self.model_json_.tobytes())

    def block_importances(self, blocks: Mapping[str, slice]) -> dict[str, float]:
        """Return the share of each block of columns in `feature_importances_`, 0 to 1.

        Parameters
        ----------
        blocks : mapping of str to slice

        Returns
        -------
        dict of str to float
        """
        check_is_fitted(self)
        return {name: float(self.feature_importances_[columns].sum()) for name, columns in blocks.items()}

    def _margins(self, X: Any) -> np.ndarray:
        return self._predict_range(self._checked(X), (0, 0))

    def _predict_range(self, X: Any, rounds: tuple[int, int]) -> np.ndarray:
        """Margins (n, C) that some rounds give, (0, 0) being all of them."""

        def margins(piece: np.ndarray) -> np.ndarray:
            found = self.booster_.inplace_predict(piece, iteration_range=rounds, predict_type="margin")
            return found.reshape(len(piece), -1)

        return in_pieces(lambda piece: margins(check_array(piece)), X) if is_mapped(X) else margins(X)

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return rows_to_predict(self, X) if is_mapped(X) else validate_data(self, X, dtype=np.float32, reset=False)

    def decision_function(self, X: Any) -> np.ndarray:
        """Margin of each class, (n, K) float32; with two classes that of the second over the first, (n,)."""
        margins = self._margins(X)
        return margins[:, 0] if margins.shape[1] == 1 else margins

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, (n, K) float32: softmax of the margins."""
        return probabilities(self._margins(X))

    def predict(self, X: Any) -> np.ndarray:
        """Most probable label of each row, (n,)."""
        margins = self._margins(X)
        winner = (margins[:, 0] > 0).astype(np.intp) if margins.shape[1] == 1 else margins.argmax(axis=1)
        return self.classes_[winner]

    def staged_predict_proba(self, X: Any) -> Iterator[np.ndarray]:
        """Yield the probabilities (n, K) after each kept round; the last are those of `predict_proba`.

        Parameters
        ----------
        X : array-like or MappedMatrix, shape (n, d)
            Rows. Those of a MappedMatrix are read once a round.

        Yields
        ------
        ndarray of float32, shape (n, K)
        """
        X = self._checked(X)

        def margins(first: int, last: int) -> np.ndarray:
            return self._predict_range(X, (first, last)).astype(np.float64)

        F = margins(0, 1)
        yield probabilities(F.astype(np.float32))
        rounds = self.booster_.num_boosted_rounds()
        if rounds > 1:
            start = F + margins(1, 2) - margins(0, 2)  # XGBoost adds it to the trees of every range
        for number in range(1, rounds):
            F += margins(number, number + 1) - start
            yield probabilities(F.astype(np.float32))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the Booster, which is built from `model_json_` again."""
        return {name: value for name, value in super().__getstate__().items() if name != "_booster"}
