"""Complete runs of the Dirac-GAN agree with the paper: Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from gaussgan.callbacks.trajectory import trajectory_of
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
ALTERNATING = "update.generator_first=true"  # as in the paper
SIMULTANEOUS = "update=simultaneous"
NO_PICTURES = ("~callbacks.pictures", "~callbacks.spectrum")


def starting(r: float) -> list[str]:
    """Return overrides for a start in the paper's direction, at θ = r and ψ = −r."""
    return [f"generator.mean={r}", f"discriminator.mean={-r}"]


# This close to the equilibrium, the game is linear to twelve digits.
NEAR = (*starting(1e-6), "trainer.max_epochs=1")


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides, update, r",
    [
        (["objective=minimax"], SIMULTANEOUS, 3.097),
        (["objective=minimax"], ALTERNATING, 1.421),
        (["objective=nonsaturating"], SIMULTANEOUS, 6.402e-1),
        (["objective=nonsaturating"], ALTERNATING, 2.839e-1),
        (["objective=minimax", "penalty=r1", "penalty.weight=0.3"], SIMULTANEOUS, 2.643e-6),
        (["objective=minimax", "penalty=r1", "penalty.weight=0.3"], ALTERNATING, 2.301e-7),
        (["objective=minimax", "penalty=r1", "penalty.weight=1"], SIMULTANEOUS, 9.529e-22),
        (["objective=minimax", "penalty=r1", "penalty.weight=1"], ALTERNATING, 7.481e-17),
        # Not in the paper, but in docs/pieces.md: D moves first.
        (["objective=nonsaturating"], "update=alternating", 2.706e-1),
        (["objective=minimax", "penalty=r1", "penalty.weight=1"], "update=alternating", 8.489e-17),
    ],
)
def test_distance_from_the_equilibrium_after_500_iterations(
    compose: Compose, overrides: list[str], update: str, r: float
) -> None:
    cfg = compose("experiment=dirac", *overrides, update, *NO_PICTURES, "data.steps_per_execution=50")
    train(cfg)
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert record["iterations"] == 500
    assert record["val/distance"] == pytest.approx(r, rel=1e-3, abs=0)  # the paper's four digits


def path(compose: Compose, *overrides: str) -> Tensor:
    """Return (θ, ψ) of a run at its start and after each iteration, [n + 1, 2]."""
    gan, data, trainer = assemble(compose("experiment=dirac", *NO_PICTURES, "~logger", *overrides))
    trainer.fit(gan, data)
    return torch.stack(trajectory_of(trainer))


def test_a_resumed_run_has_the_whole_path(compose: Compose) -> None:
    def trajectory(*overrides: str) -> Tensor:
        cfg = compose("experiment=dirac", "~callbacks.spectrum", *overrides)
        train(cfg)
        return torch.load(Path(cfg.run_dir) / "checkpoints" / "last.ckpt")["trajectory"]

    first = trajectory("trainer.max_steps=5")
    run = compose("experiment=dirac").run_dir
    both = trajectory("trainer.max_steps=10", f"ckpt_path={run}/checkpoints/last.ckpt")
    assert (len(first), len(both)) == (6, 11)
    assert torch.equal(both[:6], first)


def measured_rate(points: Tensor) -> float:
    """Return the factor by which an iteration changes the distance in the long run.

    It is the spectral radius of the linear map from each point of a path to the next point, by least squares. All
    points have the same weight, at any distance.
    """
    lengths = points[:-1].norm(dim=-1, keepdim=True)
    step = torch.linalg.lstsq(points[:-1] / lengths, points[1:] / lengths, rcond=1e-8, driver="gelsd").solution
    return torch.linalg.eigvals(step).abs().max().item()


REGULARISED = [("0.3", 0.974679, 0.969536), ("1", 0.9, 0.927016), ("2", 0.973205, 0.973955)]


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides, simultaneous, alternating",
    [
        (["objective=minimax"], 1.004988, 1.0),
        (["objective=nonsaturating"], 1.004988, 1.0),
        (["objective=wasserstein"], 1.019804, 1.0),
        *(([f"penalty={p}", f"penalty.weight={w}"], *moduli) for p in ("r1", "r2") for w, *moduli in REGULARISED),
    ],
    ids=str,
)
def test_contraction_rate(compose: Compose, overrides: list[str], simultaneous: float, alternating: float) -> None:
    """Without a penalty no game converges. With R1 or R2 every game converges."""
    assert measured_rate(path(compose, *overrides, SIMULTANEOUS, *NEAR)) == pytest.approx(simultaneous, abs=1e-6)
    for rule in (ALTERNATING, "update=alternating"):
        assert measured_rate(path(compose, *overrides, rule, *NEAR)) == pytest.approx(alternating, abs=1e-6)


# D is 0 at the data and ψθ at a generated example. Near ψθ = 0 the literature's gradients are c_D θ and −c_G ψ.
SLOPES = {  # objective → c_D c_G
    "fgan_kl": math.exp(-2),  # 2 L_D = exp(ψθ − 1) = −L_G
    "fgan_kl objective.alternative=true": math.exp(-1),  # L_G = −ψθ
    "fgan_reverse_kl": 1.0,  # 2 L_D = ψθ = 1 − L_G
    "fgan_reverse_kl objective.alternative=true": 1.0,  # L_G = exp(−ψθ)
    "fgan_js": 1 / 4,  # 2 L_D = log(1 + exp(ψθ)) = −L_G, up to constants
    "fgan_js objective.alternative=true": 1 / 4,
    "relativistic_average": 1.0,  # 2 L_D = 2 log(1 + exp(ψθ)), L_G = 2 log(1 + exp(−ψθ))
    "relativistic_average_least_squares": 16.0,  # 2 L_D = 2 (1 + ψθ)², L_G = 2 (1 − ψθ)²
}


@pytest.mark.every_second
@pytest.mark.parametrize("objective", SLOPES)
def test_contraction_rate_of_other_objectives(compose: Compose, objective: str) -> None:
    """A simultaneous step of size 0.2 has the eigenvalues 1 ± 0.2 i √(c_D c_G). Alternating steps only rotate."""
    overrides = [*f"objective={objective}".split(), *starting(1e-20), "trainer.max_epochs=1"]
    simultaneous = math.hypot(1, 0.2 * math.sqrt(SLOPES[objective]))
    assert measured_rate(path(compose, *overrides, SIMULTANEOUS)) == pytest.approx(simultaneous, abs=1e-6)
    assert measured_rate(path(compose, *overrides, ALTERNATING)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_contraction_rate_of_consensus(compose: Compose, objective: str) -> None:
    recipe = (f"objective={objective}", "update=consensus", "update.weight=1", *NEAR)
    assert measured_rate(path(compose, *recipe)) == pytest.approx(0.955249, abs=1e-6)
    assert measured_rate(path(compose, *recipe, "update.alternating=true")) == pytest.approx(0.95, abs=1e-6)


def test_each_iteration_changes_the_distance_by_the_rate(compose: Compose) -> None:
    """An iteration that only rotates and scales multiplies r by the modulus."""
    for overrides, rate in (
        (["objective=wasserstein", SIMULTANEOUS], 1.019804),
        (["objective=minimax", "update=consensus", "update.weight=1"], 0.955249),
    ):
        r = path(compose, *overrides, *NEAR).norm(dim=-1)
        torch.testing.assert_close(r[1:] / r[:-1], torch.full_like(r[1:], rate), rtol=0, atol=1e-6)


@pytest.mark.parametrize("update, radius", [(SIMULTANEOUS, 0.973205), (ALTERNATING, 0.973955)])
def test_the_spectral_radius_that_is_logged(compose: Compose, update: str, radius: float) -> None:
    """At γ = 2 the eigenvalues are real, and the second is much smaller."""
    cfg = compose("experiment=dirac", "penalty=r1", "penalty.weight=2", update, "~callbacks.pictures", *NEAR)
    train(cfg)
    values = [event.value for event in EventAccumulator(cfg.run_dir).Reload().Scalars("game/spectral_radius")]
    assert values == pytest.approx([radius] * len(values), abs=1e-6)


@pytest.mark.parametrize("start", [0.3, 1.0])
def test_the_non_saturating_game_settles_on_a_circle(compose: Compose, start: float) -> None:
    """Simultaneous steps end on a circle of radius √(2h), from inside and from outside, up to O(h²)."""
    points = path(compose, "objective=nonsaturating", SIMULTANEOUS, *starting(start), "trainer.max_epochs=15")
    turn = points[-63:].norm(dim=-1)  # one turn: an iteration rotates by h f'(0) = 0.1
    assert turn.mean().item() == pytest.approx(0.4**0.5, rel=2e-3)
    torch.testing.assert_close(turn, torch.full_like(turn, 0.4**0.5), rtol=2e-2, atol=0)


@pytest.mark.parametrize("penalty", ["wgan_lp", "lecam"])
def test_penalties_that_vanish_near_the_equilibrium(compose: Compose, penalty: str) -> None:
    """WGAN-LP is 0 where |ψ| < 1. LeCam's averages are 0 and ψθ, so it is of the fourth order."""
    rate = measured_rate(path(compose, "objective=minimax", f"penalty={penalty}", SIMULTANEOUS, *NEAR))
    assert rate == pytest.approx(1.004988, abs=1e-6)


@pytest.mark.every_second
@pytest.mark.parametrize("update", [SIMULTANEOUS, ALTERNATING])
@pytest.mark.parametrize("start", [1e-6, 1.0])
@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_a_gradient_of_norm_1_does_not_converge(compose: Compose, name: str, update: str, start: float) -> None:
    """The penalty is smallest at |ψ| = 1, not at the equilibrium. So the game leaves the equilibrium."""
    penalty = ("objective=wasserstein", f"penalty={name}", "penalty.weight=0.3", "trainer.max_epochs=5")
    assert path(compose, *penalty, update, *starting(start))[-125:].norm(dim=-1).min() > 1


@pytest.mark.parametrize("update", [SIMULTANEOUS, "update=consensus"])
@pytest.mark.parametrize("noise, farthest", [(0.0, 1e-4), (0.1, 0.2)])
def test_r2_converges_up_to_instance_noise(compose: Compose, update: str, noise: float, farthest: float) -> None:
    """Here the generated examples are a view of θ, and the penalty differentiates D with respect to them."""
    recipe = ("penalty=r2", "penalty.weight=1", f"data.instance_noise={noise}", "trainer.max_epochs=5")
    assert path(compose, *recipe, update)[-50:].norm(dim=-1).max() < farthest
