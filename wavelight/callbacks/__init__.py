"""Callbacks: EMA, checkpoints, sample grids, evaluation, speed."""

from wavelight.callbacks.acceleration import Acceleration
from wavelight.callbacks.checkpointing import BestCheckpoint, LastCheckpoint
from wavelight.callbacks.ema import ExponentialMovingAverage
from wavelight.callbacks.evaluation import Evaluation
from wavelight.callbacks.sample_grid import SampleGrid
from wavelight.callbacks.throughput import Throughput

__all__ = [
    "Acceleration",
    "BestCheckpoint",
    "Evaluation",
    "ExponentialMovingAverage",
    "LastCheckpoint",
    "SampleGrid",
    "Throughput",
]
