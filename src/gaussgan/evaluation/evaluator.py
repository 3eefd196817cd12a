"""What is measured of a generator, and of a discriminator, against a law that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from gaussgan.data.distributions import Dirac, Law, examples_of
from gaussgan.data.gaussian import gaussian_log_prob, is_singular, rounding, sample_moments
from gaussgan.evaluation.gaussian import gaussian_kl, gaussian_w2
from gaussgan.evaluation.samples import mode_metrics, sliced_w2
from gaussgan.gan.objectives import logistic_loss
from gaussgan.networks import Linear, Location
from gaussgan.networks.moments import has_closed_form
from gaussgan.rng import normal, stream

MOMENT_SAMPLES = 10_000  # of a generator whose law has no closed form, for its moments
DENSITY_SAMPLES = 1_000  # of either, for what is measured by densities: of replicas it takes as long as their training
DIRECTIONS = 128
SCORES = ("val/w2", "val/sliced_w2")  # the first that is defined is what a run is judged by


def score(row: Mapping[str, Any]) -> str:
    """The tag by which runs on this law are judged, the less the better; the first where none has a value."""
    return next((tag for tag in SCORES if row.get(tag) is not None), SCORES[0])


class Validation:
    """The same latents, examples and directions for every evaluation of a run.

    Args:
        law: the law of the data.
        latent_dim: the width of the generator's latents.
        seed: the seed of the run; or one of each of R replicas, whose networks are `Replicas`: then all that is
            measured is [R].
        samples: of either law, for what is measured on samples; at most MOMENT_SAMPLES.
    """

    def __init__(self, law: Law, latent_dim: int, seed: int | Sequence[int], samples: int = 2_500) -> None:
        self.law, self.latent_dim, self.seed, self.samples = law, latent_dim, seed, samples
        self.real = self._draw(lambda seed: examples_of(law, samples, stream(seed, "validation_real")))
        self.has_density = has_density(law)

    @cached_property
    def latents(self) -> Tensor:
        """[..., MOMENT_SAMPLES, k]."""
        return self._draw_latents(MOMENT_SAMPLES)

    @cached_property
    def sample_latents(self) -> Tensor:
        """Those of `generated`, [..., samples, k]; of many replicas, all latents would be held in vain."""
        return self._draw_latents(self.samples)

    @cached_property
    def real_log_prob(self) -> Tensor:
        """log p of the first of `real`, [..., DENSITY_SAMPLES]."""
        return self.law.log_prob(self.real[..., :DENSITY_SAMPLES, :])

    @cached_property
    def directions(self) -> Tensor:
        """Unit vectors, [..., DIRECTIONS, d]."""
        n, d = DIRECTIONS, self.law.dim
        directions = self._draw(lambda seed: normal(n, d, generator=stream(seed, "validation_directions"))).double()
        return directions / directions.norm(dim=-1, keepdim=True)

    def _draw_latents(self, n: int) -> Tensor:
        def draw(seed: int) -> Tensor:
            return normal(MOMENT_SAMPLES, self.latent_dim, generator=stream(seed, "validation"))[:n].clone()

        return self._draw(draw)

    def _draw(self, draw: Callable[[int], Tensor]) -> Tensor:
        return draw(self.seed) if isinstance(self.seed, int) else torch.stack([draw(seed) for seed in self.seed])

    def moments(self, generator: nn.Module) -> tuple[Tensor, Tensor]:
        """Mean and covariance of a generator's law, exact where it `has_closed_form`."""
        if has_closed_form(generator):
            return generator.moments()  # type: ignore[operator]
        with torch.no_grad():
            return sample_moments(generator(self._like(generator, self.latents)).cpu())

    def generated(self, generator: nn.Module, n: int | None = None) -> Tensor:
        """Examples of a generator, [..., n or samples, d], on the CPU."""
        return generator(self._like(generator, self.sample_latents[..., :n, :])).float().cpu()

    @torch.no_grad()
    def distances(self, generator: nn.Module) -> dict[str, Tensor]:
        """How far a generator is from the law.

        For a Gaussian law val/w2 and val/kl = KL(data ‖ generator), exact for a generator in closed form. Of any other
        generator they are those of the Gaussian with its sample moments: a lower bound of its own w2 (Gelbrich 1990) up
        to sampling, and no bound of its KL. For any other law val/sliced_w2 on samples, and for one with `modes` how
        they are covered.
        """
        if self.law.gaussian:
            mean, cov = self.moments(generator)
            noise = None if has_closed_form(generator) else rounding(mean, cov, _precision(generator))
            return {
                "val/w2": gaussian_w2(self.law.mean, self.law.cov, mean, cov),
                "val/kl": gaussian_kl(self.law.mean, self.law.cov, mean, cov, noise),
            }
        fake = self.generated(generator).double()
        values = {"val/sliced_w2": sliced_w2(self.real.double(), fake, self.directions)}
        modes = getattr(self.law, "modes", None)
        return values if modes is None else values | mode_metrics(fake, modes, self.law.std)  # type: ignore[attr-defined]

    @torch.no_grad()
    def optimality(self, generator: nn.Module, discriminator: nn.Module, logistic: bool) -> dict[str, Tensor]:
        """How far a discriminator is from the best one against this generator, where the law has a density.

            val/js = JS(p, q),   val/logit_error = root mean square of D − log p/q under ½ (p + q),
            val/d_gap = E L_D(D) − (log 2 − JS) for a logistic loss: what the best one would gain.

        On the same samples of either law throughout, so that val/d_gap is exactly 0 at the optimum. Elsewhere it is at
        least 0 up to sampling: a discriminator fitted to just these samples can come below. A generator in closed form
        that is singular can be told apart for certain: then val/js is log 2, and val/logit_error infinite. For the
        Dirac-GAN of a
        `Location` and a linear discriminator, val/distance = √(‖θ − x₀‖² + ‖ψ‖²), the distance from its equilibrium.
        """
        location, slope = (getattr(network, "stacked", network) for network in (generator, discriminator))
        if (
            isinstance(self.law, Dirac)
            and isinstance(location, Location)
            and isinstance(slope, Linear)
            and slope.bias is None
        ):
            psi = slope.weight.double().cpu().squeeze(-2)
            theta = location.moments()[0] - self.law.mean
            return {"val/distance": torch.hypot(theta.norm(dim=-1), psi.norm(dim=-1))}
        if not self.has_density or not has_closed_form(generator):
            return {}
        tags = ("val/js", "val/logit_error", "val/d_gap") if logistic else ("val/js",)
        fake = self.generated(generator, DENSITY_SAMPLES)
        x = torch.cat([self.real[..., :DENSITY_SAMPLES, :], fake], -2)
        density = torch.cat([self.real_log_prob, self.law.log_prob(fake)], -1)
        logit = discriminator(self._like(discriminator, x)).squeeze(-1).cpu()
        mean, cov = generator.moments()  # type: ignore[operator]
        ratio = (density - gaussian_log_prob(x, mean, cov)).to(logit.dtype)
        certain = ratio.new_tensor([torch.inf, -torch.inf]).repeat_interleave(fake.shape[-2])
        separate = is_singular(cov) & cov.isfinite().all(-1).all(-1)
        ratio = torch.where(separate.unsqueeze(-1), certain, ratio)
        best, loss = (
            logistic_loss(*values.tensor_split(2, -1)).mean(-1, dtype=torch.float64) for values in (ratio, logit)
        )
        error = (logit - ratio).double().square().mean(-1).sqrt()  # whose squares float32 cannot always hold
        values = (math.log(2) - best, error, loss - best)
        return dict(zip(tags, values, strict=False))

    @staticmethod
    def _like(module: nn.Module, x: Tensor) -> Tensor:
        """Where a module is, and in its precision; as it is for one without parameters."""
        parameter = next(module.parameters(), None)
        return x if parameter is None else x.to(parameter)


class ValidationInParts:
    """A `Validation` of R replicas, some of them at a time: memory is that of these.

    Args:
        seeds: one of each replica.
    """

    def __init__(self, law: Law, latent_dim: int, seeds: Sequence[int], samples: int = 2_500, size: int = 128) -> None:
        slices = [slice(start, start + size) for start in range(0, len(seeds), size)]
        self.parts: list[tuple[Callable[[Any], nn.Module], Validation]] = [
            (itemgetter(rows), Validation(law, latent_dim, seeds[rows], samples)) for rows in slices
        ]
        self.has_density = has_density(law)

    def moments(self, generator: nn.Module) -> tuple[Tensor, Tensor]:
        means, covs = zip(*(part.moments(some(generator)) for some, part in self.parts), strict=True)
        return torch.cat(means), torch.cat(covs)

    def distances(self, generator: nn.Module) -> dict[str, Tensor]:
        return self._joined([part.distances(some(generator)) for some, part in self.parts])

    def optimality(self, generator: nn.Module, discriminator: nn.Module, logistic: bool) -> dict[str, Tensor]:
        parts = [part.optimality(some(generator), some(discriminator), logistic) for some, part in self.parts]
        return self._joined(parts)

    @staticmethod
    def _joined(values: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {tag: torch.cat([part[tag] for part in values]) for tag in values[0]}


def distances_with_average(
    validation: Validation | ValidationInParts, generator: nn.Module, average: nn.Module | None
) -> dict[str, Tensor]:
    """The distances of a generator, and by which its moving average is judged, where there is one, as TAG_ema."""
    values = validation.distances(generator)
    if average is not None:
        averaged = validation.distances(average)
        values[f"{score(values)}_ema"] = averaged[score(averaged)]
    return values


def has_density(law: Law) -> bool:
    """Whether a law can say log p(x)."""
    try:
        return hasattr(law, "log_prob") and law.log_prob(law.mean) is not None
    except ValueError:
        return False


def gaussian_density(generator: nn.Module) -> MultivariateNormal | None:
    """The law of a generator in closed form; None of any other, and where it has no density."""
    if not has_closed_form(generator):
        return None
    mean, cov = generator.moments()  # type: ignore[operator]
    if is_singular(cov):
        return None
    return MultivariateNormal(mean, scale_tril=torch.linalg.cholesky(cov), validate_args=False)


def _precision(module: nn.Module) -> torch.dtype:
    """That of a module's parameters; float32 for one without."""
    return next((parameter.dtype for parameter in module.parameters()), torch.float32)
