"""A program of several trials has replicas with the settings of each trial, once for each seed."""

from collections.abc import Callable

import pytest

pytest.importorskip("optuna")

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gaussgan.config.per_replica import of_replica, seeds
from gaussgan.search.trials import programs

pytestmark = pytest.mark.extra


def test_replicas_are_the_trials_with_each_seed(compose: Callable[..., DictConfig]) -> None:
    trials = {
        i: ["trainer.max_epochs=2", f"optimizer_d.lr={lr}", f"optimizer_g.betas.0={beta}", *more]
        for i, (lr, beta, more) in enumerate(
            [(0.01, 0.5, []), (0.02, 0.9, []), (0.01, 0.5, ["update=simultaneous"]), (0.03, 0.1, [])]
        )
    }

    def plain(lines: list[str]) -> dict[str, object]:
        config = OmegaConf.to_container(compose(*lines), resolve=True)
        assert isinstance(config, dict)
        return {str(key): value for key, value in config.items()}

    found = programs({i: plain(lines) for i, lines in trials.items()}, trials, [5, 6])
    assert [program.trials for program in found] == [[0, 1, 3], [2]]
    parser = OverridesParser.create()
    for program in found:
        assert len({parser.parse_override(line).key_or_group for line in program.overrides}) == len(program.overrides)
        joint = plain(program.overrides)
        assert seeds(joint) == [5, 6] * len(program.trials)
        for i, trial in enumerate(program.trials):
            for j, seed in enumerate([5, 6]):
                assert of_replica(joint, 2 * i + j) == plain([*trials[trial], f"seed={seed}"])


def test_one_trial_with_one_seed_is_a_single_run() -> None:
    assert programs({0: {"seed": 0, "replicas": 1}}, {0: ["a=1"]}, [3])[0].overrides == ["a=1", "seed=3"]
