"""Which mode `auto` chooses follows from the numbers in the configuration."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from conftest import composed
from gaussgan.config.check import check
from gaussgan.config.compile_mode import chosen_by_auto, planned_length, typed_mode
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import differences, recipe


def plain(*overrides: str) -> Any:
    return OmegaConf.to_container(composed("run_dir=.", *overrides), resolve=True)


@pytest.mark.parametrize(
    ("lengths", "mode"),
    [
        ([(1, 2_500)], "off"),  # the default run
        ([(1, 9_999)], "off"),
        ([(1, 10_000)], "on"),
        ([(39, 2_500)], "off"),
        ([(40, 2_500)], "on"),
        ([(1, 2_500)] * 39, "off"),
        ([(1, 2_500)] * 40, "on"),
        ([(1, 1), (1, 10_000)], "on"),
        ([], "off"),
    ],
)
def test_auto_compiles_what_is_long_alone_or_in_sum(lengths: list[tuple[int, int]], mode: str) -> None:
    assert chosen_by_auto(lengths) == mode


@pytest.mark.parametrize(
    ("overrides", "length"),
    [
        ([], (1, 2_500)),
        (["replicas=7", "trainer.max_epochs=3"], (7, 375)),
        (["trainer.max_steps=99"], (1, 99)),
        (["trainer.max_epochs=null", "trainer.max_steps=9999"], (1, 9_999)),
        (["data.num_examples=1010", "update.d_steps=5"], (1, 20 * 26)),
        (["trainer.fast_dev_run=true"], (1, 1)),
        (["trainer.fast_dev_run=200"], (1, 125)),
    ],
)
def test_the_length_of_a_run_is_known_from_its_configuration(overrides: list[str], length: tuple[int, int]) -> None:
    from gaussgan.data.iterations import iteration_limits
    from gaussgan.setup.assemble import assemble

    assert planned_length(plain(*overrides)) == length
    _, data, trainer = assemble(composed("run_dir=.", "logger=none", *overrides))
    assert min(iteration_limits(trainer, data).values()) == length[1]


@pytest.mark.parametrize("mode", ["auto", "on", "off", "explain"])
def test_a_mode_that_was_typed_is_a_text(mode: str) -> None:
    check(cfg := composed(f"compile={mode}"))
    assert cfg.compile == mode


@pytest.mark.parametrize(("text", "mode"), [("on", "on"), ("off", "off"), ("true", "on"), ("'on'", "on")])
def test_a_mode_in_a_yaml_file_may_be_a_boolean(text: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"compile: {text}")
    cfg = OmegaConf.merge(composed("run_dir=."), OmegaConf.load(tmp_path / "a.yaml"))
    check(cfg)  # type: ignore[arg-type]
    assert typed_mode(cfg.compile) == mode
    assert recipe(OmegaConf.to_container(cfg, resolve=True))["compile"] == mode  # type: ignore[arg-type]
    assert not differences(plain(f"compile={mode}"), OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["yes", "1", "fast", "null", "[on]", "0"])
def test_other_modes_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^compile must be auto, on, off or explain \(got "):
        check(composed(f"compile={value}"))


def test_the_mode_affects_the_result_and_the_number_of_threads_does_not() -> None:
    assert differences(plain("compile=on"), plain("compile=off", "threads=2")) == {"compile": ("on", "off")}
