"""What happens around training: evaluation, pictures, checkpoints, the record, the progress bar.

The numbers that a callback logs come from `evaluation`; the files that it writes are described in `runs`.
"""

from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.pictures import Pictures
from gaussgan.callbacks.record import Record
from gaussgan.callbacks.trajectory import Trajectory

__all__ = ["Checkpoints", "Evaluation", "LearningRateMonitor", "Pictures", "Record", "Trajectory"]
