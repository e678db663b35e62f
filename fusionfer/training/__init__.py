"""Trains networks end to end, by recipes: the torch and Lightning room above `fusionfer.networks`.

- ``_recipe``: what decides how a network is trained, read strictly from a short file
- ``_data``, ``_pictures``: which faces train, tune and are scored; their pixels in memory
- ``_batches``, ``_augmentation``: what an epoch shows, by seed, epoch and sample; changed copies of a batch
- ``_schedules``: learning rate, best epoch and early stop, as functions of the step and the history
- ``_learner``, ``_fitting``: one step and one epoch; Lightning's trainer, from the last finished epoch on
- ``_ranks``, ``_rank``: several processes that share each batch, one for each device; what one of them does
- ``_predicting``, ``_evaluating``: what trained networks say of faces; its figures
- ``_run``, ``_train``, ``_reporting``: one network with one optimizer; several side by side; their pages
"""

from fusionfer.training._evaluating import NetworksEvaluation, evaluate_networks
from fusionfer.training._predicting import TTA, predict_network
from fusionfer.training._recipe import OPTIMIZERS, RECIPES, Recipe, Settings, as_value, read_recipe
from fusionfer.training._reporting import comparison_tables
from fusionfer.training._run import TrainedNetwork
from fusionfer.training._train import TrainingResult, train

__all__ = [
    "OPTIMIZERS",
    "RECIPES",
    "TTA",
    "NetworksEvaluation",
    "Recipe",
    "Settings",
    "TrainedNetwork",
    "TrainingResult",
    "as_value",
    "comparison_tables",
    "evaluate_networks",
    "predict_network",
    "read_recipe",
    "train",
]
