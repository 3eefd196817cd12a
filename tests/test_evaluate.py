from collections.abc import Callable

import torch
from omegaconf import DictConfig

from gaussgan import load_run
from gaussgan.directory import read_record
from gaussgan.evaluate import compare, measure, told_apart_from
from gaussgan.train import train


def test_a_run_is_measured_as_its_record_says_and_told_apart(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("data.num_examples=40", "trainer.max_epochs=2", "~callbacks.pictures")
    train(cfg)
    run = load_run(cfg.run_dir)
    record = read_record(run.directory)
    assert measure(run) == {name: record[name] for name in ("val/w2", "val/kl", "mle/w2")}
    verdicts = list(compare(run, sizes=(50, 200), permutations=19))
    assert told_apart_from(verdicts) == 50  # after ten iterations anybody sees it
    assert verdicts[1].best is not None
    assert verdicts[1].best.value > 0.95


def test_a_singular_law_has_no_likelihood_ratio(compose: Callable[..., DictConfig]) -> None:
    flat = ("data.distribution.A=[[1,2]]", "data.distribution.b=[0,0]", "data.num_examples=16")
    cfg = compose(*flat, "trainer.max_epochs=1", "~callbacks.pictures")
    train(cfg)
    (verdict,) = compare(load_run(cfg.run_dir), sizes=(50,), permutations=19)
    assert verdict.best is None


def test_the_truth_is_not_told_apart(compose: Callable[..., DictConfig]) -> None:
    cfg = compose("data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures")
    train(cfg)
    run = load_run(cfg.run_dir)
    with torch.no_grad():
        run.generator.weight.copy_(run.distribution.A.T)
        run.generator.bias.copy_(run.distribution.mean)
    assert measure(run)["val/w2"] < 1e-6
    assert told_apart_from(list(compare(run, sizes=(100, 1000)))) is None
