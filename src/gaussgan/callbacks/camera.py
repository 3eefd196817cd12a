"""Take frames of a run: small pieces of its state, from which pictures of its training are drawn afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from gaussgan.config.per_replica import replica_groups
from gaussgan.data.datamodule import DataModule
from gaussgan.data.distributions import examples_of
from gaussgan.data.examples import Examples, layout_of
from gaussgan.data.gaussian import sample_moments
from gaussgan.figures.plane import Plane, plane_of, window_of
from gaussgan.figures.style import aspect
from gaussgan.figures.verdict import GAME
from gaussgan.gan.module import GAN
from gaussgan.networks.moments import has_closed_form
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream

POINTS, IMAGES = 300, 36  # largest number of samples in a frame
NUMBERS = 3_000  # largest number of numbers in the samples of a frame, if they are not images
IMAGE_REPLICAS, SAMPLE_REPLICAS, MOMENT_REPLICAS = 8, 8, 100  # largest number of replicas in a frame
MOMENT_LATENTS = 2_000  # latents that give the moments of a generator without a closed form; fewer for replicas
MAX_MOMENTS = 32  # no moments in more dimensions
MAX_PARAMETERS = 500  # no parameters of larger games
GRID, LINE = 40, 200  # points at which the discriminator is evaluated: GRID² in a plane, LINE on a line


class Camera:
    """Takes frames of a run. All frames use the same latents, replicas, and points of the discriminator's surface.

    A frame of a single run has the entries

        samples:     G(z) for fixed latents z, [n, d], in float32; of images in float16;
        samples_ema: the same for the generator's moving average; empty if there is none;
        means, covs: the mean, [d], and the covariance, [d, d], of G(z), in float64, if the data are Gaussian. They are
                     exact if they have a closed form, otherwise those of 2,000 samples;
        logits:      D(x) at the points x of the surface, [40, 40], or [200] in one dimension; empty for images. A
                     discriminator of packs sees copies of x;
        theta:       the generator's and then the discriminator's parameters, [P], if P ≤ 500.

    A frame of R replicas has the means [R', d] and covariances [R', d, d] of at most 100 of them if the data are
    Gaussian, otherwise samples of at most 8 of them, or of 100 if the data are one point, [R', n, d]. It has parameters
    [R', P] if R'·P ≤ 500. An entry that is of no use for a run is empty.

    Args:
        gan: the networks of the run.
        data: the data of the run.
        fixed: the attribute `fixed` of another camera for the same run; None to choose it by the networks as they are.

    Attributes:
        fixed: what all frames share. "real": real examples, [n, d]. "true_mean" and "true_cov": the moments of the true
            distribution, empty if it is unknown. "origin", [d], and "axes", [d, 2]: the plane of the surface consists
            of the points origin + (u − origin @ axes) @ axesᵀ, where u are the two coordinates in the plane. "window",
            [2, 2]: the lower left and the upper right corner of the surface, in coordinates of the plane; in one
            dimension, [2, 1]: the ends of the line. "replicas", [R']: the indices of the replicas; empty for a single
            run.
    """

    def __init__(self, gan: GAN, data: DataModule, fixed: Mapping[str, Tensor] | None = None) -> None:
        true = data.distribution
        self.gaussian = true.gaussian and bool(true.cov.any()) and true.dim <= MAX_MOMENTS
        self.point = not true.cov.any()  # all examples are equal
        layout = layout_of(true)
        self.image = layout is not None and layout.drawable
        d, single = true.dim, gan.replicas == 1
        self.rows = [] if single else _in_turn(gan.config)[: self._most_replicas(d)]
        per = max(1, len(self.rows))
        most = (IMAGES if single else IMAGES // 3) if self.image else min(POINTS, max(IMAGES, NUMBERS // (per * d)))
        self.samples = most
        self.latents = self._latents(data, self.samples).to(gan.placed)
        own_moments = self.gaussian and not has_closed_form(gan.generator)
        self.moment_latents = self._latents(data, MOMENT_LATENTS // per, "moments") if own_moments else None
        if self.moment_latents is not None:
            self.moment_latents = self.moment_latents.to(gan.placed)
        with gan.evaluating():
            self.fixed = self._fixed(gan, data) if fixed is None else dict(fixed)
        self.points = self._surface().to(gan.placed) if single and not self.image else None

    def take(self, gan: GAN) -> dict[str, Tensor]:
        """Return a frame of the networks as they are. All tensors are on the CPU."""
        with gan.evaluating():
            generator, average = self._chosen(gan.generator), self._chosen(gan.generator_ema)
            frame = dict.fromkeys(("samples", "samples_ema", "means", "covs", "logits", "theta"), torch.empty(0))
            if not (self.gaussian and self.rows):
                frame["samples"] = self._generated(generator)
                if average is not None:
                    frame["samples_ema"] = self._generated(average)
            frame["means"], frame["covs"] = self._moments(generator)
            if self.points is not None:
                frame["logits"] = gan.game.verdict(self.points).squeeze(-1).float().cpu()
            frame["theta"] = self._theta(gan)
        return frame

    def _most_replicas(self, d: int) -> int:
        if self.image:
            return IMAGE_REPLICAS
        if self.gaussian or self.point:
            return max(SAMPLE_REPLICAS, min(MOMENT_REPLICAS, NUMBERS // d**2))
        return SAMPLE_REPLICAS

    def _fixed(self, gan: GAN, data: DataModule) -> dict[str, Tensor]:
        true, none = data.distribution, torch.empty(0, dtype=torch.float64)
        n = IMAGES if self.image else min(POINTS, max(IMAGES, NUMBERS // true.dim))
        real = _real(data, n).float()
        known = not isinstance(true, Examples)
        fixed = {
            "real": real,
            "true_mean": true.mean.double() if known else none,
            "true_cov": true.cov.double() if known else none,
            "replicas": torch.tensor(self.rows, dtype=torch.int64),
        }
        if self.image:
            return {**fixed, "window": none, "origin": none, "axes": none}
        fake = self._generated(self._chosen(gan.generator)).double().flatten(0, -2)
        if true.dim == 1:
            low, high = _balanced(*window_of(real.double(), fake), real)
            origin, axes = real.double().mean(0), torch.eye(1, dtype=torch.float64)
        else:
            plane = Plane(true.mean, true.cov) if self.gaussian else plane_of(real, fake, aspect(GAME))
            low, high, origin, axes = plane.low, plane.high, plane.mean, plane.basis
        return {**fixed, "window": torch.stack([low, high]), "origin": origin, "axes": axes}

    def _surface(self) -> Tensor:
        if len(self.fixed["origin"]) == 1:
            low, high = self.fixed["window"].flatten().tolist()
            return torch.linspace(low, high, LINE, dtype=torch.float64).unsqueeze(-1)
        return Plane.framed(self.fixed["origin"], self.fixed["axes"], self.fixed["window"]).grid(GRID)

    def _latents(self, data: DataModule, n: int, purpose: str = "samples") -> Tensor:
        """Return n latents, [n, k], or [R', n, k] for replicas. Each replica has those of a single run of its seed."""
        seeds = [data.seeds[i] for i in self.rows] or data.seeds[:1]
        drawn = [normal(n, data.latent_dim, generator=stream(seed, f"frames/{purpose}")) for seed in seeds]
        return torch.stack(drawn) if self.rows else drawn[0]

    def _chosen(self, network: Any) -> Any:
        """Return the replicas that are in a frame."""
        if network is None or not self.rows or len(self.rows) == len(network):
            return network
        return network[torch.tensor(self.rows)] if isinstance(network, Replicas) else network

    def _generated(self, generator: Any) -> Tensor:
        return generator(self.latents).to(torch.float16 if self.image else torch.float32).cpu()

    def _moments(self, generator: Any) -> tuple[Tensor, Tensor]:
        if not self.gaussian:
            none = torch.empty(0, dtype=torch.float64)
            return none, none
        if self.moment_latents is None:
            mean, cov = generator.moments()
            return mean.double().cpu(), cov.double().cpu()
        return sample_moments(generator(self.moment_latents).cpu())

    def _theta(self, gan: GAN) -> Tensor:
        theta = torch.cat([gan.generator_player.theta, gan.discriminator_player.theta], -1)
        theta = theta[self.rows] if self.rows else theta
        return theta.detach().cpu().clone() if theta.numel() <= MAX_PARAMETERS else theta.new_empty(0).cpu()


def _real(data: DataModule, n: int) -> Tensor:
    """Return n real examples, [n, d]; fewer if there are fewer."""
    rng, true = stream(data.seeds[0], "frames/real"), data.distribution
    if isinstance(true, Examples):
        return true.train[torch.randperm(len(true.train), generator=rng)[:n]]
    return examples_of(true, n, rng)


def _balanced(low: Tensor, high: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """If the real examples are one point, return the ends of a line with this point in the middle."""
    if (real != real[0]).any():
        return low, high
    reach = 1.2 * torch.maximum(high - real[0], real[0] - low)
    return real[0] - reach, real[0] + reach


def _in_turn(config: Mapping[str, Any]) -> list[int]:
    """Return the indices of all replicas: the first of each group with equal settings, the second of each group, …"""
    members = [group.members for group in replica_groups(config)]
    return [i for i in chain(*zip_longest(*members)) if i is not None]
