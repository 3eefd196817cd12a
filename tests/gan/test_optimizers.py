import pytest
import torch

from gaussgan.gan.optimizers import SGD, Adam, OptimisticAdam, RMSprop
from gaussgan.gan.schedules import Cosine, Linear
from gaussgan.rng import normal, stream


@pytest.mark.parametrize(
    "ours, theirs, kwargs",
    [
        (Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6}),
        (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.0}),
        (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
        (RMSprop, torch.optim.RMSprop, {"lr": 0.05, "alpha": 0.9, "eps": 1e-6}),
    ],
)
def test_it_equals_torchs(ours: type, theirs: type, kwargs: dict) -> None:
    gradients = normal(50, 20, generator=stream(0, "test")).double()
    thetas = []
    for make in (ours, theirs):
        thetas.append(torch.zeros(20, dtype=torch.float64))
        optimizer = make([thetas[-1]], **kwargs)
        for gradient in gradients:
            thetas[-1].grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(*thetas, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "make, numbers",
    [
        (Adam, {"lr": [0.05, 0.1, 1e-3], "betas": ([0.9, 0.0, 0.5], [0.99, 0.999, 0.9]), "eps": [1e-8, 1e-4, 0.0]}),
        (
            OptimisticAdam,
            {"lr": [0.05, 0.1, 1e-3], "betas": ([0.9, 0.0, 0.5], [0.99, 0.999, 0.9]), "eps": [1e-8, 1e-4, 0.0]},
        ),
        (RMSprop, {"lr": [0.05, 0.1, 1e-3], "alpha": [0.9, 0.99, 0.5], "eps": [1e-8, 1e-4, 0.1]}),
        (SGD, {"lr": [0.05, 0.1, 1e-3], "momentum": [0.9, 0.0, -0.5]}),
    ],
)
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_replicas_may_have_different_hyperparameters(make: type, numbers: dict, decay: float) -> None:
    def entry(value, i):
        return tuple(beta[i] for beta in value) if isinstance(value, tuple) else value[i]

    def tensor(value):
        return (
            tuple(map(tensor, value))
            if isinstance(value, tuple)
            else torch.tensor(value, dtype=torch.float64).unsqueeze(-1)
        )

    def run(theta, gradients, numbers):
        optimizer = make([theta], **numbers)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: decay**i)
        for gradient in gradients:
            theta.grad = gradient
            optimizer.step()
            schedule.step()
        return theta

    gradients = normal(20, 3, 5, generator=stream(0, "test")).double()
    together = run(torch.zeros(3, 5).double(), gradients, {key: tensor(value) for key, value in numbers.items()})
    for i in range(3):
        alone = run(torch.zeros(5).double(), gradients[:, i], {key: entry(v, i) for key, v in numbers.items()})
        torch.testing.assert_close(together[i], alone, rtol=1e-9, atol=1e-12)


def test_it_resumes_from_a_saved_state() -> None:
    gradients = normal(10, 5, generator=stream(0, "test"))

    def steps(theta: torch.Tensor, optimizer: Adam, chunk: slice) -> None:
        for gradient in gradients[chunk]:
            theta.grad = gradient
            optimizer.step()

    whole = torch.zeros(5)
    steps(whole, Adam([whole], lr=0.1), slice(None))
    split = torch.zeros(5)
    first = Adam([split], lr=0.1)
    steps(split, first, slice(4))
    second = Adam([split], lr=0.1)
    second.load_state_dict(first.state_dict())
    steps(split, second, slice(4, None))
    assert torch.equal(whole, split)


def test_schedules() -> None:
    assert [Linear(end=0.2)(t) for t in (0, 0.5, 1)] == pytest.approx([1, 0.6, 0.2])
    theta = torch.zeros(1)
    optimizer = torch.optim.SGD([theta], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
    for i in range(11):
        assert Cosine(end=0.1)(i / 10) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
