"""Measure a generator and a discriminator against a known distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from gaussgan.data.distributions import Distribution, examples_of, has_density
from gaussgan.data.examples import Examples
from gaussgan.data.gaussian import gaussian_log_prob, is_singular, rounding, sample_moments
from gaussgan.evaluation.gaussian import gaussian_kl, gaussian_w2
from gaussgan.evaluation.held_out import HeldOut
from gaussgan.evaluation.samples import DIRECTIONS, mode_metrics, sliced_w2, unit_vectors
from gaussgan.gan.objectives import logistic_loss
from gaussgan.networks.moments import has_closed_form
from gaussgan.networks.packing import packed
from gaussgan.rng import normal, stream

MOMENT_SAMPLES = 10_000  # number of examples that give the moments of a generator without a closed form
DENSITY_SAMPLES = 1_000  # largest number of real examples, and also of generated ones, at which densities are computed


class Evaluator:
    """Measures the networks of a run. Every evaluation uses the same random latents and the same real examples.

    Args:
        distribution: the distribution of the data, or given examples.
        latent_dim: k, the number of entries of each latent vector, the generator's input.
        seed: the run's seed, or a list of R seeds for R replicas. With a list, the networks must be `Replicas`, and
            each measure has the shape [R] instead of [].
        samples: the number of real examples, and also the number of generated examples, for measures that compare real
            with generated examples. At most MOMENT_SAMPLES.
        held_out: the measures of samples; None for data whose distance is known, and to measure the distance alone.
    """

    def __init__(
        self,
        distribution: Distribution,
        latent_dim: int,
        seed: int | Sequence[int],
        samples: int = 2_500,
        held_out: HeldOut | None = None,
    ) -> None:
        self.distribution, self.latent_dim, self.seed, self.samples = distribution, latent_dim, seed, samples
        if isinstance(distribution, Examples):
            self.real = distribution.select[:samples]
        else:
            self.real = self._draw(lambda seed: examples_of(distribution, samples, stream(seed, "validation_real")))
        self.has_density = has_density(distribution)
        self.held_out = held_out

    @torch.no_grad()
    def distances(self, generator: nn.Module) -> dict[str, Tensor]:
        """Return the distances of a generator from the distribution of the data, as a dict from names to distances.

        For Gaussian data the distances are val/w2 and val/kl = KL(data ‖ generator). Both are exact for a
        generator whose output is a Gaussian with moments in closed form. Any other generator is replaced by a Gaussian
        with the mean and covariance of generated examples. Then val/w2 is a lower bound of the generator's true
        distance, up to sampling error (Gelbrich 1990), and val/kl is no bound.

        For other data the distance is val/sliced_w2, between real and generated examples; for images val/frechet. If
        the distribution of the data has the attribute `modes`, the dict also has the measures of `mode_metrics`.
        """
        true = self.distribution
        if true.gaussian:
            mean, cov = self.moments(generator)
            noise = None if has_closed_form(generator) else rounding(mean, cov, _precision(generator))
            return {
                "val/w2": gaussian_w2(true.mean, true.cov, mean, cov),
                "val/kl": gaussian_kl(true.mean, true.cov, mean, cov, noise),
            }
        fake = self.generated(generator).double()
        if self.held_out is not None:
            values = self.held_out.distance(fake)
        else:
            values = {"val/sliced_w2": sliced_w2(self.real.double(), fake, self.directions)}
        modes = getattr(true, "modes", None)
        return values if modes is None else values | mode_metrics(fake, modes, true.std)  # type: ignore[attr-defined]

    @torch.no_grad()
    def optimality(
        self, generator: nn.Module, discriminator: nn.Module, logistic: bool, packing: int = 1
    ) -> dict[str, Tensor]:
        """Return how far a discriminator D is from the optimal discriminator.

        The optimal discriminator is log p/q. Here p is the density of the data, and q that of the generator's output.

            val/js = an estimate of JS(p, q), the Jensen–Shannon divergence;
            val/logit_error = root mean square of D − log p/q under ½ (p + q);
            val/d_gap = E L_D(D) − (log 2 − JS), the loss of D minus the loss of the optimal discriminator.

        The same examples give all three measures. So val/d_gap is exactly 0 for the optimal D. For any other D it is at
        least 0, up to sampling error. If the covariance of the generator's output is singular, the optimal
        discriminator makes no mistakes, val/js is log 2, and val/logit_error is infinite.

        A discriminator of packs is measured on packs of these examples: the optimal logit is the sum of log p/q over a
        pack, and val/d_gap uses the Jensen–Shannon divergence of packs. val/js is that of single examples in any case.

        Args:
            logistic: true if the discriminator's loss L_D is logistic. Otherwise only val/js is returned.
            packing: m, the number of examples in a pack; see `packed`. Examples that fill no pack are left out.

        Returns:
            A dict from the names above to measures. It is empty if p is unknown or q has no closed form.
        """
        if not self.optimality_names(generator, logistic):
            return {}
        fake = self.generated(generator, DENSITY_SAMPLES)
        x = torch.cat([self.real[..., :DENSITY_SAMPLES, :], fake], -2)
        density = torch.cat([self.real_log_prob, self.distribution.log_prob(fake)], -1)
        logit = discriminator(_like(discriminator, _whole_packs(x, packing))).squeeze(-1).cpu()
        mean, cov = generator.moments()  # type: ignore[operator]
        ratio = (density - gaussian_log_prob(x, mean, cov)).to(logit.dtype)
        certain = ratio.new_tensor([torch.inf, -torch.inf]).repeat_interleave(fake.shape[-2])
        separate = is_singular(cov) & cov.isfinite().all(-1).all(-1)
        ratio = torch.where(separate.unsqueeze(-1), certain, ratio)
        js = {"val/js": math.log(2) - _loss(ratio)}
        if not logistic:
            return js
        ratio = _whole_packs(ratio.unsqueeze(-1), packing).sum(-1)
        error = (logit - ratio).double().square().mean(-1).sqrt()  # float32 cannot always hold the squares
        return {**js, "val/logit_error": error, "val/d_gap": _loss(logit) - _loss(ratio)}

    @torch.no_grad()
    def quality(self, generator: nn.Module) -> dict[str, Tensor]:
        """Return all measures of `Quality` with tags such as val/coverage, but not those of `distances` again.

        The dict is empty if only distances are measured.
        """
        if self.held_out is None:
            return {}
        values = self.held_out.quality(self.generated(generator))
        return {tag: values[tag] for tag in self.quality_names()}

    def quality_names(self) -> list[str]:
        """Return the tags of the result of `quality`."""
        return [] if self.held_out is None else self.held_out.quality_names()

    @torch.no_grad()
    def reported(self, generator: nn.Module) -> dict[str, Tensor]:
        """Measure against the examples to report by, which nothing was chosen by. Tags are like test/sliced_w2.

        The dict is empty for a known distribution.
        """
        if self.held_out is None or "test" not in self.held_out.parts:
            return {}
        return self.held_out.quality(self.generated(generator), "test")

    def baselines(self) -> dict[str, Tensor]:
        """Return the measures of training examples, with tags like baseline/val/coverage; see `HeldOut.baselines`."""
        return {} if self.held_out is None else self.held_out.baselines

    def optimality_names(self, generator: nn.Module, logistic: bool) -> list[str]:
        """Return the names of the measures that `optimality` returns."""
        names = ["val/js", "val/logit_error", "val/d_gap"] if logistic else ["val/js"]
        return names if self.has_density and has_closed_form(generator) else []

    def moments(self, generator: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the mean and covariance of a generator's output.

        If they have a closed form, they are exact. Otherwise they are the moments of MOMENT_SAMPLES generated examples.
        """
        if has_closed_form(generator):
            return generator.moments()  # type: ignore[operator]
        with torch.no_grad():
            return sample_moments(generator(_like(generator, self.latents)).cpu())

    def generated(self, generator: nn.Module, n: int | None = None) -> Tensor:
        """Return n generated examples, [..., n, d], on the CPU. The largest n, and the default, is `samples`."""
        return generator(_like(generator, self.sample_latents[..., :n, :])).float().cpu()

    @cached_property
    def latents(self) -> Tensor:
        """The generator's inputs from which its mean and covariance are estimated, [..., MOMENT_SAMPLES, k]."""
        return self._draw_latents(MOMENT_SAMPLES)

    @cached_property
    def sample_latents(self) -> Tensor:
        """The generator's inputs for `generated`, [..., samples, k]. They are other draws than `latents`."""
        return self._draw_latents(self.samples)

    @cached_property
    def real_log_prob(self) -> Tensor:
        """The log density of the true distribution at the first DENSITY_SAMPLES real examples, or at all if fewer."""
        return self.distribution.log_prob(self.real[..., :DENSITY_SAMPLES, :])

    @cached_property
    def directions(self) -> Tensor:
        """The random unit vectors onto which val/sliced_w2 projects the examples, [..., DIRECTIONS, d]."""
        n, d = DIRECTIONS, self.distribution.dim
        return self._draw(lambda seed: unit_vectors(n, d, stream(seed, "validation_directions")))

    def _draw_latents(self, n: int) -> Tensor:
        return self._draw(lambda seed: normal(n, self.latent_dim, generator=stream(seed, "validation", n)))

    def _draw(self, draw: Callable[[int], Tensor]) -> Tensor:
        return draw(self.seed) if isinstance(self.seed, int) else torch.stack([draw(seed) for seed in self.seed])


def _whole_packs(x: Tensor, packing: int) -> Tensor:
    """Return packs of real examples, and then as many packs of generated examples: [..., 2n, d] → [..., 2k, m·d]."""
    halves = x.tensor_split(2, -2)
    whole = halves[0].shape[-2] // packing * packing
    return packed(torch.cat([half[..., :whole, :] for half in halves], -2), packing)


def _loss(logit: Tensor) -> Tensor:
    """Return the mean logistic loss of a discriminator, [..., 2n] → [...]. The first n logits are of real examples."""
    return logistic_loss(*logit.tensor_split(2, -1)).mean(-1, dtype=torch.float64)


def _like(module: nn.Module, x: Tensor) -> Tensor:
    """Return x on the module's device and in the module's precision. If the module has no parameters, return x."""
    parameter = next(module.parameters(), None)
    return x if parameter is None else x.to(parameter)


def _precision(module: nn.Module) -> torch.dtype:
    return next((parameter.dtype for parameter in module.parameters()), torch.float32)
