"""Check a search before its first run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution

from gaussgan.config.check import unknown_key
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.search.jobs import Composed, Jobs
from gaussgan.search.space import Space

AVERAGE = "ema_half_life"


def check_space(space: Space, jobs: Jobs, default: Composed) -> None:
    """Check that all keys of a search space exist, and that the choices of a config group are its options.

    Raises:
        ConfigError: for the first key or choice that does not exist.
    """
    choices = default.composed.hydra.runtime.choices
    for key, distribution in space.distributions.items():
        if key in choices:
            options = jobs.options(key)
            given = distribution.choices if isinstance(distribution, CategoricalDistribution) else [distribution]
            for choice in given:
                if choice not in options:
                    raise ConfigError(f"{key} must be one of {', '.join(options)} (got {choice})")
        elif not (key.startswith("+") or default.has(key) or _is_conditional(key, space, jobs)):
            raise unknown_key(key, default.composed)


def _is_conditional(key: str, space: Space, jobs: Jobs) -> bool:
    """Return whether a key exists for some choice of a config group that is searched: penalty.weight for penalty=r1."""
    group = key.partition(".")[0]
    choices = space.distributions.get(group)
    if not isinstance(choices, CategoricalDistribution):
        return False
    return any(jobs.choose((*space.fixed, f"{group}={choice}")).has(key) for choice in choices.choices)


def check_objectives(objectives: Sequence[str], space: Space, default: Composed) -> list[str]:
    """Check that a run of the default recipe has a value for each objective. The objects of a run are made for this.

    Return the names of the objectives for people, such as "median val/w2".

    Raises:
        ConfigError: when an objective is unknown, or when the default recipe cannot be trained.
    """
    averages = [each for each in objectives if "_ema" in each]
    if AVERAGE in space.distributions and not averages:
        raise ConfigError(
            f"{AVERAGE} must not be searched for these hydra.sweeper.objectives: it affects only keys such as"
            f" val/w2_ema_median (got [{','.join(objectives)}])"
        )
    from gaussgan.callbacks.evaluation import evaluation_of  # imports torch, so the other checks come first
    from gaussgan.evaluation.scores import score
    from gaussgan.search.outcomes import SCORE, known_objectives
    from gaussgan.setup.assemble import assemble

    with tempfile.TemporaryDirectory() as directory:
        callbacks = {"evaluation": default.config["callbacks"]["evaluation"]}
        average = {AVERAGE: 1.0} if AVERAGE in space.distributions else {}
        # The jobs may run on other machines, so the check needs no accelerator.
        trainer = {**default.config["trainer"], "accelerator": "cpu", "devices": 1, "strategy": "auto"}
        config = {**default.config, **average, "callbacks": callbacks, "logger": None, "run_dir": directory}
        config["compile"] = "off"  # the mode is chosen later
        gan, data, made = assemble(OmegaConf.create({**config, "trainer": trainer, "replicas": 2}))
        metrics = evaluation_of(made).metrics(gan, data)
    known = known_objectives(metrics)
    for objective in objectives:
        if objective not in known:
            hint = did_you_mean(objective, known) or f"; choose from {', '.join(known)}"
            raise ConfigError(f"hydra.sweeper.objectives: a run has no {objective}{hint}")
    return [f"median {score(dict.fromkeys(metrics, 0.0))}" if each == SCORE else each for each in objectives]
