"""A launcher for Hydra, named "vectorized". It trains the jobs of a sweep together if they differ only in numbers.

Hydra imports this file at every start, so slow imports are inside functions. This file must not have `from __future__
import annotations`. With this import, the decorator `dataclass` would look up this module in sys.modules, but Hydra
does not add the module there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class VectorizedConf:
    _target_: str = "hydra_plugins.gaussgan_vectorized.VectorizedLauncher"
    max_replicas: Any = 1024  # `setup` checks the value


ConfigStore.instance().store(group="hydra/launcher", name="vectorized", node=VectorizedConf, provider="gaussgan")


class VectorizedLauncher(Launcher):
    """Run the jobs of a sweep. Jobs that differ only in numbers are trained together, and draw no figures.

    All other jobs are run one after the other, as by Hydra's basic launcher.

    Args:
        max_replicas: the largest number of jobs that are trained together; None for no limit. If more jobs could be
            trained together, they are divided into several groups. The groups are trained one after the other.
    """

    def __init__(self, max_replicas: int | None) -> None:
        self.max_replicas = max_replicas

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from gaussgan.config.errors import ConfigError
        from gaussgan.config.schema import or_null, whole
        from gaussgan.sweep.composing import Composer

        text, holds = or_null(whole(1))
        if not holds(self.max_replicas):
            raise ConfigError(f"hydra.launcher.max_replicas must be {text} (got {self.max_replicas})")
        # The sweeper composes every job with the same context, so the new loader makes the sweeper faster, too.
        hydra_context.config_loader = Composer(hydra_context.config_loader)  # type: ignore[assignment]
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from gaussgan.sweep.vectorized import Sweep

        return Sweep(self.context, self.task, self.config).launch(job_overrides, initial_job_idx, self.max_replicas)
