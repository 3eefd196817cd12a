"""hydra/launcher=vectorized: a sweep's jobs that differ in numbers alone are trained together.

Hydra imports this file whenever it starts: what is heavy is imported when there is something to launch. It does so
before the module is in sys.modules, where a dataclass would look for annotations that are text.
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
    max_replicas: Any = 1024  # of one group, a larger one is cut; setup says what it may be


ConfigStore.instance().store(group="hydra/launcher", name="vectorized", node=VectorizedConf, provider="gaussgan")


class VectorizedLauncher(Launcher):
    """Leaves and returns what Hydra's basic launcher would, but for the figures of jobs that are trained together."""

    def __init__(self, max_replicas: int | None) -> None:
        self.max_replicas = max_replicas

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from gaussgan.config.errors import ConfigError
        from gaussgan.config.schema import or_null, whole
        from gaussgan.sweep.composing import Composer

        text, holds = or_null(whole(1))
        if not holds(self.max_replicas):
            raise ConfigError(f"hydra.launcher.max_replicas must be {text} (got {self.max_replicas})")
        # The sweeper, which composes every job as well, has the same context.
        hydra_context.config_loader = Composer(hydra_context.config_loader.get_search_path())
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from gaussgan.sweep.vectorized import Sweep

        return Sweep(self.context, self.task, self.config).launch(job_overrides, initial_job_idx, self.max_replicas)
