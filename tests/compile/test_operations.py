"""Each operation of the table equals PyTorch's: for NaN, infinities and −0, in both precisions, alone and in rows."""

import math
from collections.abc import Callable

import pytest
import torch
from running import change, compiled, compiled_rows, eager, run
from torch import Tensor
from torch.nn import functional as F

from gaussgan.compile import build
from gaussgan.compile.errors import NotCompiled

SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5]
UNARY = [
    "neg",
    "abs",
    "sign",
    "sgn",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "square",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sin",
    "cos",
    "tan",
    "atan",
    "erf",
    "erfc",
    "asin",
    "acos",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "floor",
    "ceil",
    "round",
    "trunc",
    "relu",
    "isnan",
    "isinf",
    "logical_not",
]
BINARY = ["maximum", "minimum", "atan2", "gt", "lt", "ge", "le", "eq", "ne", "logical_and", "logical_or"]
# Of special numbers x [2, 6] and ordinary numbers y [2, 6].
OTHERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "activations": lambda x, y: F.gelu(y) + F.elu(y) + F.leaky_relu(x) + F.softplus(x) + F.silu(y) + F.hardtanh(x),
    "slice_scatter": lambda x, y: torch.slice_scatter(x, y[:, 1:4], -1, 2, 5) + torch.slice_scatter(y, y[:1], 0, 1),
    "softmax": lambda x, y: F.softmax(y, 0) * F.log_softmax(y, 1) + y.logsumexp(1, keepdim=True),
    "nan_to_num": lambda x, y: x.nan_to_num(),
    "sums": lambda x, y: y.sum(0) + y.sum() + y.sum((0, 1), keepdim=True) + y.mean(-1, keepdim=True),
    "amax": lambda x, y: x.amax((0, 1)) + y.amax(0) + y.amax(1, keepdim=True) + y.amax(),
    "amin": lambda x, y: x.amin(0) + y.amin(1, keepdim=True) + y.amin(),
    "var": lambda x, y: y.var(0) + y.std() + y.var((0, 1), correction=0, keepdim=True) + y.std(1, keepdim=True),
    "norms": lambda x, y: y.norm() + y.norm(dim=-1, keepdim=True) + torch.linalg.vector_norm(y, math.inf),
    "powers": lambda x, y: torch.stack([x**k for k in (0, 1, 2, 3, 4, 5, -1, -2, 0.5, -0.5)]),
    "other powers": lambda x, y: torch.stack([x.abs() ** y, 2**y, y.abs() ** 1.7, (10 * y).long() ** 3]),
    "clamp": lambda x, y: torch.stack([x.clamp(-1, 1), x.clamp(min=0.3), x.clamp_max(0.3), y.clamp(min=x, max=x + 1)]),
    "where": lambda x, y: torch.where(x > y, x, y * 2) + torch.where(x > 0, 1.0, y).masked_fill(y > 0, 7.0),
    "factors": lambda x, y: x.add(y, alpha=0.1) + y.sub(x, alpha=0.1) + torch.rsub(y, x, alpha=0.3) + (0.1 - y),
    "fused": lambda x, y: torch.addcmul(y, x, y, value=0.1) + torch.addcdiv(x, y, y.exp(), value=-0.1) + y.lerp(x, 0.2),
    "products": lambda x, y: torch.addmm(y[:, :1], y, y.mT) + (y @ y[0])[:, None] + y[0] @ y[1],
    "batches of products": lambda x, y: torch.bmm(y.expand(2, 2, 6), y.mT.expand(2, 6, 2)),
    "a full bias": lambda x, y: torch.addmm(
        torch.cat([y, y.exp()], 1).reshape(12, 2), y.T.repeat_interleave(2, 0), y[:, :2]
    ),
    "truths": lambda x, y: ((x > 0) & (y > 0)) | ~(x < 0) ^ (y < 1),
    "numbers of truths": lambda x, y: (x > 0).sum() + (x > 0).float().mean() + (x > 0) * y + ((x > 0) + (y > 0)),
    "whole numbers": lambda x, y: (10 * y).int() * (7 * y).long() + (10 * y).long().sum() - (3 * y).int().amax(),
    "conversions": lambda x, y: (10 * y).long() / 3 + x.bool().to(x) + x.double() * 0.1 + x.float() * 0.1,
    "a float in double": lambda x, y: (y.float() * 0.1).double() + y.double() * 0.1,
    "parts": lambda x, y: torch.cat([y, x, y[:0]])[::2, 1::2] + y.split([1, 3, 2], 1)[1] + y.chunk(2, 1)[1],
    "views": lambda x, y: torch.stack([y[:, -1], y.unbind(1)[2]], 1).T + y.unflatten(1, (2, 3)).amax(-1).mT,
    "expansions": lambda x, y: y[:, None].expand(-1, 2, -1).reshape(4, 6)[-2:] + torch.tensor([1.0, 2, 3, 4, 5, 6]),
    "norm of layers": lambda x, y: F.layer_norm(y, (6,)) + F.normalize(y),
    "losses": lambda x, y: F.binary_cross_entropy_with_logits(y, torch.ones_like(y)) + F.huber_loss(y, 2 * y),
    "constants of several shapes": lambda x, y: torch.stack(
        [(torch.ones(n, 2).to(y) @ y.abs()).sum() + torch.ones(n).to(y).exp().sum() for n in (3, 5, 4)]
    ),
    "infinities": lambda x, y: torch.full_like(y, -math.inf) + y,
}  # fmt: skip


def operations() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    def of_one(f: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: torch.stack([f(x), f(y)])

    def of_two(f: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, y: torch.stack([f(x, y), f(y, x)])

    unary = {name: of_one(getattr(torch, name)) for name in UNARY}
    binary = {name: of_two(getattr(torch, name)) for name in BINARY}
    return {**unary, **binary, **OTHERS}


@pytest.fixture(autouse=True)
def fast_compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without optimisation a program is compiled ten times as fast. The long tests use the flags of real programs."""
    if request.node.get_closest_marker("extra") is None:
        monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O2" else flag for flag in build.FLAGS))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("flags", ["-O0", pytest.param("-O2", marks=pytest.mark.extra)])
def test_the_table_is_pytorch(precision: torch.dtype, flags: str) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.tensor(SPECIAL).reshape(2, 6).to(precision)
    y = torch.randn(2, 6, dtype=torch.float64, generator=rng).to(precision)
    names = operations()
    state = [x, y, *(torch.zeros_like(f(x, y)) for f in names.values())]

    def step(x: Tensor, y: Tensor, *results: Tensor) -> None:
        for f, result in zip(names.values(), results, strict=True):
            result.copy_(f(x, y))

    single, expected = compiled(change(step), state), eager(step, state)
    rows = compiled_rows(step, [torch.stack([tensor] * 2) for tensor in state])
    tolerance = {"rtol": 3e-6, "atol": 3e-7} if precision == torch.float32 else {"rtol": 1e-14, "atol": 1e-15}
    for name, one, row, ours in zip(names, single[2:], rows[2:], expected[2:], strict=True):
        torch.testing.assert_close(
            one, ours, equal_nan=True, **tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )
        torch.testing.assert_close(row[1], one, rtol=0, atol=0, equal_nan=True)


def assert_is_pytorch(step: Callable[..., None], state: list[Tensor]) -> None:
    """Compiled alone the step is close to PyTorch's; each of two equal rows has the bits of the single run."""
    single, expected = compiled(change(step), state), eager(step, state)
    rows = compiled_rows(step, [torch.stack([tensor] * 2) for tensor in state])
    for one, row, ours in zip(single, rows, expected, strict=True):
        torch.testing.assert_close(one, ours, rtol=1e-5, atol=1e-5)
        assert torch.equal(row[0], one)
        assert torch.equal(row[1], one)


def test_products_are_pytorch_whatever_their_shape_and_bias() -> None:
    rng = torch.Generator().manual_seed(0)
    cases = [(i, j, k, bias) for i in (1, 3, 8) for j in (1, 2, 9) for k in (1, 5) for bias in ((i, j), (i, 1), (j,))]
    state = [
        torch.randn(*shape, generator=rng) for i, j, k, b in cases for shape in ((i, k), (k, j), b, (i, j), (i, j))
    ]

    def step(*state: Tensor) -> None:
        for n in range(0, len(state), 5):
            a, b, bias, result, turned = state[n : n + 5]
            result.copy_(torch.addmm(bias, a, b))
            turned.copy_(torch.addmm(bias, a.T.contiguous().T, b.T.contiguous().T))

    assert_is_pytorch(step, state)


def test_states_are_written_as_if_at_once() -> None:
    def step(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> None:
        old = a.clone()
        a.copy_(b)  # a swap
        b.copy_(old)
        c.copy_(c.T.clone())  # a permuted view of itself
        d.fill_(2.5)

    a, b, c, d, e = (torch.arange(9.0).reshape(3, 3) * k for k in (1, 2, 3, 4, 5))
    for ours, theirs in zip(
        compiled(change(step), [a, b, c, d, e]), [b, a, c.T, torch.full((3, 3), 2.5), e], strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_state_need_not_lie_in_one_piece() -> None:
    a, b = torch.arange(6.0).reshape(2, 3).T, torch.arange(12.0)[::2]
    now = compiled(change(lambda a, b: (a.mul_(b[:3, None]), b.add_(1))), [a, b])
    assert torch.equal(now[0], a * b[:3, None])
    assert torch.equal(now[1], b + 1)


def test_outputs_are_added_up_and_watched() -> None:
    def step(state: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
        state[0].mul_(inputs[0])
        return [state[0].sum(), torch.tensor(3.0), state[0].sum() / 0]

    (now,), outcome = run(step, [torch.ones(2)], [torch.tensor(2.0)], steps=4, finite=2)
    assert torch.equal(now, torch.full((2,), 16.0))
    assert outcome.sums[0].tolist() == [60, 12, math.inf]
    (now,), outcome = run(step, [torch.full((2,), 1e38)], [torch.tensor(2.0)], steps=4, finite=2)
    assert outcome.stopped.tolist() == [0]  # 2·10³⁸ + 2·10³⁸ is no float32
    assert torch.equal(now, torch.full((2,), 1e38))


def random_step(seed: int) -> tuple[Callable[..., None], list[Tensor]]:
    """A step of 25 random operations on matrices of random shapes, and its state."""
    rng = torch.Generator().manual_seed(seed)

    def pick(choices: list) -> int:
        return int(torch.randint(len(choices), (), generator=rng))

    state = [torch.randn(n, m, generator=rng) for n, m in ((3, 5), (5, 2), (1, 4), (9, 8), (2, 17))]
    unary: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.tanh(), lambda x: x.T, lambda x: x[:, ::2], lambda x: x[-2:], lambda x: x.sum(0, keepdim=True),
        lambda x: x.amax(1, keepdim=True), lambda x: torch.cat([x, 2 * x[:1]]), lambda x: x.reshape(1, -1),
        lambda x: x.reshape(-1, 1), lambda x: F.softplus(x) - 0.3,
        lambda x: x.expand(2, *x.shape).reshape(-1, x.shape[1]),
        lambda x: x * (x > 0), lambda x: x.T.contiguous(), lambda x: x / (1 + x.square().mean()),
    ]  # fmt: skip
    plan = [(pick(unary), pick(range(99)), pick(range(99)), pick(range(2))) for _ in range(25)]

    def step(*state: Tensor) -> None:
        values = list(state)
        for u, a, b, binary in plan:
            x, y = values[a % len(values)], values[b % len(values)]
            if binary and x.shape[1] == y.shape[0]:
                new = torch.tanh(x @ y)
            elif binary and all(n == m or 1 in (n, m) for n, m in zip(x.shape, y.shape, strict=True)):
                new = x - 0.5 * y
            else:
                new = unary[u](x)
            values.append(new if new.numel() <= 200 else new[:2, :9])
        total = sum(value.mean() for value in values)
        for place, tensor in enumerate(state):
            fitting = [value for value in values[5:] if value.shape == tensor.shape]
            tensor.copy_(fitting[place % len(fitting)] if fitting else tensor * 0.5 + total)

    return step, state


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 60), marks=pytest.mark.extra)])
def test_random_steps_are_pytorch(seeds: range) -> None:
    for seed in seeds:
        step, state = random_step(seed)
        assert_is_pytorch(step, state)


def test_other_operations_are_refused_in_one_line() -> None:
    x = torch.randn(4, 4)
    for function, reason in [
        (lambda x: x.cumsum(0), "aten.cumsum.default is not among the operations that can be compiled"),
        (lambda x: x.half().float(), "numbers in float16 cannot be compiled"),
        (lambda x: F.dropout(x), "draws random numbers"),
        (lambda x: x + torch.randn_like(x), "draws random numbers"),
        (lambda x: x if x.sum() > 0 else -x, "it branches on the value of a tensor; use torch.where instead"),
        (lambda x: x * float(x.detach().numpy().sum()), "it depends on something else than tensors"),
        (lambda x: x @ x[:3], "it cannot be traced: "),
        (lambda x: x + x[:0].sum(), "it takes the sum of no numbers"),
        (lambda x: x + x[:, :0] @ x[:0], "it multiplies matrices that have no numbers"),
    ]:  # fmt: skip
        with pytest.raises(NotCompiled, match=reason) as error:
            compiled(change(lambda x, f=function: x.copy_(f(x))), [x])
        assert "\n" not in str(error.value)
