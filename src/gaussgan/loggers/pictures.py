"""Log a picture to any logger that accepts pictures."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger


def log_picture(logger: Logger, tag: str, image: Any, step: int) -> None:
    """Log a picture to a logger. If the logger does not accept pictures, do nothing.

    Args:
        tag: the name of the picture in the log.
        image: the picture's RGB values, an array of shape [height, width, 3].
        step: the iteration that the picture shows.
    """
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(tag, image, step, dataformats="HWC")
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, image, key=tag, step=step)
    elif log_image := getattr(logger, "log_image", None):
        log_image(tag, [image], step=step)
