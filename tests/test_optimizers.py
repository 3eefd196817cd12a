import pytest
import torch

from gaussgan.optimizers import SGD, Adam, Cosine, Linear
from gaussgan.streams import normal, stream


@pytest.mark.parametrize(
    "ours, theirs, kwargs",
    [
        (Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6}),
        (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.0}),
        (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    ],
)
def test_it_is_torchs(ours: type, theirs: type, kwargs: dict) -> None:
    gradients = normal(50, 20, generator=stream(0, "test")).double()
    thetas = []
    for make in (ours, theirs):
        thetas.append(torch.zeros(20, dtype=torch.float64))
        optimizer = make([thetas[-1]], **kwargs)
        for gradient in gradients:
            thetas[-1].grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(*thetas, rtol=1e-12, atol=1e-12)


def test_its_state_goes_on_where_it_was_saved() -> None:
    gradients = normal(10, 5, generator=stream(0, "test"))

    def steps(theta: torch.Tensor, optimizer: Adam, part: slice) -> None:
        for gradient in gradients[part]:
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
