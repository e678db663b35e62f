"""Parameters that mean nothing, or contradict each other."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads.ecoc import ECOCClassifier
from fusionfer.heads.ecoc._parameters import check_parameters, loss_name


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "hinge"),
        ({"loss": "squared_hinge"}, "hinge"),
        ({"loss": "logistic"}, "quadratic"),
        ({"learner": LogisticRegression()}, "quadratic"),
        ({"learner": SVC()}, "hinge"),
        ({"learner": SVC(), "binary_loss": "linear"}, "linear"),
    ],
)
def test_binary_loss_goes_with_the_scores(parameters, name):
    """Posteriors take the quadratic loss, margins the hinge, unless a loss is named."""
    head = ECOCClassifier(**parameters)
    check_parameters(head)
    assert loss_name(head) == name


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"C": -1, "tol": "x"},
            r"C must be 'auto' or a finite number above 0, got -1; tol must be a finite number above 0, got 'x'\.$",
        ),
        ({"C": "automatic"}, "C must be 'auto' or .*, got 'automatic'"),
        ({"C": np.inf}, "got inf"),
        ({"C": np.nan}, "got nan"),
        ({"max_iter": 0}, "max_iter must be a whole number of at least 1, got 0"),
        ({"max_learners": 10.0}, "max_learners must be a whole number of at least 1, got 10.0"),
        ({"class_weight": "balanced", "prior": "uniform"}, "prior would undo class_weight"),
        ({"learner": LogisticRegression(), "C": 2.0, "loss": "logistic"}, "loss, C belong to the linear learner"),
    ],
)
def test_wrong_numbers_and_contradictions(parameters, words):
    """Each is named, all at once."""
    with pytest.raises(DataError, match=words):
        check_parameters(ECOCClassifier(**parameters))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"coding": "onevsal"}, "Unknown coding 'onevsal'.*Did you mean 'onevsall'"),
        ({"decoding": "weighted"}, "Unknown decoding 'weighted'"),
        ({"loss": "hing"}, "Unknown loss 'hing'.*Did you mean 'hinge'"),
        ({"binary_loss": "logit"}, "Unknown binary loss 'logit'.*Did you mean 'logistic'"),
    ],
)
def test_unknown_names(parameters, words):
    """Names that do not exist are errors with the closest one."""
    with pytest.raises(UnknownNameError, match=words):
        check_parameters(ECOCClassifier(**parameters))
