"""The functions of floats in lanes.h, against mpmath: errors in ulp, and the ends of the range.

An ulp is the distance between two neighbouring floats at the exact value.
"""

import math
from collections.abc import Callable

import mpmath
import pytest
import torch
from running import change, compiled
from torch import Tensor

INF, NAN = math.inf, math.nan
TINY = torch.finfo(torch.float32).tiny  # 2^-126; smaller numbers are flushed to 0
FUNCTIONS = ("exp", "log", "log1p", "tanh", "sigmoid")
EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}
BOUNDS = {"exp": 1, "log": 0.8, "log1p": 0.8, "tanh": 4.2, "sigmoid": 2.5}  # of the errors on 10⁵ floats


def points(name: str, n: int) -> Tensor:
    """Floats all over the domain: on a grid, at random, and with all exponents."""
    rng = torch.Generator().manual_seed(1)
    low, high = {"exp": (-87.3, 88.7), "tanh": (-9, 9), "sigmoid": (-87, 88)}.get(name, (1e-3, 100))
    exponents = torch.empty(n, dtype=torch.float64).uniform_(-126, 6 if name in ("exp", "tanh", "sigmoid") else 127.9)
    powers = 2 ** exponents.uniform_(float(exponents.min()), float(exponents.max()), generator=rng)
    x = [torch.linspace(low, high, n, dtype=torch.float64), powers, 1 + torch.randn(n, generator=rng) * 1e-3]
    x.append(low + (high - low) * torch.rand(n, generator=rng))
    if name == "log1p":
        x += [-torch.rand(n, generator=rng), -powers[powers < 0.9], torch.randn(n, generator=rng) * 0.01]
    if name in ("exp", "tanh", "sigmoid"):
        x += [-powers, -1 + torch.randn(n, generator=rng) * 1e-3]
    x = torch.cat([each.double() for each in x]).float()
    return x[(x > -87.3) & (x < 88.7)] if name in ("exp", "sigmoid") else x[x > -1] if name == "log1p" else x


def ulps(name: str, x: Tensor, got: Tensor) -> Tensor:
    """Errors in ulp."""
    exact = [EXACT[name](mpmath.mpf(each)) for each in x.tolist()]
    errors = []
    for value, ours in zip(exact, got.tolist(), strict=True):
        _, exponent = mpmath.frexp(value)
        errors.append(float(abs(value - ours) / mpmath.ldexp(1, max(exponent, -125) - 24)))
    return torch.tensor(errors)


def apply(name: str, x: Tensor) -> Tensor:
    return compiled(change(lambda y: y.copy_(getattr(torch, name)(y))), [x])[0]


@pytest.mark.parametrize("n", [300, pytest.param(20_000, marks=pytest.mark.extra)])
def test_errors_are_at_most_a_few_ulp(n: int) -> None:
    for name in FUNCTIONS:
        x = points(name, n)
        errors = ulps(name, x, apply(name, x))
        assert errors.max() <= BOUNDS[name], (name, x[errors.argmax()], errors.max())


ENDS: dict[str, dict[float, float]] = {
    "exp": {INF: INF, -INF: 0, 88.73: INF, -87.4: 0, 0.0: 1, TINY / 8: 1, 3e38: INF, -3e38: 0},
    "log": {INF: INF, -INF: NAN, 0.0: -INF, TINY / 8: -INF, -1.0: NAN, 1.0: 0, 3e38: math.log(3e38)},
    "log1p": {INF: INF, -INF: NAN, 0.0: 0, -1.0: -INF, -1.5: NAN, TINY: TINY, 3e38: math.log(3e38)},
    "tanh": {INF: 1, -INF: -1, 0.0: 0, 20: 1, -20: -1, 3e38: 1, TINY: TINY, -TINY: -TINY, TINY / 8: 0},
    "sigmoid": {INF: 1, -INF: 0, 0.0: 0.5, 3e38: 1, -3e38: 0, -88: 0},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends_of_the_range(name: str) -> None:
    points = [*ENDS[name], NAN]
    got = apply(name, torch.tensor(points))
    expected = torch.tensor([*ENDS[name].values(), NAN])
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0, equal_nan=True)


def test_tanh_is_at_most_1_and_keeps_the_sign_of_0() -> None:
    got = apply("tanh", torch.cat([torch.linspace(7, 9, 10_000), torch.tensor([-0.0])]))
    assert got.max() == 1
    assert torch.signbit(got[-1])
