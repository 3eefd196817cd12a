"""What is measured of a generator, and of a discriminator, against a law that is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn.utils import parameters_to_vector

from gaussgan.distributions import Dirac, Law
from gaussgan.game.objectives import logistic_loss
from gaussgan.metrics import gaussian_kl, gaussian_w2, generator_moments, has_closed_form
from gaussgan.networks import Linear, Location
from gaussgan.sample_metrics import mode_metrics, sliced_w2
from gaussgan.streams import normal, stream

MOMENT_SAMPLES = 10_000  # of a generator whose law has no closed form, for its moments
SAMPLES = 2_500  # of either law, for what is measured on samples
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
        seed: the seed of the run.
    """

    def __init__(self, law: Law, latent_dim: int, seed: int) -> None:
        self.law = law
        self.latents = normal(MOMENT_SAMPLES, latent_dim, generator=stream(seed, "validation"))
        self.real = law.sample(SAMPLES, stream(seed, "validation_real"))
        directions = normal(DIRECTIONS, law.dim, generator=stream(seed, "validation_directions")).double()
        self.directions = directions / directions.norm(dim=-1, keepdim=True)
        self.has_density = has_density(law)

    def moments(self, generator: nn.Module) -> tuple[Tensor, Tensor]:
        """Mean and covariance of a generator's law, exact where it `has_closed_form`."""
        return generator_moments(generator, self._like(generator, self.latents))

    def generated(self, generator: nn.Module) -> Tensor:
        """Examples of a generator, [SAMPLES, d], on the CPU."""
        return generator(self._like(generator, self.latents[:SAMPLES])).float().cpu()

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
            return {
                "val/w2": gaussian_w2(self.law.mean, self.law.cov, mean, cov),
                "val/kl": gaussian_kl(self.law.mean, self.law.cov, mean, cov),
            }
        fake = self.generated(generator).double()
        values = {"val/sliced_w2": sliced_w2(self.real.double(), fake, self.directions)}
        modes = getattr(self.law, "modes", None)
        return values if modes is None else values | mode_metrics(fake, modes, self.law.std)  # type: ignore[attr-defined]

    @torch.no_grad()
    def optimality(self, generator: nn.Module, discriminator: nn.Module, logistic: bool) -> dict[str, Tensor]:
        """How far a discriminator is from the best one against this generator, where both laws have densities.

            val/js = JS(p, q),   val/logit_error = root mean square of D − log p/q under ½ (p + q),
            val/d_gap = E L_D(D) − (log 2 − JS) for a logistic loss: what the best one would gain.

        On the same samples of either law throughout, so that val/d_gap is exactly 0 at the optimum. Elsewhere it is at
        least 0 up to sampling: a discriminator fitted to just these samples can come below. For the Dirac-GAN of a
        `Location` and a linear discriminator, val/distance = √(‖θ − x₀‖² + ‖ψ‖²), the distance from its equilibrium.
        """
        linear = isinstance(discriminator, Linear) and discriminator.bias is None
        if isinstance(self.law, Dirac) and isinstance(generator, Location) and linear:
            psi = parameters_to_vector(discriminator.parameters()).double().cpu()
            return {"val/distance": torch.hypot((generator.moments()[0] - self.law.mean).norm(), psi.norm())}
        if not self.has_density or not has_closed_form(generator):
            return {}
        tags = ("val/js", "val/logit_error", "val/d_gap") if logistic else ("val/js",)
        learned = gaussian_density(generator)
        if learned is None:  # for now: the tags of a run stay the same
            return dict.fromkeys(tags, torch.tensor(torch.nan))
        x = torch.cat([self.real, self.generated(generator)])
        ratio = (self.law.log_prob(x) - learned.log_prob(x.double())).unsqueeze(-1)
        logit = discriminator(self._like(discriminator, x)).double().cpu()
        best, loss = (logistic_loss(*values.tensor_split(2)).mean() for values in (ratio, logit))
        values = (math.log(2) - best, (logit - ratio).square().mean().sqrt(), loss - best)
        return dict(zip(tags, values, strict=False))

    @staticmethod
    def _like(module: nn.Module, x: Tensor) -> Tensor:
        """Where a module is, and in its precision; as it is for one without parameters."""
        parameter = next(module.parameters(), None)
        return x if parameter is None else x.to(parameter)


def has_density(law: Law) -> bool:
    """Whether a law can say log p(x)."""
    try:
        law.log_prob(law.mean)
    except (AttributeError, ValueError):
        return False
    return True


def gaussian_density(generator: nn.Module) -> MultivariateNormal | None:
    """The law of a generator in closed form; None of any other, and where it has no density."""
    if not has_closed_form(generator):
        return None
    mean, cov = generator.moments()  # type: ignore[operator]
    scale, singular = torch.linalg.cholesky_ex(cov)
    if singular or not scale.isfinite().all():
        return None
    return MultivariateNormal(mean, scale_tril=scale, validate_args=False)
