"""The launchers of this project for Hydra.

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
class BasicConf:
    _target_: str = "hydra_plugins.gaussgan_launchers.SweepLauncher"
    max_replicas: Any = 1  # `setup` checks the values
    dry_run: Any = False


# It replaces Hydra's own launcher of this name, which cannot go on with a sweep. A file in conf/ could not replace it.
ConfigStore.instance().store(group="hydra/launcher", name="basic", node=BasicConf, provider="gaussgan")


class SweepLauncher(Launcher):
    """Run the jobs of a sweep, and go on with a sweep that was stopped.

    Args:
        max_replicas: the largest number of jobs that are trained together; None for no limit. Jobs that differ only in
            numbers can be trained together, and then draw no figures. With 1, each job is trained alone.
        dry_run: whether to list what would be run, go on, or be skipped, and to do nothing.
        settings: the settings of the executor.
    """

    def __init__(self, max_replicas: int | None, dry_run: bool, **settings: Any) -> None:
        self.max_replicas, self.dry_run, self.settings = max_replicas, dry_run, settings

    def executor(self) -> Any:
        """Return the executor that runs the jobs; see `gaussgan.sweep.executors`."""
        from gaussgan.sweep.executors.inline import Inline

        return Inline(self.settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from gaussgan.sweep import sweep
        from gaussgan.sweep.composing import Composer

        sweep.check_options(self.max_replicas, self.dry_run)
        executor = self.executor()
        executor.check()
        # The sweeper composes every job with the same context, so the new loader makes the sweeper faster, too.
        hydra_context.config_loader = Composer(hydra_context.config_loader)  # type: ignore[assignment]
        self.sweep = sweep.begin(hydra_context, task_function, config, executor, self.max_replicas, self.dry_run)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self.sweep.launch(job_overrides, initial_job_idx)


class JoblibLauncher(SweepLauncher):
    """Run the tasks of a sweep on the cores of this machine."""

    def executor(self) -> Any:
        from gaussgan.sweep.executors.cores import Cores

        return Cores(self.settings)


class LocalLauncher(SweepLauncher):
    """Run the tasks of a sweep as processes of this machine, with time limits as on a SLURM cluster."""

    def executor(self) -> Any:
        from gaussgan.sweep.executors.slurm import Local

        return Local(self.settings)


class SlurmLauncher(SweepLauncher):
    """Run the tasks of a sweep as jobs of a SLURM cluster."""

    def executor(self) -> Any:
        from gaussgan.sweep.executors.slurm import Slurm

        return Slurm(self.settings)


class RayLauncher(SweepLauncher):
    """Run the tasks of a sweep on a Ray cluster."""

    def executor(self) -> Any:
        from gaussgan.sweep.executors.ray_cluster import RayCluster

        return RayCluster(self.settings)
