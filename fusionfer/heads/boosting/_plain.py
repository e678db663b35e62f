"""The head ``xgb``: XGBoost as it comes, the baseline."""

from __future__ import annotations

import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from fusionfer.heads.boosting._classifier import BoostedClassifier, Labelled, Progress
from fusionfer.heads.boosting._scratch import scratch
from fusionfer.heads.boosting._size import plain_size, stays_in_memory
from fusionfer.matrices import MappedMatrix, is_mapped

__all__ = ["PlainXGBClassifier"]

#: Rows of a page in a file.
_PAGE = 1 << 14


class PlainXGBClassifier(BoostedClassifier):
    """XGBoost's own histogram training on all columns, with its own defaults: what ``xgb-wn`` is compared with.

    Where rows and bins would take more than a quarter of the memory that is planned with
    (`fusionfer.memory.planned_bytes`), XGBoost reads the rows piece by piece and pages bins in from temporary files,
    where ``TMPDIR`` says. The trees were the same in all that was compared.

    Parameters
    ----------
    n_rounds : int
        Most rounds.
    eta : float
        Learning rate, more than 0.
    max_depth : int
        Of a tree.
    max_bin : int
        Bins of a column, 2 to 65,536.
    colsample_bytree, subsample : float
        Part of the columns, and of the rows, that each tree is grown on, more than 0 and at most 1.
    reg_lambda, gamma, min_child_weight : float
        Penalty of leaf weights, least gain of a split, and least sum of Hessians in a leaf.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`, and scaled so that the weights keep their sum.
    early_stopping_rounds : int or None
        Growing ends when the log-loss on held-out rows has not fallen for so many rounds, and the model keeps the
        rounds up to the lowest. None keeps all rounds and holds nothing out.
    validation_fraction : float
        Part of the rows that is held out for that, where `fit` gets no `eval_set`; the model is not fitted again with
        them.
    random_state : int, RandomState instance or None
        Draws held-out rows, and columns and rows of trees; None draws as 0 does, so that a fit can be repeated.
    n_jobs : int or None
        Threads, as joblib counts them; None: as many as OpenMP takes.
    device : str
        "cpu", or "cuda" with an XGBoost that was built for it, for fits that are kept in memory: from files only the
        CPU reads bins.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, sorted.
    model_json_ : ndarray of uint8
        The model in XGBoost's JSON. It is checked before XGBoost reads it.
    booster_ : xgboost.Booster
        The same, loaded.
    best_round_ : int
        Rounds that were kept.
    history_ : dict of str to ndarray
        By round, all that were grown: ``validation_loss``, where there were rows to judge by.
    feature_importances_ : ndarray of float64, shape (d,)
        Share of each column in the gain of all splits.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    .. [1] T. Chen, C. Guestrin (2016). XGBoost: a scalable tree boosting system. KDD.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> PlainXGBClassifier(n_rounds=20).fit(X, y).predict(X[[0, 60, 140]])
    array([0, 1, 2])
    """

    def __init__(
        self,
        n_rounds: int = 500,
        *,
        eta: float = 0.3,
        max_depth: int = 6,
        max_bin: int = 256,
        colsample_bytree: float = 1.0,
        subsample: float = 1.0,
        reg_lambda: float = 1.0,
        gamma: float = 0.0,
        min_child_weight: float = 1.0,
        class_weight: Any = None,
        early_stopping_rounds: int | None = 20,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.n_rounds = n_rounds
        self.eta = eta
        self.max_depth = max_depth
        self.max_bin = max_bin
        self.colsample_bytree = colsample_bytree
        self.subsample = subsample
        self.reg_lambda = reg_lambda
        self.gamma = gamma
        self.min_child_weight = min_child_weight
        self.class_weight = class_weight
        self.early_stopping_rounds = early_stopping_rounds
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def _grow(self, train: Labelled, validation: Labelled | None, progress: Progress | None) -> bytes:
        import xgboost

        n_classes = len(self.classes_)
        params = {
            **self._tree_parameters(),
            "tree_method": "hist",
            "eta": self.eta,
            "colsample_bytree": self.colsample_bytree,
            "subsample": self.subsample,
            "seed": int(self._seed().randint(2**31 - 1)),
            **(
                {"objective": "binary:logistic", "eval_metric": "logloss"}
                if n_classes == 2
                else {"objective": "multi:softprob", "num_class": n_classes, "eval_metric": "mlogloss"}
            ),
        }
        common = {name: params[name] for name in ("nthread", "max_bin") if name in params}
        losses: dict[str, dict[str, list[float]]] = {}
        stopping = validation is not None and self.early_stopping_rounds is not None
        with ExitStack() as stack:
            make = self._maker(train, validation, stack)
            data, judged = None, []
            try:
                data = make(train, None, common)
                judged = [] if validation is None else [(make(validation, data, common), "validation")]
                booster = xgboost.train(
                    params,
                    data,
                    int(self.n_rounds),
                    evals=judged,
                    evals_result=losses,
                    verbose_eval=False,
                    early_stopping_rounds=self.early_stopping_rounds if stopping else None,
                    callbacks=[_reporter(progress, int(self.n_rounds))],
                )
            except BaseException as error:
                traceback.clear_frames(error.__traceback__)  # they hold the matrices
                raise
            finally:
                data, judged = None, []  # so that XGBoost deletes its pages before the folder goes
        self.best_round_ = booster.best_iteration + 1 if stopping else booster.num_boosted_rounds()
        self.history_ = {f"{name}_loss": np.array(values) for name, one in losses.items() for values in one.values()}
        return bytes(booster[: self.best_round_].save_raw("json"))

    def _maker(self, train: Labelled, validation: Labelled | None, stack: ExitStack) -> Any:
        """Return how matrices of XGBoost's are made: in memory, or in pages in a folder that `stack` removes."""
        n = len(train.y) + (0 if validation is None else len(validation.y))
        of_trees = {"max_bin": int(self.max_bin), "max_depth": int(self.max_depth)}
        size = plain_size(n, train.X.shape[1], len(self.classes_), **of_trees, mapped=is_mapped(train.X))
        if stays_in_memory(size.kept, self.device):
            return _in_memory
        folder = stack.enter_context(scratch(size.disk))
        return lambda rows, ref, common: _in_files(rows, ref, common, folder)


def _in_memory(rows: Labelled, ref: Any, common: dict[str, Any]) -> Any:
    import xgboost

    if isinstance(rows.X, MappedMatrix):
        rows.X.check_finite()
    return xgboost.QuantileDMatrix(np.asarray(rows.X), rows.y, weight=rows.weight, ref=ref, **common)


def _in_files(rows: Labelled, ref: Any, common: dict[str, Any], folder: Path) -> Any:
    import xgboost

    class Pages(xgboost.DataIter):
        def __init__(self) -> None:
            self.start = 0
            super().__init__(cache_prefix=str(folder / "rows"))

        def reset(self) -> None:
            self.start = 0

        def next(self, input_data: Any) -> bool:
            if self.start >= len(rows.y):
                return False
            piece = slice(self.start, self.start + _PAGE)
            values = np.ascontiguousarray(rows.X[piece])
            input_data(data=check_array(values), label=rows.y[piece], weight=rows.weight[piece])
            self.start += _PAGE
            return True

    return xgboost.ExtMemQuantileDMatrix(Pages(), ref=ref, **common)


def _reporter(progress: Progress | None, n_rounds: int) -> Any:
    """Return a callback that tells the progress after every round."""
    import xgboost

    class Reporter(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if progress is not None:
                progress(epoch + 1, n_rounds, "rounds")
            return False

    return Reporter()
