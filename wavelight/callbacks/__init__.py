"""Callbacks: EMA, checkpoints, warnings, sample grids, evaluation, speed, learning rates, progress."""

from wavelight.callbacks.acceleration import Acceleration
from wavelight.callbacks.checkpointing import BestCheckpoint, LastCheckpoint
from wavelight.callbacks.collapse import CollapseWarning
from wavelight.callbacks.ema import ExponentialMovingAverage
from wavelight.callbacks.evaluation import Evaluation
from wavelight.callbacks.learning_rates import LearningRates
from wavelight.callbacks.progress_lines import ProgressLines
from wavelight.callbacks.sample_grid import SampleGrid
from wavelight.callbacks.throughput import Throughput

__all__ = [
    "Acceleration",
    "BestCheckpoint",
    "CollapseWarning",
    "Evaluation",
    "ExponentialMovingAverage",
    "LastCheckpoint",
    "LearningRates",
    "ProgressLines",
    "SampleGrid",
    "Throughput",
]
