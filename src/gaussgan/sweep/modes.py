"""Choose one mode, compiled or eager, for all jobs of a sweep, so that they can be compared."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import env_override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gaussgan.config.compile_mode import MODES, chosen_by_auto, planned_length, typed_mode
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import may_vary, structure
from gaussgan.config.recipe import recipe
from gaussgan.runs.directory import run_directories
from gaussgan.runs.record import read_record
from gaussgan.sweep.jobs import Job, hydra_config

log = logging.getLogger(__name__)


class Kind(NamedTuple):
    """Runs that differ only in numbers that may differ between replicas.

    Attributes:
        config: the configuration of one of them, including Hydra's own.
        runs: the number of runs.
        name: what the log calls them.
    """

    config: DictConfig
    runs: int
    name: str


def settle_modes(jobs: Sequence[Job], sweep: Path, trying: bool) -> None:
    """In the configurations of a sweep's jobs, replace compile=auto by the mode that all of these jobs have.

    A job with compile=on or compile=off keeps its own.

    Args:
        sweep: the directory of the sweep.
        trying: whether to try to compile the jobs; see `mode_of`.

    Raises:
        ConfigError: when a job asks for an explanation.
    """
    typed = {job: typed_mode(OmegaConf.select(job.config, "compile")) for job in jobs}
    if "explain" in typed.values():
        raise ConfigError("compile must be auto, on or off in a sweep (got explain): leave out -m to explain one run")
    auto = [job for job, mode in typed.items() if mode == "auto"]
    mode = mode_of(_kinds(auto), [*_starts(auto), *run_directories(sweep)], trying) if auto else None
    for job, own in typed.items():
        if own in ("auto", *MODES):  # otherwise it is wrong, and the job reports that
            with read_write(job.config), open_dict(job.config):
                job.config.compile = mode if own == "auto" else own


def mode_of(kinds: Sequence[Kind], past: Iterable[Path], trying: bool) -> str:
    """Return the mode of runs that share one.

    It is the mode of the runs that are there already. If there are none, `auto` chooses from the lengths of all runs.
    If it chooses "on", but one of the runs cannot be compiled, then all are eager.

    Args:
        kinds: the runs.
        past: the directories of the runs that are there.
        trying: whether to try to compile one run of each kind. If not, all are taken for runs that can be compiled.
    """
    chosen = chosen_by_auto(_lengths(kinds))
    if (kept := next(_modes(past), None)) is not None:
        if kept != chosen:
            log.info("compile=%s, as in the runs of this sweep that are there; now, auto would choose %s", kept, chosen)
        return kept
    if chosen == "on" and trying:
        different: dict[str, Kind] = {}
        for kind in kinds:
            different.setdefault(_shape(kind), kind)
        for kind in different.values():
            if reason := _why_not(kind.config):
                log.info("compile=off for all runs, because %s cannot be compiled: %s", kind.name, reason)
                return "off"
        log.info("compile=on for all runs, because together they are long enough")
    return chosen


def _kinds(jobs: Sequence[Job]) -> list[Kind]:
    """Divide jobs into kinds. Jobs of a sweep differ in nothing but their overrides."""
    kinds: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        others = tuple(line for line in job.overrides if not may_vary(line.partition("=")[0].lstrip("+")))
        kinds.setdefault(others, []).append(job)
    return [Kind(members[0].config, len(members), f"#{members[0].number}") for members in kinds.values()]


def _lengths(kinds: Sequence[Kind]) -> Iterator[tuple[int, int]]:
    for kind in kinds:
        with suppress(Exception):  # the configuration is wrong, and the job reports that
            config: Any = kind.config
            if OmegaConf.select(config, "data.num_examples") is None:
                from gaussgan.data.source import counted  # it imports torch

                config = counted(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
            replicas, iterations = planned_length(config)
            yield kind.runs * replicas, iterations


def _starts(jobs: Sequence[Job]) -> Iterator[Path]:
    """Yield the directories of the runs that some jobs resume."""
    for job in jobs:
        if path := OmegaConf.select(job.config, "ckpt_path"):
            yield Path(str(path)).absolute().parents[1]


def _modes(directories: Iterable[Path]) -> Iterator[str]:
    """Yield the modes of those runs whose modes are known."""
    for directory in directories:
        with suppress(ConfigError):
            settings = read_record(directory).get("settings")
            if isinstance(settings, dict) and (mode := settings.get("compile")) in MODES:
                yield mode


def _shape(kind: Kind) -> str:
    """Return a text that is equal for two kinds if one of them can be compiled only if the other can."""
    config: Any = OmegaConf.to_container(kind.config, resolve=False)
    return structure(recipe(config))


def _why_not(config: DictConfig) -> str | None:
    """Return why a run cannot be compiled; None if it can, or if it cannot be made, which the job itself reports."""
    from gaussgan.setup.compiling import CannotCompile  # these import torch
    from gaussgan.setup.explain import try_to_compile
    from gaussgan.train import freeze_once

    freeze_once()  # what is made from here on can be freed
    try:
        with hydra_config(config), env_override(config.hydra.job.env_set):
            try_to_compile(config, build=False)
    except CannotCompile as error:
        return error.reason
    except Exception:
        log.debug("it cannot be made", exc_info=True)
    finally:
        gc.collect()
    return None
