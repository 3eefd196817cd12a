"""Find the configuration files, and let Hydra compose configurations from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase

from gaussgan.config.errors import ConfigError


@contextmanager
def composing(directory: Path) -> Iterator[None]:
    """Inside a with block, let Hydra compose configurations from a directory, also if Hydra is already in use."""
    before, version = copy(GlobalHydra.instance()), copy(VersionBase.instance())
    GlobalHydra.instance().clear()
    name = JobRuntime.instance().get("name")
    try:
        with hydra.initialize_config_dir(str(directory), job_name=name, version_base="1.3"):
            yield
    finally:
        GlobalHydra.set_instance(before)
        VersionBase.set_instance(version)
        JobRuntime.instance().set("name", name)


def conf_directory() -> Path:
    """Return the directory of the configuration files: in the installed package, or in the repository."""
    package = Path(__file__).resolve().parents[1]
    candidates = (package / "conf", package.parents[1] / "conf")
    for directory in candidates:
        if (directory / "train.yaml").exists():
            return directory
    raise ConfigError(f"the configuration files are missing: there is no {candidates[0]} and no {candidates[1]}")
