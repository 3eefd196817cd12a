"""Latents that are balanced: exact moments, the same rows for replicas, and refusals."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.data.latents import Balanced
from gaussgan.rng import normal, stream
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize("n, k, window, sizes", [(40, 2, 8, [8] * 5), (43, 3, 8, [8] * 4 + [11]), (9, 4, 20, [9])])
def test_each_window_has_mean_0_and_covariance_1(n: int, k: int, window: int, sizes: list[int]) -> None:
    draws = 3 + normal(n, k, generator=stream(0, "test"))
    latents = Balanced(window)(draws)
    assert latents.dtype == torch.float32
    for rows, own in zip(latents.split(sizes), draws.split(sizes), strict=True):
        np.testing.assert_allclose(rows.mean(0), np.zeros(k), atol=1e-6)
        np.testing.assert_allclose(np.cov(rows.numpy().T, bias=True), np.eye(k), atol=1e-6)
        assert rows.square().sum(-1).max() <= len(rows) - 1 + 1e-4
        # An affine map of the draws, whose matrix is triangular: the first entry stays the first entry.
        np.testing.assert_allclose(np.corrcoef(rows[:, 0], own[:, 0])[0, 1], 1, atol=1e-6)
    far = Balanced(window)(7 - 2 * draws)  # it depends only on the draws up to an affine map
    torch.testing.assert_close(far, -latents, rtol=0, atol=1e-5)


def test_large_windows_are_nearly_normal() -> None:
    draws = normal(20_000, 2, generator=stream(0, "test"))
    torch.testing.assert_close(Balanced(20_000)(draws), draws, rtol=0, atol=0.1)
    fourth = [Balanced(w)(draws).pow(4).mean().item() for w in (8, 1000)]
    assert fourth == pytest.approx([3 * 7 / 9, 3], rel=0.03)  # ‖z‖² is 7 times a beta variable: E z⁴ = 3 (w−1)/(w+1)


def test_a_run_draws_them_for_itself_and_for_replicas(compose: Compose) -> None:
    small = ("data.num_examples=20", "trainer.accelerator=cpu", "compile=off")
    _, plain, _ = assemble(compose(*small, name="plain"))
    _, one, _ = assemble(compose(*small, "latents=balanced", name="one"))
    _, many, _ = assemble(compose(*small, "latents=balanced", "replicas=3", name="many"))
    for epoch in (0, 1):
        drawn, normals, ours = many.draw(epoch), plain.draw(epoch), one.draw(epoch)
        assert torch.equal(drawn.latent[0], ours.latent)
        assert torch.equal(ours.real, normals.real)  # the other columns are those of independent latents
        assert torch.equal(ours.latent, Balanced(8)(normals.latent))
        assert not torch.equal(drawn.latent[0], drawn.latent[1])


class OfANetwork(nn.Module):
    """Latents from a network, which have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, draws: Tensor) -> Tensor:
        return self.scale * draws


class Drawn:
    """Latents that ignore the draws."""

    def __call__(self, draws: Tensor) -> Tensor:
        return torch.randn_like(draws)


def test_a_network_may_make_them(compose: Compose) -> None:
    cfg = compose("+latents._target_=test_latents.OfANetwork", "data.num_examples=20", "compile=off")
    _, data, _ = assemble(cfg)
    _, plain, _ = assemble(compose("data.num_examples=20", "compile=off"))
    assert torch.equal(data.draw(0).latent, 2 * plain.draw(0).latent)
    assert not data.draw(0).latent.requires_grad


def test_a_file_is_compiled_with_windows_larger_than_a_batch(compose: Compose, tmp_path: Path) -> None:
    np.save(path := tmp_path / "rows.npy", normal(80, 2, generator=stream(0, "rows")).numpy())
    assemble(
        compose(
            "data=file", f"data.path={path}", "latents=balanced", "latents.window=32", "data.batch_size=2", "compile=on"
        )
    )


@pytest.mark.parametrize(
    "overrides, cause",
    [
        ([], None),
        (["discriminator.packing=5"], None),
        (["data.batch_size=16"], "data.num_examples=1000 is no multiple of the 16 examples of an iteration"),
        (["update.d_steps=3"], "data.num_examples=1000 is no multiple of the 24 examples of an iteration"),
    ],
)
def test_a_log_line_says_that_some_batches_are_not_balanced(
    compose: Compose, caplog: pytest.LogCaptureFixture, overrides: list[str], cause: str | None
) -> None:
    """It is right: all batches of an epoch have mean 0, or the last has not."""
    with caplog.at_level(logging.INFO):
        gan, data, _ = assemble(compose("latents=balanced", *overrides))
    lines = [line for line in caplog.messages if line.startswith("latents:")]
    assert lines == (
        [] if cause is None else [f"latents: the batches at the end of an epoch are not balanced, because {cause}"]
    )
    iterations = data.draw(0).latent.split(data.batch_size)
    batches = [batch for rows in iterations for batch in rows.tensor_split(gan.update.batches)]
    assert all(batch.mean(0).abs().max() < 1e-5 for batch in batches[:-6])
    assert all(batch.mean(0).abs().max() < 1e-5 for batch in batches) == (cause is None)


def test_no_line_is_logged_if_windows_are_larger_than_batches(
    compose: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assemble(compose("latents=balanced", "latents.window=40", "data.num_examples=1004"))
    assert not [line for line in caplog.messages if line.startswith("latents:")]


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["latents=balanced", "data.batch_size=2"], "latents: window must be at least generator.in_features \\+ 1 = 3"),
        (["latents=balanced", "latents.window=1"], "latents.window must be a whole number of at least 2"),
        (["+latents.window=8"], "unknown key latents.window"),
        (["+latents._target_=test_latents.Drawn"], "latents: Drawn must draw nothing itself, and change nothing"),
    ],
)
def test_what_cannot_be_balanced_is_refused(compose: Compose, overrides: list[str], line: str) -> None:
    def prepare() -> None:
        check(cfg := compose(*overrides))
        assemble(cfg)

    with pytest.raises(ConfigError, match=line):
        prepare()
