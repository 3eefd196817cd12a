"""Update rules on games whose dynamics are known in closed form."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gaussgan.game.player import Player
from gaussgan.game.spectrum import update_jacobian
from gaussgan.game.updates import Alternating, Consensus, Extragradient, Optimistic, Simultaneous, Update
from gaussgan.optimizers import SGD, Adam


class Point(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value], dtype=torch.float64))


def bilinear_game(step: float, momentum: float = 0.0) -> tuple[Player, Player]:
    """min over x, max over y of x·y, from near its equilibrium 0."""
    x, y = Point(0.0), Point(0.0)
    sgd = partial(SGD, lr=step, momentum=momentum)
    return Player(x, lambda _: x.value * y.value, sgd), Player(y, lambda _: -x.value * y.value, sgd)


def radius(update: Update, first: Player, second: Player) -> float:
    return torch.linalg.eigvals(update_jacobian(update, first, second, None)).abs().max().item()


@pytest.mark.parametrize(
    "update, momentum, moduli",
    [
        (Simultaneous(), 0.0, (1.004988, 1.044031)),
        (Optimistic(), 0.0, (0.994936, 0.948683)),
        (Extragradient(), 0.0, (0.995038, 0.958175)),
        (Alternating(), 0.0, (1.0, 1.0)),
        (Alternating(generator_first=True), 0.0, (1.0, 1.0)),
        (Alternating(), -0.5, (0.998518, 0.986609)),
    ],
)
@pytest.mark.parametrize("i", [0, 1])
def test_bilinear_game(update: Update, momentum: float, moduli: tuple[float, float], i: int) -> None:
    """Gidel et al. 2019, arXiv 1802.10551 and 1807.04740, at steps 0.1 and 0.3."""
    game = bilinear_game(step=(0.1, 0.3)[i], momentum=momentum)
    assert radius(update, *game) == pytest.approx(moduli[i], abs=1e-6)


def dirac_gan(kind: str, gamma: float, h: float = 0.2) -> tuple[Player, Player]:
    """Data at 0, a generator at θ, D(x) = ψx, at the equilibrium; D's loss is half of the literature's.

    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, section 2.
    """
    theta, psi = Point(0.0), Point(0.0)
    losses = {
        "minimax": (lambda t: (softplus(t) + softplus(0 * t)) / 2, lambda t: -softplus(t)),
        "nonsaturating": (lambda t: (softplus(t) + softplus(0 * t)) / 2, lambda t: softplus(-t)),
        "wasserstein": (lambda t: t / 2, lambda t: -t),
    }[kind]

    def discriminator_loss(_: None) -> Tensor:
        return losses[0](psi.value * theta.value) + gamma / 4 * psi.value.square()

    return (
        Player(psi, discriminator_loss, partial(SGD, lr=2 * h), scale=2),
        Player(theta, lambda _: losses[1](psi.value * theta.value), partial(SGD, lr=h)),
    )


@pytest.mark.parametrize(
    "kind, gamma, simultaneous, alternating",
    [
        ("minimax", 0.0, 1.004988, 1.0),
        ("nonsaturating", 0.0, 1.004988, 1.0),
        ("wasserstein", 0.0, 1.019804, 1.0),
        ("minimax", 0.3, 0.974679, 0.969536),
        ("minimax", 1.0, 0.9, 0.927016),
        ("minimax", 2.0, 0.973205, 0.973955),
        ("nonsaturating", 0.3, 0.974679, 0.969536),
        ("nonsaturating", 2.0, 0.973205, 0.973955),
    ],
)
def test_dirac_gan(kind: str, gamma: float, simultaneous: float, alternating: float) -> None:
    """The moduli that follow from the eigenvalues of the flow in the paper's appendix."""
    # At the critical γ the two eigenvalues meet, where each moves as the root of an error.
    tolerance = 1e-4 if gamma == 1.0 else 1e-6
    assert radius(Simultaneous(), *dirac_gan(kind, gamma)) == pytest.approx(simultaneous, abs=tolerance)
    for rule in (Alternating(), Alternating(generator_first=True)):
        assert radius(rule, *dirac_gan(kind, gamma)) == pytest.approx(alternating, abs=1e-6)


def test_consensus_on_the_dirac_gan() -> None:
    assert radius(Consensus(1.0), *dirac_gan("minimax", 0.0)) == pytest.approx(0.955249, abs=1e-6)
    assert radius(Consensus(1.0, alternating=True), *dirac_gan("minimax", 0.0)) == pytest.approx(0.95, abs=1e-6)
    assert radius(Consensus(0.0), *dirac_gan("minimax", 0.0)) == pytest.approx(1.004988, abs=1e-6)


def test_a_contraction_rate_measured_is_the_spectral_radius() -> None:
    discriminator, generator = dirac_gan("wasserstein", 0.0)
    generator.theta.fill_(1.0)
    for _ in range(100):
        Simultaneous()(discriminator, generator, None)
    r = torch.hypot(discriminator.theta, generator.theta).item()
    assert r ** (1 / 100) == pytest.approx(1.019804, abs=1e-6)


@pytest.mark.parametrize("make", [Alternating, Simultaneous, Extragradient, Optimistic, Consensus])
def test_any_rule_moves_by_adam(make: type) -> None:
    """A convex-concave game has one equilibrium, 0, to which every rule converges, by Adam as by gradient steps."""
    x, y = Point(1.0), Point(-1.0)
    adam = partial(Adam, lr=0.01)
    first = Player(x, lambda _: x.value.square() / 2 + x.value * y.value / 4, adam)
    second = Player(y, lambda _: y.value.square() / 2 - x.value * y.value / 4, adam)
    rule = make()
    for _ in range(2000):
        rule(first, second, None)
    assert max(first.theta.abs().item(), second.theta.abs().item()) < 1e-3


def test_d_steps_are_on_examples_of_their_own() -> None:
    from gaussgan.loader import Batch

    seen: list[tuple[str, list[float]]] = []
    x, y = Point(0.0), Point(0.0)

    def loss(name: str, point: Point) -> object:
        def record(batch: Batch) -> Tensor:
            seen.append((name, batch.real.flatten().tolist()))
            return point.value.square()

        return record

    sgd = partial(SGD, lr=0.1)
    rows = torch.arange(6.0).unsqueeze(-1)
    batch = Batch(rows, rows, rows)
    Alternating(d_steps=3)(Player(x, loss("d", x), sgd), Player(y, loss("g", y), sgd), batch)  # type: ignore[arg-type]
    assert seen == [("d", [0, 1]), ("d", [2, 3]), ("d", [4, 5]), ("g", [4, 5])]


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"d_steps must be at least 1 \(got 0\)"):
        Alternating(d_steps=0)
    with pytest.raises(ValueError, match=r"weight must be at least 0 \(got -1\)"):
        Consensus(-1)
