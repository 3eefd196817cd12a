import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from gaussgan import load_run
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.two_sample import Accuracy
from gaussgan.runs.evaluate import Verdict, compare, measure, smallest_rejected_n
from gaussgan.runs.record import read_record
from gaussgan.train import train


def test_measures_agree_with_the_record_and_a_difference_is_detected(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("data.num_examples=40", "trainer.max_epochs=2", "ema_half_life=3", "~callbacks.pictures")
    train(cfg)
    run = load_run(cfg.run_dir)
    record = read_record(run.directory)
    expected = {name: pytest.approx(record[name], rel=1e-6) for name in ("val/w2", "val/kl", "val/w2_ema", "mle/w2")}
    assert measure(run) == expected
    verdicts = list(compare(run, sizes=(50, 200), permutations=19))
    assert smallest_rejected_n(verdicts) == 50  # after ten iterations the difference is large
    assert verdicts[1].best is not None
    assert verdicts[1].best.value > 0.95


def test_a_singular_distribution_has_no_likelihood_ratio(compose: Callable[..., DictConfig]) -> None:
    flat = ("data.distribution.A=[[1,2]]", "data.distribution.b=[0,0]", "data.num_examples=16")
    cfg = compose(*flat, "trainer.max_epochs=1", "~callbacks.pictures")
    train(cfg)
    (verdict,) = compare(load_run(cfg.run_dir), sizes=(50,), permutations=19)
    assert verdict.best is None


def test_no_difference_is_detected_at_the_truth(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures")
    train(cfg)
    run = load_run(cfg.run_dir)
    with torch.no_grad():
        run.generator.weight.copy_(run.distribution.A.T)
        run.generator.bias.copy_(run.distribution.mean)
    assert measure(run)["val/w2"] < 1e-6
    assert smallest_rejected_n(list(compare(run, sizes=(100, 1000)))) is None


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides",
    [
        ["data=ring", "generator=mlp", "ema_half_life=5"],
        ["data=low_rank"],
        ["experiment=dirac", "trainer.max_steps=5"],
        ["generator=mlp", "generator.batch_norm=true"],
    ],
    ids=" ".join,
)
def test_a_run_on_any_distribution_is_measured_again(compose: Callable[..., DictConfig], overrides: list[str]) -> None:
    cfg = compose("data.num_examples=40", "trainer.max_epochs=2", "trainer.precision=64-true", *overrides)
    train(cfg)
    run, record = load_run(cfg.run_dir), read_record(Path(cfg.run_dir))
    measured = measure(run)
    assert {name: record[name] for name in measured} == {
        name: None if not math.isfinite(value) else pytest.approx(value, rel=1e-6) for name, value in measured.items()
    }
    (verdict,) = compare(run, sizes=[100])
    assert verdict.best is None
    if run.generator_ema is not None:
        evaluator = Evaluator(run.distribution, run.config["data"]["latent_dim"], seed=0)
        value = evaluator.distances(run.generator_ema)["val/sliced_w2"].item()
        assert value == pytest.approx(record["val/sliced_w2_ema"], rel=1e-6)
        assert value != record["val/sliced_w2"]


def test_detection_needs_a_p_value() -> None:
    nothing = Accuracy(0.5, 0.0, 1.0)
    assert smallest_rejected_n([Verdict(100, 1.0, 0.01, nothing, None)]) == 100
    assert smallest_rejected_n([Verdict(100, math.nan, math.nan, nothing, None)]) is None


def test_a_diverged_run_is_called_diverged(compose: Callable[..., DictConfig], evaluated: Callable[..., str]) -> None:
    cfg = compose("optimizer_g.lr=1e38", "~callbacks.pictures")
    train(cfg)
    output = evaluated(cfg.run_dir)
    assert "is not finite at iteration" in output
    assert "the numbers below are from the last checkpoint before that" in output
