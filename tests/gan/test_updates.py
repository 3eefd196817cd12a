"""Update rules on games with dynamics in closed form."""

from functools import partial

import pytest
import torch
from torch import Tensor

from gaussgan.data.loader import Batch
from gaussgan.evaluation.spectrum import update_jacobian
from gaussgan.gan.module import GAN
from gaussgan.gan.objectives import Minimax, NonSaturating, Objective, Wasserstein
from gaussgan.gan.optimizers import SGD, Adam
from gaussgan.gan.output_penalties import Consistency
from gaussgan.gan.penalties import R1, R2, Penalty
from gaussgan.gan.player import Player
from gaussgan.gan.updates import Alternating, Consensus, Extragradient, Optimistic, Simultaneous, Update, start
from gaussgan.networks import Linear, Location
from gaussgan.reproduce.games import Point
from gaussgan.rng import stream


def bilinear_game(step: float, momentum: float = 0.0, optimizer: type = SGD) -> tuple[Player, Player]:
    """min over x, max over y of x·y, from near its equilibrium 0."""
    x, y = Point(0.0), Point(0.0)
    sgd = partial(optimizer, lr=step, momentum=momentum)
    return Player(x, lambda _: x.value * y.value, sgd), Player(y, lambda _: -x.value * y.value, sgd)


def radius(matrix: Tensor) -> float:
    return torch.linalg.eigvals(matrix).abs().max().item()


@pytest.mark.parametrize(
    "update, momentum, moduli",
    [
        (Simultaneous(), 0.0, (1.004988, 1.044031)),
        (Optimistic(), 0.0, (0.994936, 0.948683)),
        (Extragradient(), 0.0, (0.995038, 0.958175)),
        (Alternating(), 0.0, (1.0, 1.0)),
        (Alternating(generator_first=True), 0.0, (1.0, 1.0)),
        (Alternating(), -0.5, (0.998518, 0.986609)),
        (Consensus(1.0), 0.0, (0.905539, 0.761577)),  # |1 − η ± i η|, as in docs/pieces.md
    ],
)
@pytest.mark.parametrize("i", [0, 1])
def test_bilinear_game(update: Update, momentum: float, moduli: tuple[float, float], i: int) -> None:
    """The moduli are those of Gidel et al. 2019, arXiv 1802.10551 and 1807.04740, at steps 0.1 and 0.3."""
    game = bilinear_game(step=(0.1, 0.3)[i], momentum=momentum)
    assert radius(update_jacobian(update, *game, None)) == pytest.approx(moduli[i], abs=1e-6)


@pytest.mark.parametrize("update", [Alternating(), Simultaneous(), Optimistic()])
def test_the_momentum_of_torchs_optimizers_counts_too(update: Update) -> None:
    games = (bilinear_game(0.1, 0.5, optimizer) for optimizer in (SGD, torch.optim.SGD))
    ours, theirs = (radius(update_jacobian(update, *game, None)) for game in games)
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert ours != pytest.approx(radius(update_jacobian(update, *bilinear_game(0.1), None)), abs=1e-3)


def dirac_gan(objective: Objective, rule: Update, *penalties: Penalty, h: float = 0.2) -> GAN:
    """Return the Dirac-GAN at its equilibrium: data at 0, a generator at θ, and D(x) = ψx.

    D's learning rate is 2h, because its loss is half of the literature's. Mescheder, Geiger, Nowozin 2018, arXiv
    1801.04406, section 2.
    """
    theta = Location(1, 1, std=0.0, rng=stream(0, "init")).double()
    psi = Linear(1, 1, std=0.0, rng=stream(0, "init"), bias=False).double()
    gan = GAN(theta, psi, objective, rule, partial(SGD, lr=2 * h), partial(SGD, lr=h), penalties)
    gan.configure_optimizers()
    return gan


ZERO = torch.zeros(1, 1, dtype=torch.float64)
BATCH = Batch(real=ZERO, latent=ZERO, mix=ZERO)


def jacobian(gan: GAN, batch: Batch = BATCH) -> Tensor:
    return update_jacobian(gan.update, gan.discriminator_player, gan.generator_player, batch)


@pytest.mark.parametrize(
    "objective, gamma, simultaneous, alternating",
    [
        (Minimax(), 0.0, 1.004988, 1.0),
        (NonSaturating(), 0.0, 1.004988, 1.0),
        (Wasserstein(), 0.0, 1.019804, 1.0),
        *(
            (objective, *row)
            for objective in (Minimax(), NonSaturating())
            for row in ((0.3, 0.974679, 0.969536), (1.0, None, 0.927016), (2.0, 0.973205, 0.973955))
        ),
    ],
)
@pytest.mark.parametrize("penalty", [R1, R2])
def test_dirac_gan(
    objective: Objective, gamma: float, simultaneous: float | None, alternating: float, penalty: type
) -> None:
    """The moduli follow from the eigenvalues of the flow in the paper's appendix. The next test is for None."""
    for rule, modulus in (
        (Simultaneous(), simultaneous),
        (Alternating(), alternating),
        (Alternating(generator_first=True), alternating),
    ):
        if modulus is not None:
            assert radius(jacobian(dirac_gan(objective, rule, penalty(gamma)))) == pytest.approx(modulus, abs=1e-6)


def test_consistency_acts_like_r1() -> None:
    """On D(x) = ψ x it is γ std² δ² ψ². With δ² = 1 this is R1 with the weight 2 γ std²."""
    zero = torch.zeros(2, 1, dtype=torch.float64)
    batch = Batch(zero, zero, zero, perturbation=torch.tensor([[1.0], [-1.0]], dtype=torch.float64))
    for rule in (Simultaneous(), Alternating()):
        ours = jacobian(dirac_gan(Minimax(), rule, Consistency(0.6, std=0.5)), batch)
        theirs = jacobian(dirac_gan(Minimax(), rule, R1(0.3)), batch)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("objective", [Minimax(), NonSaturating()])
@pytest.mark.parametrize("penalty", [R1, R2])
def test_at_the_critical_weight_the_eigenvalues_meet(objective: Objective, penalty: type) -> None:
    """Both eigenvalues are 0.9. Their errors are as large as the root of the matrix's; sum and product are exact."""
    matrix = jacobian(dirac_gan(objective, Simultaneous(), penalty(1.0)))
    assert matrix.trace().item() == pytest.approx(0.9 + 0.9, abs=1e-8)
    assert matrix.det().item() == pytest.approx(0.9 * 0.9, abs=1e-8)


@pytest.mark.parametrize(
    "rule, modulus",
    [(Consensus(1.0), 0.955249), (Consensus(1.0, alternating=True), 0.95), (Consensus(0.0), 1.004988)],
)
@pytest.mark.parametrize("objective", [Minimax(), NonSaturating()])
def test_consensus_on_the_dirac_gan(objective: Objective, rule: Consensus, modulus: float) -> None:
    assert radius(jacobian(dirac_gan(objective, rule))) == pytest.approx(modulus, abs=1e-6)


def test_the_measured_contraction_rate_is_the_spectral_radius() -> None:
    gan = dirac_gan(Wasserstein(), Simultaneous())
    discriminator, generator = gan.discriminator_player, gan.generator_player
    generator.theta.fill_(1.0)
    for _ in range(100):
        gan.update(discriminator, generator, BATCH)
    r = torch.hypot(discriminator.theta, generator.theta).item()
    assert r ** (1 / 100) == pytest.approx(1.019804, abs=1e-6)


@pytest.mark.parametrize("make", [Alternating, Simultaneous, Extragradient, Optimistic, Consensus])
def test_every_rule_works_with_adam(make: type) -> None:
    """This convex-concave game has one equilibrium, 0. Every rule converges to it with Adam."""
    x, y = Point(1.0), Point(-1.0)
    adam = partial(Adam, lr=0.01)
    first = Player(x, lambda _: x.value.square() / 2 + x.value * y.value / 4, adam)
    second = Player(y, lambda _: y.value.square() / 2 - x.value * y.value / 4, adam)
    rule = make()
    memory = start(rule, first, second)
    for _ in range(2000):
        rule(first, second, None, *memory)
    assert max(first.theta.abs().item(), second.theta.abs().item()) < 1e-3


def test_the_optimistic_rule_extrapolates_the_gradient_after_the_first_step() -> None:
    first, second = bilinear_game(step=0.1)
    first.theta.fill_(1.0)
    second.theta.fill_(2.0)
    memory = start(Optimistic(), first, second)
    x, y, past_x, past_y = 1.0, 2.0, 2.0, -1.0  # gradients of the first step: y and −x
    for _ in range(3):
        Optimistic()(first, second, None, *memory)
        (x, y), past_x, past_y = (x - 0.1 * (2 * y - past_x), y + 0.1 * (2 * x + past_y)), y, -x
        assert (first.theta.item(), second.theta.item()) == pytest.approx((x, y), abs=1e-12)


def test_each_d_step_has_its_own_examples() -> None:
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
