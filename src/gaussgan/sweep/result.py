"""The result of a job of a sweep."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict, read_write


def _copied(name: str, kept: Callable[[Any], bool]) -> Any:
    """Return a property of `Result`: those sections of its `source` for which `kept` returns true."""

    def read(result: Result) -> DictConfig | None:
        if vars(result)[name] is None and result.source is not None:
            config: DictConfig = pickle.loads(pickle.dumps(result.source))  # faster than a deep copy
            with read_write(config), open_dict(config):
                for key in [key for key in config if not kept(key)]:
                    del config[key]
            vars(result)[name] = config
        value: DictConfig | None = vars(result)[name]
        return value

    return property(read, lambda result, value: vars(result).update({name: value}))


class Result(JobReturn):
    """The result of a job, as Hydra's launchers return it. The value of a failed job is infinity.

    In Hydra's class, reading the value of a failed job raises the error of the job. Hydra's sweeper would then stop,
    and leave out the jobs of its next batch.

    The job's configuration and Hydra's are copied from `source` when they are first read.
    """

    source: DictConfig | None = None
    cfg = _copied("cfg", lambda key: key != "hydra")
    hydra_cfg = _copied("hydra_cfg", lambda key: key == "hydra")

    @property
    def return_value(self) -> Any:
        return self._return_value if self.status == JobStatus.COMPLETED else math.inf

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value
