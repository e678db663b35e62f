"""Does an exported file say what the model says? The same pictures go through both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionfer.exceptions import ModelError
from fusionfer.export._estimators import SMOOTH, final, scaled
from fusionfer.export._pictures import Inputs
from fusionfer.export._trees import Crossing, Forest
from fusionfer.heads import PlainXGBClassifier, WeightNormalisedXGBClassifier
from fusionfer.networks import ENGINE_BOUND
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier

__all__ = ["BATCH", "CHAIN_BOUND", "HEAD_BOUND", "Agreement", "compare", "require"]

#: Largest difference of a probability where the head in the file and the model's get the very same features.
HEAD_BOUND = 1e-5
#: The same from pictures to probabilities, for heads that are smooth functions of the features. Twenty times what was
#: seen at most (docs/export.md).
CHAIN_BOUND = 5e-4

#: Pictures that are compared together.
BATCH = 16


@dataclass(frozen=True)
class Agreement:
    """How far a file and the model are apart, over some pictures.

    Attributes
    ----------
    n : int
        Pictures.
    features : float
        Largest difference of a feature, divided by the largest absolute feature of its block.
    head : float or None
        Largest difference of a probability on identical features; None where the head gives no probabilities.
    head_labels : int
        Labels that differ on identical features although their scores do not tie.
    chain : float or None
        Largest difference of a probability from pictures on.
    labels : int
        Labels that differ from pictures on.
    moved : int
        Pictures with another label, or a probability that differs by more than `HEAD_BOUND`.
    crossings : tuple of Crossing or None
        Of trees: every split at which the two features of a picture part. None for other heads.
    unexplained : int or None
        Of trees: moved pictures without a crossing.
    """

    n: int
    features: float
    head: float | None
    head_labels: int
    chain: float | None
    labels: int
    moved: int
    crossings: tuple[Crossing, ...] | None
    unexplained: int | None

    @property
    def crossed(self) -> int | None:
        """Pictures with at least one crossing; None for heads without trees."""
        return None if self.crossings is None else len({crossing.row for crossing in self.crossings})


def compare(
    path: Path,
    classifier: Classifier,
    inputs: Inputs,
    pictures: list[np.ndarray],
    progress: Callable[[int, int, str], None] | None = None,
) -> Agreement:
    """Run pictures through an exported file and through the model.

    Parameters
    ----------
    path : Path
        The file.
    classifier : Classifier
        Of the model.
    inputs : Inputs
        Of the model.
    pictures : list of ndarray of uint8, each of shape (height, width) or (height, width, 3)
        At least one.
    progress : callable, optional
        ``progress(done, total, what)``.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot run the file, or its features are no finite numbers.
    """
    import onnxruntime

    model = classifier.model
    with _named():
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    ours, theirs = [], []
    # One picture alone first: a graph that took over the length of the batch it was traced with shows by that.
    starts = [0, *range(1, len(pictures), BATCH)]
    for start, stop in zip(starts, [*starts[1:], len(pictures)], strict=True):
        some = pictures[start:stop]
        ours.append(classifier.features(some))
        given = inputs.arrays(some)
        with _named():
            theirs.append(dict(zip(names, session.run(None, given), strict=True)))
        if progress is not None:
            progress(stop, len(pictures), "pictures through the file and the model")
    X = np.concatenate(ours)
    found = {name: np.concatenate([batch[name] for batch in theirs]) for name in names}
    return _agreement(model, X, classifier.columns, found)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Make one error of what ONNX Runtime raises, which has many kinds of its own."""
    try:
        yield
    except Exception as error:
        msg = f"ONNX Runtime cannot run the file ({' '.join(str(error).split())[:300]}). Nothing was written."
        raise ModelError(msg) from error


def _agreement(model: Model, X: np.ndarray, columns: dict[str, slice], found: dict[str, np.ndarray]) -> Agreement:
    Z, labels = found["features"], found["label"].astype(np.str_)
    if not np.isfinite(Z).all():  # which heads refuse to judge
        msg = "The ONNX file gives features that are no finite numbers. Nothing was written."
        raise ModelError(msg)
    off = max(
        float(np.abs(X[:, c] - Z[:, c]).max() / max(float(np.abs(X[:, c]).max()), 1e-30)) for c in columns.values()
    )
    differ = labels != model.predict(X)
    head = chain = None
    moved = differ
    if "probabilities" in found:
        proba = found["probabilities"].astype(np.float64)
        head = float(np.abs(model.predict_proba(Z) - proba).max())
        distances = np.abs(model.predict_proba(X) - proba).max(axis=1)
        chain, moved = float(distances.max()), differ | (distances > HEAD_BOUND)
    crossings = unexplained = None
    head_itself = final(model.estimator)
    if isinstance(head_itself, (PlainXGBClassifier, WeightNormalisedXGBClassifier)):
        both = [scaled(model.estimator, features).astype(np.float32) for features in (X, Z)]
        crossings = tuple(Forest.of(head_itself).crossings(*both))
        unexplained = len(set(np.flatnonzero(moved).tolist()) - {crossing.row for crossing in crossings})
    return Agreement(
        n=len(X),
        features=off,
        head=head,
        head_labels=_torn_labels(model, Z, labels),
        chain=chain,
        labels=int(differ.sum()),
        moved=int(moved.sum()),
        crossings=crossings,
        unexplained=unexplained,
    )


def _torn_labels(model: Model, X: np.ndarray, labels: np.ndarray) -> int:
    """Labels that are not the model's on the same features, although its scores for the two are apart."""
    other = np.flatnonzero(labels != model.predict(X))
    if not len(other):
        return 0
    judge = getattr(model.estimator, "decision_function", None) or getattr(model.estimator, "predict_proba", None)
    scores = np.empty(0) if judge is None else np.asarray(judge(X[other]))
    scores = np.column_stack([0.0 * scores, scores]) if scores.shape == (len(other),) else scores
    if scores.shape != (len(other), len(model.classes)):  # no score a class: nothing says that it was a tie
        return len(other)
    named = scores[np.arange(len(other)), [model.classes.index(label) for label in labels[other]]]
    return int(np.sum(scores.max(axis=1) - named > HEAD_BOUND * np.maximum(1.0, np.abs(scores).max(axis=1))))


def require(found: Agreement, head: object) -> None:
    """Refuse a file that is further from the model than what is stated.

    Raises
    ------
    ModelError
        With the figure, and what is allowed.
    """
    complaints = []
    if not found.features <= ENGINE_BOUND:  # NaN is refused too
        complaints.append(
            f"a feature differs by {found.features:.1e} of the largest of its block, {ENGINE_BOUND:.0e} is allowed"
        )
    if found.head is not None and not found.head <= HEAD_BOUND:
        complaints.append(
            f"on identical features a probability differs by {found.head:.1e}, {HEAD_BOUND:.0e} is allowed"
        )
    if found.head_labels:
        complaints.append(f"on identical features {found.head_labels} labels differ")
    if isinstance(head, SMOOTH) and found.chain is not None and not found.chain <= CHAIN_BOUND:
        complaints.append(f"from pictures on a probability differs by {found.chain:.1e}, {CHAIN_BOUND:.0e} is allowed")
    if found.unexplained:
        complaints.append(f"{found.unexplained} pictures moved although no feature of theirs crossed a threshold")
    if complaints:
        msg = f"The ONNX file says something else than the model on {found.n} pictures ({'; '.join(complaints)}). "
        raise ModelError(f"{msg}Nothing was written.")
