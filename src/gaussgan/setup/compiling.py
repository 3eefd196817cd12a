"""Choose the mode of a run, compiled or eager, and compile the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pytorch_lightning import Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy

from gaussgan.compile.errors import NotCompiled
from gaussgan.config.compile_mode import MODES, chosen_by_auto, planned_length, typed_mode
from gaussgan.config.errors import ConfigError
from gaussgan.data.datamodule import DataModule
from gaussgan.data.source import counted
from gaussgan.gan.compiled import compile_gan
from gaussgan.gan.cuda_graphs import CudaGraphIterations
from gaussgan.gan.module import GAN
from gaussgan.runs.checkpoint import expecting_checkpoint, read_checkpoint
from gaussgan.setup.cores import threads_for

PRECISIONS = ("None", "32", "32-true", "64", "64-true")


class CannotCompile(ConfigError):
    """A run that must be compiled cannot be compiled. The attribute `reason` is a line without the key."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Mode(NamedTuple):
    """The mode of a run.

    Attributes:
        value: "on" or "off".
        kept: the path of the checkpoint whose mode it is; None for a new run.
        fixed: False if the run may be eager where it cannot be compiled.
        note: a line for the log, or None.
    """

    value: str
    kept: str | None = None
    fixed: bool = True
    note: str | None = None


def choose_mode(config: Mapping[str, Any]) -> Mode:
    """Return the mode of a run. With compile=auto, a resumed run keeps the mode of its checkpoint.

    Args:
        config: the run's configuration as plain dicts and lists, with interpolations resolved.

    Raises:
        ConfigError: when the checkpoint or the data cannot be read, or when the configuration asks for an explanation.
    """
    asked, path = typed_mode(config["compile"]), config["ckpt_path"]
    if asked == "explain":
        raise ConfigError("compile must be auto, on or off here: explain works for one run on the command line")
    if asked in MODES:
        return Mode(asked)
    alone = chosen_by_auto([planned_length(counted(config))])
    if path is None:
        return Mode(alone, fixed=False)
    try:
        with expecting_checkpoint(path):
            kept = read_checkpoint(path)["config"].get("compile", alone)  # `check_checkpoint` refuses an older one
            if kept not in MODES:
                raise ValueError(f"compile must be on or off (got {kept})")
    except ConfigError as error:
        raise ConfigError(f"ckpt_path: {error}") from error
    note = f"compile={kept}, as in the checkpoint; for a new run, auto chooses {alone}" if kept != alone else None
    return Mode(kept, path, note=note)


def compile_run(mode: Mode, gan: GAN, data: DataModule, trainer: Trainer, build: bool = True) -> Mode:
    """Compile a run if its mode is "on". Return its mode, which is "off" if it cannot be compiled and need not be.

    Args:
        build: false to check only that the run can be compiled.

    Raises:
        CannotCompile: when the run must be compiled, but cannot be.
    """
    if mode.value == "off":
        return mode
    try:
        for reason in _obstacles(gan.config, trainer):
            raise NotCompiled(reason)
        if (device := trainer.strategy.root_device).type == "cuda":
            if build:
                gan.train_block = CudaGraphIterations(gan, data.example_batches(), device)
        else:
            compile_gan(gan, data.example_batches(), threads_for(gan.replicas, gan.config["threads"]), build)
    except NotCompiled as error:
        reason = str(error)
        if mode.kept is not None:
            line = f"compile: {mode.kept} comes from a compiled run, which must stay compiled, but {reason}"
            raise CannotCompile(line, reason) from error
        if mode.fixed:
            raise CannotCompile(f"compile must be off for this run, because {reason} (got on)", reason) from error
        return mode._replace(value="off", note=f"compile=off, because {reason}")
    return mode


def _obstacles(config: Mapping[str, Any], trainer: Trainer) -> Iterator[str]:
    """Yield the settings of the trainer because of which a run cannot be compiled, as the end of a sentence."""
    if trainer.world_size > 1:
        yield f"trainer.devices={trainer.world_size} divides it among processes"
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        yield f"trainer.strategy={config['trainer'].get('strategy')} starts processes"
    if (device := trainer.strategy.root_device.type) not in ("cpu", "cuda"):
        yield f"it trains on the device {device}"
    if str(precision := config["trainer"].get("precision")) not in PRECISIONS:
        yield f"its precision is {precision}"
    if config["trainer"].get("detect_anomaly"):
        yield "trainer.detect_anomaly=true watches each operation"
