"""Callbacks around training: evaluation, pictures, checkpoints, the record and the progress bar.

The package `evaluation` computes the numbers that these callbacks log. The package `runs` defines the files that they
write.
"""

from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.pictures import Pictures
from gaussgan.callbacks.record import Record
from gaussgan.callbacks.trajectory import Trajectory

__all__ = ["Checkpoints", "Evaluation", "LearningRateMonitor", "Pictures", "Record", "Trajectory"]
