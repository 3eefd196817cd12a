"""The programs that `make benchmark` compares with gaussgan train the same game."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from conftest import PATIENCE, ROOT
from gaussgan import load_run, simulate
from gaussgan.data.distributions import AffineGaussian
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.networks.build import build_networks
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

sys.path.append(str(ROOT / "scripts"))
from benchmarks.distance import statistics, w2
from benchmarks.limit import compiler


def layers(network: nn.Module) -> Any:
    """Return the parameters of a network as the port in JAX holds them: a weight and a bias for each layer."""
    values = [value.detach().double().numpy() for value in network.parameters()]
    return list(zip(values[::2], values[1::2], strict=True))


@pytest.mark.extra
def test_jax_follows_the_eager_run(compose: Callable[..., DictConfig]) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    from benchmarks.jax_port import BATCH, State, iteration, player

    cfg = compose("trainer.precision=64-true", "seed=3", "trainer.max_epochs=1", "~callbacks.pictures")
    networks, (_, data, _) = build_networks(cfg, dim=2), assemble(cfg)
    state = State(*(player(jax.tree.map(jax.numpy.asarray, layers(networks[name]))) for name in State._fields))
    batches = [each.double().numpy().reshape(-1, BATCH, 2) for each in data.draw(0)[:2]]
    state, losses = jax.lax.scan(iteration, state, tuple(batches))
    train(cfg)
    run = load_run(cfg.run_dir)
    assert len(losses[0]) == run.iterations == 125
    for name in State._fields:
        moved = getattr(state, name).network
        for ours, theirs in zip(layers(getattr(run, name)), moved, strict=True):
            np.testing.assert_allclose(theirs[0], ours[0], rtol=0, atol=1e-10)
            np.testing.assert_allclose(theirs[1], ours[1], rtol=0, atol=1e-10)


@pytest.fixture(scope="module")
def ours() -> dict[str, float]:
    runs = simulate(seeds=range(1000))
    losses = (runs.measures[f"train/loss_{player}"][:, -1] for player in "dg")
    return statistics(runs.parameters["generator.weight"], runs.parameters["generator.bias"], *losses)


@pytest.mark.extra
@pytest.mark.parametrize("program", ["jax_port", "limit"])
def test_a_thousand_seeds_end_alike(program: str, ours: dict[str, float]) -> None:
    """The tolerances are four standard errors of a difference: the two sides draw different numbers."""
    if program == "jax_port":
        pytest.importorskip("jax")
    elif not compiler():
        pytest.skip("there is no C compiler")
    command = [sys.executable, "-m", f"benchmarks.{program}", "--replicas=1000"]
    process = subprocess.run(
        command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    theirs = json.loads(process.stdout)
    for name, tolerance in {"w2_median": 0.04, "w2_p90": 0.08, "share_log2": 0.08}.items():
        assert theirs[name] == pytest.approx(ours[name], abs=tolerance), name


def test_the_distance_is_that_of_the_template() -> None:
    weights, biases = torch.randn(9, 2, 2).double(), torch.randn(9, 2).double()
    truth = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2])
    expected = gaussian_w2(biases, weights @ weights.mT, truth.mean, truth.cov)
    np.testing.assert_allclose(w2(weights, biases), expected, rtol=1e-6)


@pytest.mark.extra
def test_a_section_of_the_benchmark_runs(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/benchmark.py", "--rounds=1", "--only=loops", "--also=objective=hinge"]
    process = subprocess.run(
        [*command, f"--json={tmp_path / 'numbers.json'}"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    loops = json.loads((tmp_path / "numbers.json").read_text())["loops"]
    assert loops.keys() == {"textbook", "naive Lightning", "gaussgan", "objective=hinge"}
    assert all(row["examples/s"][0] > 0 for row in loops.values())
    assert all(name in process.stdout for name in loops)
