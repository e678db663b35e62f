"""The head ``xgb-wn``: boosted trees that enter as a direction and a bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from numbers import Integral
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.heads.boosting._binning import Bins, find_bins
from fusionfer.heads.boosting._boosters import Recipe, Rows
from fusionfer.heads.boosting._classifier import BoostedClassifier, Labelled, Progress
from fusionfer.heads.boosting._model import stock_model, tree_gains
from fusionfer.heads.boosting._norm import NORMS
from fusionfer.heads.boosting._rounds import Forest, grow
from fusionfer.heads.boosting._scratch import scratch
from fusionfer.heads.boosting._size import sliced_size, stays_in_memory
from fusionfer.heads.boosting._slices import SHARES, draw_slices, slice_count
from fusionfer.matrices import scratch_array

__all__ = ["WeightNormalisedXGBClassifier"]

_HESSIANS = {"exact": 1.0, "xgboost": 2.0}


class WeightNormalisedXGBClassifier(BoostedClassifier):
    """XGBoost whose trees enter as a direction and a bounded size, grown on slices of the columns.

    With S_j and V_j the sums of dL/df and d2L/df2 over the rows of leaf j, XGBoost's gain and leaf weight are those of
    the paper [1]_, 1/2 [S_L^2/V_L + S_R^2/V_R - S^2/V] and w_j = -S_j/V_j, where the penalties are 0. The paper claims
    that normalising the weights keeps steps stable at high learning rates, and does not say what is normalised. Here it
    is three things, each with a switch:

    - *leaf weights* (`norm`, `tau`, `lead`): the size of a tree is ||w||_V = sqrt(sum_j V_j w_j^2 / sum_j V_j), and it
      enters with eta w / sqrt(1 + (||w||_V / tau)^2) ("bounded") or eta w / (1 + ||w||_V) ("damped");
    - *features* (`blocks`, `shares`): the columns of each backbone have a share of every tree that is proportional to
      their number, or equal, whatever it is;
    - *samples* (`class_weight`): balanced classes, at a mean weight of one.

    What is kept from round to round, codes and bins, is in memory unless it would take more than a quarter of the
    memory that is planned with (`fusionfer.memory.planned_bytes`); then it is in temporary files, where ``TMPDIR``
    says, and XGBoost pages bins in from there. The trees are the same to the bit, with one thread and with two.

    Round r grows its trees, one for each class, on the columns of slice r mod S alone, from one-byte codes: that takes
    a small part of the time, and no two columns of different slices meet in one tree. The finished model is a stock
    model of XGBoost over all columns. What each part does on real features stands in ``docs/xgb_wn.md``.

    Parameters
    ----------
    n_rounds : int
        Most rounds.
    eta : float
        Learning rate, more than 0.
    max_depth : int
        Of a tree.
    max_bin : int
        Bins of a column, 2 to 256.
    n_slices : int or "auto"
        Slices of the columns; "auto" is one for every 40 columns.
    shares : {"proportional", "equal"}
        How blocks share each slice.
    blocks : dict of str to slice, optional
        Columns of each block; they must tile the columns. By default all are one block. `HybridSelector` sets it.
    norm : {"bounded", "damped"} or None
        How a tree's size is normalised.
    tau : float
        Bound on the size of a tree before eta, in units of margins, more than 0; only for "bounded".
    lead : float
        The first steps are longer: their bound is tau + lead / (10 eta) exp(-d / lead), d being the sum of the sizes of
        all steps so far. 0 bounds all trees by tau; only for "bounded".
    hessian : {"exact", "xgboost"}
        p (1 - p), or XGBoost's 2 p (1 - p) with more than two classes.
    reg_lambda, gamma, min_child_weight : float
        XGBoost's penalty of leaf weights, least gain of a split (in its units: twice the paper's), and least sum of
        Hessians in a leaf; with 0 for all three the paper's formulas hold exactly.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`, and scaled so that the weights keep their sum.
    early_stopping_rounds : int or None
        Growing ends when the log-loss on held-out rows has not fallen for so many rounds (or one round on each slice,
        if that is more), and the model keeps the rounds up to the lowest. None keeps all rounds and holds nothing out.
    validation_fraction : float
        Part of the rows that is held out for that, where `fit` gets no `eval_set`; the model is not fitted again with
        them.
    random_state : int, RandomState instance or None
        Draws slices and held-out rows; None draws as 0 does, so that a fit can be repeated.
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
        The stock model in XGBoost's JSON. It is checked before XGBoost reads it.
    booster_ : xgboost.Booster
        The same, loaded.
    best_round_ : int
        Rounds that were kept.
    history_ : dict of str to ndarray
        By round, all that were grown: ``S``, ``V`` (sums of dL/df and d2L/df2 over all rows), ``norm`` and ``step``
        (what the leaf weights were multiplied with), each (rounds, C) for C margins; ``gain`` (of all splits of a
        tree, with the paper's 1/2), of the rounds kept; ``train_loss`` and ``validation_loss``, (rounds,), in nats.
    slices_ : list of ndarray of int
        Columns of each slice.
    feature_importances_ : ndarray of float64, shape (d,)
        Share of each column in the gain of all splits.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    .. [1] Rajeshwari and Krishna Prasad (2024): weight-normalised XGBoost on ResNet50 features of FER-2013.
    .. [2] T. Chen, C. Guestrin (2016). XGBoost: a scalable tree boosting system. KDD, equations 5 to 7.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = WeightNormalisedXGBClassifier(n_rounds=20).fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), bool(head.history_["norm"].max() > 1)
    (array([0, 1, 2]), True)
    """

    _most_bins = 256

    def __init__(
        self,
        n_rounds: int = 500,
        *,
        eta: float = 0.3,
        max_depth: int = 4,
        max_bin: int = 32,
        n_slices: int | str = "auto",
        shares: str = "proportional",
        blocks: Mapping[str, slice] | None = None,
        norm: str | None = "bounded",
        tau: float = 0.05,
        lead: float = 0.4,
        hessian: str = "exact",
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
        self.n_slices = n_slices
        self.shares = shares
        self.blocks = blocks
        self.norm = norm
        self.tau = tau
        self.lead = lead
        self.hessian = hessian
        self.reg_lambda = reg_lambda
        self.gamma = gamma
        self.min_child_weight = min_child_weight
        self.class_weight = class_weight
        self.early_stopping_rounds = early_stopping_rounds
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.norm is not None and self.norm not in NORMS:
            raise unknown_name("norm", self.norm, [*NORMS, "None"])
        if self.shares not in SHARES:
            raise unknown_name("way to share slices", self.shares, SHARES, plural="ways")
        if self.hessian not in _HESSIANS:
            raise unknown_name("hessian", self.hessian, _HESSIANS)
        if self.n_slices != "auto" and not (isinstance(self.n_slices, Integral) and self.n_slices >= 1):
            msg = f'n_slices must be "auto" or a whole number of at least 1, got {self.n_slices!r}.'
            raise DataError(msg)

    def _grow(self, train: Labelled, validation: Labelled | None, progress: Progress | None) -> bytes:
        d, n_classes = train.X.shape[1], len(self.classes_)
        blocks = self._blocks(d)
        self.slices_ = draw_slices(blocks, slice_count(self.n_slices, d), self.shares, self._seed())
        threads = effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs)
        recipe = self._recipe(n_classes)
        if hasattr(train.X, "grow_forest"):  # its rows are elsewhere
            forest, bins = train.X.grow_forest(train, validation, self.slices_, n_classes, recipe, progress)
            return self._finish(forest, bins, d)
        parts = [train] if validation is None else [train, validation]
        counts = [len(part.y) for part in parts]
        size = sliced_size(
            sum(counts), d, n_classes, n_slices=len(self.slices_), validation=1 - counts[0] / sum(counts)
        )
        in_memory = stays_in_memory(size.kept, self.device)
        with ExitStack() as stack:
            folder = None if in_memory else stack.enter_context(scratch(size.disk))
            memory = [None if folder is None else scratch_array((d, count), np.uint8, "Codes") for count in counts]
            bins, codes = find_bins(train.X, int(self.max_bin), train.weight, threads, memory[0])
            sets = [Rows(codes, train.y, train.weight)]
            if validation is not None:
                sets.append(Rows(bins.codes(validation.X, memory[1], threads), validation.y, validation.weight))
            forest = grow(
                self.slices_,
                sets[0],
                sets[1] if validation else None,
                n_classes,
                recipe,
                progress,
                folder,
            )
        return self._finish(forest, bins, d)

    def _recipe(self, n_classes: int) -> Recipe:
        """How to grow, in the words of those who do."""
        patience = self.early_stopping_rounds
        return Recipe(
            n_rounds=int(self.n_rounds),
            eta=float(self.eta),
            norm=self.norm,
            tau=float(self.tau),
            lead=float(self.lead),
            hessian_factor=_HESSIANS[self.hessian] if n_classes > 2 else 1.0,
            patience=None if patience is None else max(int(patience), len(self.slices_)),
            n_bins=int(self.max_bin),
            tree=self._tree_parameters(),
        )

    def _finish(self, forest: Forest, bins: Bins, d: int) -> bytes:
        """Return the stock model of a forest over codes, and note what there is to know of it."""
        model = stock_model(forest, bins, d, len(self.classes_))
        self.best_round_ = forest.best_round
        self.history_ = {**forest.history, "gain": tree_gains(model, len(forest.start))}
        return model

    def _blocks(self, n_columns: int) -> dict[str, slice]:
        """Check that the blocks tile the columns."""
        if self.blocks is None:
            return {"all": slice(0, n_columns)}
        if not isinstance(self.blocks, Mapping) or not all(isinstance(block, slice) for block in self.blocks.values()):
            msg = f"blocks must be a dict of name -> slice of columns, got {self.blocks!r}."
            raise DataError(msg)
        plain = {name: slice(*block.indices(n_columns)) for name, block in self.blocks.items()}
        blocks = dict(sorted(plain.items(), key=lambda item: item[1].start))
        ends = np.array([[0, 0], *([block.start, block.stop] for block in blocks.values()), [n_columns, n_columns]])
        stepping = any(block.step != 1 for block in blocks.values())
        if stepping or np.any(ends[1:, 0] != ends[:-1, 1]) or np.any(ends[1:-1, 0] >= ends[1:-1, 1]):
            msg = f"blocks must be all of the {n_columns} columns, without gap or overlap, got {dict(self.blocks)!r}."
            raise DataError(msg)
        return blocks
