"""The settings of a run do not depend on its directory."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from gaussgan.config.recipe import fingerprint, settings


def test_a_callback_in_the_directory_of_the_run(compose: Callable[..., DictConfig]) -> None:
    def settings_in(name: str, *overrides: str) -> dict[str, Any]:
        cfg = compose(*overrides, name=name)
        with open_dict(cfg.callbacks):
            cfg.callbacks.mine = {"_target_": "mine.Mine", "paths": ["${run_dir}/a", {"b": "${run_dir}"}]}
        return settings(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]

    one, two = settings_in("1"), settings_in("2")
    assert fingerprint(one) == fingerprint(two)
    assert one["callbacks.mine.paths"] == ["${run_dir}/a", {"b": "${run_dir}"}]
    assert fingerprint(one) != fingerprint(settings_in("1", "seed=1"))
