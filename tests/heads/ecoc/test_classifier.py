"""The classifier: against libsvm and scikit-learn's meta-estimators, its decoding, probabilities and weights."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusionfer.exceptions import DataError
from fusionfer.heads._jobs import FitJob
from fusionfer.heads.ecoc import BINARY_LOSSES, CODINGS, ECOCClassifier, average_losses, check_coding, coding_matrix


@pytest.fixture(scope="module")
def faces():
    """Three classes of very different size that overlap."""
    X, y = make_classification(
        360, 15, n_informative=8, n_classes=3, weights=[0.7, 0.22, 0.08], class_sep=1.2, random_state=0
    )
    return X, np.array(["happy", "sad", "disgust"])[y]


@pytest.fixture(scope="module")
def digits():
    """Half the digits to train, half to test."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    return X[::2], y[::2], X[1::2], y[1::2]


@parametrize_with_checks(
    [
        ECOCClassifier(probability=False, tol=1e-9),
        ECOCClassifier("onevsone", loss="logistic", probability=False, tol=1e-15),
        ECOCClassifier("sparserandom", loss="squared_hinge", binary_loss="hamming", probability=False, tol=1e-9),
    ]
)
def test_scikit_learn_without_calibration(estimator, check):
    """Without calibration all of scikit-learn's checks pass, those with weights included."""
    check(estimator)


def test_defaults_are_those_of_fitcecoc(faces):
    """With weights, the objective in MATLAB's form with lambda = 1 / sum of weights is at libsvm's minimum."""
    X, y = faces
    s = np.random.default_rng(0).uniform(0.2, 2, size=len(y))
    head = ECOCClassifier(probability=False, tol=1e-6).fit(X, y, sample_weight=s)
    assert_allclose(head.lambda_, 1 / s.sum())
    assert_array_equal(head.code_matrix_, [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert head.binary_loss_ == "hinge"
    for k, label in enumerate(head.classes_):
        sign = np.where(y == label, 1, -1)
        svc = SVC(kernel="linear", C=1.0, tol=1e-6).fit(X, sign, sample_weight=s)

        def matlab(w, b, sign=sign):
            return (w @ w / 2 + s @ np.maximum(0, 1 - sign * (X @ w + b))) / s.sum()

        exact = matlab(svc.coef_[0], svc.intercept_[0])
        assert_allclose(matlab(head.coef_[k], head.intercept_[k]), exact, rtol=3e-6)
        assert_allclose(head.objective_[k], exact, rtol=3e-6)


def test_one_against_all_is_one_vs_rest_of_libsvm(faces):
    """The labels and scores are those of scikit-learn's one-vs-rest over exact linear machines."""
    X, y = faces
    exact = OneVsRestClassifier(SVC(kernel="linear", tol=1e-6)).fit(X, y)
    head = ECOCClassifier(probability=False, tol=1e-5).fit(X, y)
    assert np.mean(head.predict(X) == exact.predict(X)) > 0.99
    assert_allclose(head.decision_function(X), exact.decision_function(X), atol=0.05)


def test_own_learner_is_one_vs_rest(digits):
    """With the same learner, one against all has scikit-learn's scores and labels."""
    X, y, Z, _ = digits
    learner = LogisticRegression(C=0.1)
    head = ECOCClassifier(learner=learner, probability=False).fit(X, y)
    theirs = OneVsRestClassifier(learner).fit(X, y)
    assert_allclose(head.decision_function(Z), theirs.decision_function(Z), rtol=1e-9)
    assert_array_equal(head.predict(Z), theirs.predict(Z))


def test_hamming_over_pairs_is_one_vs_one(digits):
    """Where one class has most votes, one against one with hamming loss is scikit-learn's one-vs-one."""
    X, y, Z, _ = digits
    learner = LogisticRegression(C=0.1)
    head = ECOCClassifier("onevsone", binary_loss="hamming", learner=learner, probability=False).fit(X, y)
    theirs = OneVsOneClassifier(learner).fit(X, y)
    votes = np.sort(head.negated_average_losses(Z), axis=1)
    clear = votes[:, -1] > votes[:, -2] + 1e-9
    assert clear.mean() > 0.95
    assert_array_equal(head.predict(Z)[clear], theirs.predict(Z)[clear])


def test_linear_loss_over_a_dense_code_is_output_code(digits):
    """Euclidean decoding of a dense code is the linear loss: scikit-learn's random code book, decoded alike."""
    X, y, Z, _ = digits
    learner = LogisticRegression(C=0.1)
    theirs = OutputCodeClassifier(learner, code_size=2, random_state=1).fit(X, y)
    code = check_coding(theirs.code_book_, 10)  # of 40 seeds, 14 have books with twins
    head = ECOCClassifier(code, binary_loss="linear", decoding="lossbased", learner=learner, probability=False)
    assert_array_equal(head.fit(X, y).predict(Z), theirs.predict(Z))


@pytest.mark.parametrize("loss", BINARY_LOSSES)
@pytest.mark.parametrize("coding", CODINGS)
def test_predict_is_the_least_average_loss(faces, coding, loss):
    """For every coding and loss, labels are those of the largest negated loss, and `return_all` shows all of it."""
    X, y = faces
    head = ECOCClassifier(coding, binary_loss=loss, learner=GaussianNB(), probability=False).fit(X, y)
    labels, negated, scores = head.predict(X, return_all=True)
    assert_array_equal(labels, head.predict(X))
    assert_array_equal(labels, head.classes_[negated.argmax(axis=1)])
    assert_allclose(negated, -average_losses(scores, head.code_matrix_, loss))
    assert_array_equal(negated, head.negated_average_losses(X))
    assert_array_equal(scores, head.binary_scores(X))
    assert_array_equal(labels, head.classes_[head.decision_function(X).argmax(axis=1)])
    if loss == "quadratic":
        assert scores.min() >= 0
        assert scores.max() <= 1


def test_decodings_differ_on_uneven_codes(faces):
    """A class with a zero pays 1/2 for it in loss-based decoding: decoding is used, not only stored."""
    X, y = faces
    code = [[1, 1, 0], [-1, 0, 1], [-1, -1, -1]]
    weighted = ECOCClassifier(code, probability=False).fit(X, y)
    based = clone(weighted).set_params(decoding="lossbased").fit(X, y)
    zeros = np.array([1, 1, 0])
    sums = weighted.decision_function(X) * (3 - zeros)
    assert_allclose(based.decision_function(X), (sums - 0.5 * zeros) / 3)


@pytest.mark.parametrize("coding", ["onevsone", "denserandom", "sparserandom", "binarycomplete"])
def test_codings_learn(digits, coding):
    """Every coding classifies unseen digits, and its probabilities agree and are better than the class shares."""
    X, y, Z, t = digits
    part = y < 7
    head = ECOCClassifier(coding, random_state=0).fit(X[part], y[part])
    seen = t < 7
    assert head.score(Z[seen], t[seen]) > 0.95
    proba = head.predict_proba(Z[seen])
    assert_allclose(proba.sum(axis=1), 1)
    assert np.mean(proba.argmax(axis=1) == head.predict(Z[seen])) > 0.97
    assert log_loss(t[seen], proba) < 0.35


def test_more_learners_than_allowed(faces):
    """The limit is the parameter's, and the error comes before any training."""
    with pytest.raises(DataError, match="'ternarycomplete' has 6 learners for 3 classes, max_learners is 5"):
        ECOCClassifier("ternarycomplete", max_learners=5).fit(*faces)


def test_smaller_c_is_stronger_penalty(faces):
    """C scales as 1 / lambda: weights shrink with it, and lambda is reported."""
    X, y = faces
    loose, tight = (ECOCClassifier(C=C, probability=False).fit(X, y) for C in (1.0, 1e-3))
    assert np.linalg.norm(tight.coef_) < 0.5 * np.linalg.norm(loose.coef_)
    assert_allclose(tight.lambda_, 1000 / len(y))


def test_c_chosen_by_inner_validation():
    """With many columns of noise "auto" takes a stronger penalty than without, and its scores are kept."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 40)
    signal = 3.0 * np.eye(3)[y] + rng.normal(size=(120, 3))
    noisy = np.hstack([signal, rng.normal(size=(120, 200))])
    head = ECOCClassifier(C="auto", loss="squared_hinge").fit(noisy, y)
    assert min(head.C_scores_, key=lambda C: (head.C_scores_[C], C)) == head.C_
    assert len(head.C_scores_) == 11
    fixed = ECOCClassifier(C=head.C_, loss="squared_hinge").fit(noisy, y)
    assert_allclose(fixed.coef_, head.coef_, atol=1e-2 * np.abs(head.coef_).max())
    assert_allclose(fixed.predict_proba(noisy), head.predict_proba(noisy), atol=0.02)
    held_out = head.C_scores_[head.C_]
    assert 0 < held_out < max(head.C_scores_.values())


def test_c_auto_does_not_depend_on_the_scale(faces):
    """Columns times 8: C shrinks by 64, the choice is the same."""
    X, y = faces
    head = ECOCClassifier(C="auto", loss="squared_hinge", probability=False, tol=1e-4)
    one, eight = (clone(head).fit(X * scale, y) for scale in (1, 8))
    assert_allclose(eight.C_ * 64, one.C_, rtol=1e-6)
    assert_allclose(eight.coef_ * 8, one.coef_, atol=5e-2 * np.abs(one.coef_).max())


def test_two_classes_have_one_learner(faces):
    """Two classes: one learner, scores (n,), labels by sign, probabilities of both."""
    X, y = faces
    two = y != "disgust"
    head = ECOCClassifier(tol=1e-6).fit(X[two], y[two])
    assert_array_equal(head.code_matrix_, [[-1], [1]])
    scores = head.decision_function(X[two])
    exact = SVC(kernel="linear", tol=1e-6).fit(X[two], y[two])
    assert_allclose(scores, exact.decision_function(X[two]), atol=0.02)
    assert_array_equal(head.predict(X[two]), head.classes_[(scores > 0).astype(int)])
    assert head.predict_proba(X[two]).shape == (two.sum(), 2)
    turned = ECOCClassifier([[1], [-1]], tol=1e-6).fit(X[two], y[two])
    assert_allclose(turned.decision_function(X[two]), scores, atol=1e-3)
    assert_allclose(turned.predict_proba(X[two]), head.predict_proba(X[two]), atol=1e-3)


def test_class_weight_is_sample_weight(faces):
    """Class weights multiply sample weights; "balanced" finds more of the rare class."""
    X, y = faces
    by_class = ECOCClassifier(class_weight={"disgust": 5.0}, probability=False, tol=1e-7).fit(X, y)
    by_row = ECOCClassifier(probability=False, tol=1e-7).fit(X, y, sample_weight=np.where(y == "disgust", 5.0, 1.0))
    assert_allclose(by_class.coef_, by_row.coef_, atol=1e-5)
    plain = ECOCClassifier(probability=False).fit(X, y)
    balanced = clone(plain).set_params(class_weight="balanced").fit(X, y)
    assert np.sum(balanced.predict(X) == "disgust") > np.sum(plain.predict(X) == "disgust")


def test_uniform_prior_is_balanced_weights(faces):
    """A uniform prior is class_weight="balanced", whose weights sum to the number of rows too."""
    X, y = faces
    by_prior = ECOCClassifier(prior="uniform", tol=1e-7).fit(X, y)
    by_weight = ECOCClassifier(class_weight="balanced", tol=1e-7).fit(X, y)
    assert_allclose(by_prior.coef_, by_weight.coef_, atol=1e-5)
    assert_allclose(by_prior.prior_, 1 / 3)
    assert_allclose(by_prior.predict_proba(X), by_weight.predict_proba(X), atol=1e-5)


def test_cost_makes_expensive_mistakes_rare(faces):
    """If missing the rare class costs twenty times more, fewer of it are missed and the mean cost falls."""
    X, y = faces
    cost = 1 - np.eye(3)
    cost[0] *= 20  # "disgust" taken for anything else
    plain = ECOCClassifier(probability=False).fit(X, y)
    careful = ECOCClassifier(cost=cost, probability=False).fit(X, y)

    def mean_cost(head):
        true, said = (np.searchsorted(head.classes_, labels) for labels in (y, head.predict(X)))
        return cost[true, said].mean()

    missed = [np.mean(head.predict(X)[y == "disgust"] != "disgust") for head in (plain, careful)]
    assert missed[1] < missed[0]
    assert mean_cost(careful) < mean_cost(plain)
    same = ECOCClassifier(cost=7 * (1 - np.eye(3)), probability=False).fit(X, y)
    assert_allclose(same.coef_, plain.coef_, atol=1e-9)


def test_probabilities_are_calibrated(digits):
    """On unseen digits the probabilities sum to one, mostly agree with the labels, and beat a softmax of the scores."""
    X, y, Z, t = digits
    head = ECOCClassifier().fit(X, y)
    proba = head.predict_proba(Z)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert proba.min() >= 0
    assert np.mean(head.classes_[proba.argmax(axis=1)] == head.predict(Z)) > 0.97
    softmax = np.exp(head.decision_function(Z))
    assert log_loss(t, proba) < 0.9 * log_loss(t, softmax / softmax.sum(axis=1, keepdims=True))


def test_calibration_tames_overconfident_learners(digits):
    """Trees say 0 and 1; calibrated on held-out rows and coupled, their log-loss is finite and better than chance."""
    X, y, Z, t = digits
    head = ECOCClassifier("onevsone", learner=DecisionTreeClassifier(), random_state=0).fit(X, y)
    proba = head.predict_proba(Z)
    assert log_loss(t, proba) < 1.2
    assert log_loss(t, proba) < 0.5 * log_loss(t, DecisionTreeClassifier(random_state=0).fit(X, y).predict_proba(Z))


def test_calibration_uses_held_out_rows():
    """Labels that are pure noise, which the learners can memorise, get probabilities near the class shares."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 300)), rng.integers(0, 3, size=150)
    head = ECOCClassifier().fit(X, y)
    assert head.score(X, y) == 1.0
    assert head.predict_proba(X).max() < 0.6


def test_calibration_respects_groups():
    """Three identical copies of noise, one group each: with groups no row is calibrated on its own copy."""
    rng = np.random.default_rng(0)
    X, y = np.tile(rng.normal(size=(50, 100)), (3, 1)), np.tile(rng.integers(0, 2, size=50), 3)
    blind = ECOCClassifier().fit(X, y).predict_proba(X)
    aware = ECOCClassifier().fit(X, y, groups=np.tile(np.arange(50), 3)).predict_proba(X)
    assert blind.max() > 0.9
    assert aware.max() < 0.85


def test_calibration_changes_no_prediction(faces):
    """With and without probability the learners agree within tol; without it there is no predict_proba."""
    X, y = faces
    with_, without = (ECOCClassifier(probability=p, tol=1e-6).fit(X, y) for p in (True, False))
    assert_allclose(with_.coef_, without.coef_, atol=1e-3)
    assert not hasattr(without, "predict_proba")
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'"):
        without.predict_proba(X)


def test_quadratic_loss_over_calibrated_margins(digits):
    """With the quadratic loss, scores of support vector machines are their calibrated posteriors."""
    X, y, Z, t = digits
    X, y, Z, t = X[y < 5], y[y < 5], Z[t < 5], t[t < 5]
    head = ECOCClassifier("onevsone", binary_loss="quadratic").fit(X, y)
    scores = head.binary_scores(Z)
    assert scores.min() >= 0
    assert scores.max() <= 1
    margins = Z @ head.coef_.T + head.intercept_
    assert_allclose(scores, 1 / (1 + np.exp(-(margins * head.calibration_[:, 0] + head.calibration_[:, 1]))))
    assert head.score(Z, t) > 0.95
    without = clone(head).set_params(probability=False).fit(X, y)
    assert_array_equal(without.predict(Z), head.predict(Z))
    assert not hasattr(without, "predict_proba")


def test_seed_draws_the_calibration_folds(faces):
    """The same seed gives the same probabilities, None is repeatable, another seed differs a little."""
    X, y = faces
    first, again, other = (ECOCClassifier(random_state=seed).fit(X, y).predict_proba(X) for seed in (None, None, 7))
    assert_array_equal(first, again)
    assert 0 < np.abs(first - other).max() < 0.2


def test_a_class_of_one_row(faces):
    """A class with one row is trained and calibrated, with every loss of the learners; probabilities stay finite."""
    X, y = faces
    keep = np.concatenate([np.flatnonzero(y != "disgust")[:60], np.flatnonzero(y == "disgust")[:1]])
    for loss in ("hinge", "squared_hinge", "logistic"):
        for coding in ("onevsall", "onevsone"):
            proba = ECOCClassifier(coding, loss=loss).fit(X[keep], y[keep]).predict_proba(X)
            assert np.all(np.isfinite(proba))


def test_rows_without_weight_are_absent(faces):
    """Weight 0 is the same as leaving the row out, calibration and labels included."""
    X, y = faces
    weight = np.random.default_rng(0).integers(0, 2, size=len(y)).astype(float)
    weight[y == "disgust"] = 0
    head = ECOCClassifier("onevsone", tol=1e-8).fit(X, y, sample_weight=weight)
    short = ECOCClassifier("onevsone", tol=1e-8).fit(X[weight > 0], y[weight > 0])
    assert head.classes_.tolist() == ["happy", "sad"]
    assert_allclose(head.predict_proba(X), short.predict_proba(X), atol=1e-4)


def test_the_unit_of_the_weights_does_not_count(faces):
    """All weights times 1/64, and C times 64: the same learners and the same probabilities."""
    X, y = faces
    weight = np.random.default_rng(0).uniform(0, 2, size=len(y))
    one = ECOCClassifier(C=0.5).fit(X, y, sample_weight=weight)
    other = ECOCClassifier(C=32.0).fit(X, y, sample_weight=weight / 64)
    assert_allclose(other.coef_, one.coef_, rtol=1e-6, atol=1e-9)
    assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=1e-6)


def test_float32_scores_without_a_float64_copy(faces):
    """float32 rows give the scores of float64 rows, within rounding."""
    X, y = faces
    head = ECOCClassifier(probability=False).fit(X.astype(np.float32), y)
    assert_allclose(head.decision_function(X.astype(np.float32)), head.decision_function(X), atol=1e-3)


def test_stopping_early_warns(faces):
    """Too few iterations give a warning that names learner, gap and remedy; enough give none."""
    X, y = faces
    with pytest.warns(ConvergenceWarning, match=r"Learner \d stopped at a duality gap of .* tol is 1e-09. Scale the"):
        ECOCClassifier(max_iter=1, tol=1e-9, probability=False).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ECOCClassifier().fit(X, y)


def test_fit_many_equals_plain_fits(faces):
    """Jobs over rows, columns, scalings and parameters give, within tol, what one fit each gives."""
    X, y = faces
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, size=len(y))
    groups = np.arange(len(y)) // 2
    head = ECOCClassifier(tol=1e-7, max_iter=5000)
    jobs = []
    for columns, params in [
        (slice(0, 15), {}),
        (slice(3, 9), {"C": 0.1}),
        (slice(0, 15), {"coding": "onevsone", "probability": False}),
        (slice(5, 15), {"loss": "squared_hinge", "class_weight": "balanced"}),
    ]:
        rows = np.sort(rng.choice(len(y), 300, replace=False))
        part = X[rows, columns]
        jobs.append(FitJob(rows, columns, part.mean(axis=0), 1 / part.std(axis=0), params))
    together = head.fit_many(X, y, jobs, sample_weight=weight, groups=groups)
    assert len(together) == 4
    for job, found in zip(jobs, together, strict=True):
        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        plain = clone(head).set_params(**job.params).fit(Z, y[job.rows], weight[job.rows], groups[job.rows])
        assert found.get_params() == plain.get_params()
        assert found.n_features_in_ == plain.n_features_in_
        assert_allclose(found.coef_, plain.coef_, atol=1e-5 + 1e-3 * np.abs(plain.coef_).max())
        assert_array_equal(found.predict(Z), plain.predict(Z))
        assert_allclose(found.objective_, plain.objective_, rtol=1e-6)
        if plain.probability:
            assert_allclose(found.predict_proba(Z), plain.predict_proba(Z), atol=2e-3)


def test_fit_many_with_c_auto(faces):
    """ "auto" is chosen for each job from its own rows and scaling, as a plain fit does."""
    X, y = faces
    rows = np.arange(0, 300, 2)
    job = FitJob(rows, slice(2, 12), X[rows, 2:12].mean(axis=0), np.full(10, 0.5))
    head = ECOCClassifier(C="auto", loss="squared_hinge", tol=1e-6)
    found = head.fit_many(X, y, [job])[0]
    plain = clone(head).fit((X[rows, 2:12] - job.shift) * 0.5, y[rows])
    assert_allclose(found.C_, plain.C_)
    assert_allclose(list(found.C_scores_.values()), list(plain.C_scores_.values()), atol=0.01)


def test_fit_many_needs_the_joint_learner(faces):
    """The method is there for the linear learner only, and no job brings another."""
    X, y = faces
    assert hasattr(ECOCClassifier(), "fit_many")
    assert not hasattr(ECOCClassifier(learner=GaussianNB()), "fit_many")
    job = FitJob(np.arange(len(y)), slice(0, 15), np.zeros(15), np.ones(15), {"learner": GaussianNB()})
    with pytest.raises(DataError, match="A job of fit_many cannot bring a learner of its own"):
        ECOCClassifier().fit_many(X, y, [job])


def test_ordinal_labels_of_any_type(digits):
    """Numbers sort as numbers: the ordinal coding follows classes_."""
    X, y, _, _ = digits
    part = np.isin(y, (1, 5, 9))
    head = ECOCClassifier("ordinal", probability=False).fit(X[part], y[part])
    assert_array_equal(head.classes_, [1, 5, 9])
    assert_array_equal(head.code_matrix_, coding_matrix("ordinal", 3))
    assert head.score(X[part], y[part]) > 0.9


def test_progress_is_told(faces):
    """Training tells how far it is, with either kind of learner."""
    for head in (ECOCClassifier(), ECOCClassifier(learner=GaussianNB())):
        told = []
        head.fit(*faces, progress=lambda done, total, what, told=told: told.append((done, total, what)))
        assert told
        assert all(0 <= done <= total and what for done, total, what in told)
