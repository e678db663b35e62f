"""From pictures and a model to labels and probabilities."""

from fusionfer.prediction._classifier import Classifier
from fusionfer.prediction._faces import find_preparation
from fusionfer.prediction._networks import load_networks
from fusionfer.prediction._predict import Predictions, predict

__all__ = ["Classifier", "Predictions", "find_preparation", "load_networks", "predict"]
