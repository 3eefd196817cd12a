"""What happens around the training loop: evaluation, pictures, checkpoints and the run's record."""

from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.pictures import Pictures
from gaussgan.callbacks.record import Record
from gaussgan.callbacks.trajectory import Trajectory

__all__ = ["Checkpoints", "Evaluation", "LearningRateMonitor", "Pictures", "Record", "Trajectory"]
