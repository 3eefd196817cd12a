"""Lightning callbacks that measure, draw, save and record a run, and show its progress.

The package `evaluation` computes the numbers that these callbacks log. The package `runs` defines the format of the
files that these callbacks write.
"""

from gaussgan.callbacks.animation import Animation
from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.frames import Frames
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.pictures import Pictures
from gaussgan.callbacks.record import Record
from gaussgan.callbacks.trajectory import Trajectory

__all__ = [
    "Animation",
    "Checkpoints",
    "Evaluation",
    "Frames",
    "LearningRateMonitor",
    "Pictures",
    "Record",
    "Trajectory",
]
