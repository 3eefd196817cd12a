"""Draw a run whose examples are images. `gaussgan.callbacks.drawing.game` calls these functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gaussgan.data.layout import Layout
from gaussgan.evaluation.pairwise import nearest
from gaussgan.figures.film import chosen_frames
from gaussgan.figures.images import Strip
from gaussgan.gan.module import GAN
from gaussgan.rng import normal, stream

SAMPLES = 36
COLUMNS = 18  # of each strip
ROWS = 2  # interpolations, and latents over time


def best_generator(gan: GAN) -> nn.Module:
    """Return the generator's moving average if there is one, else the generator."""
    return gan.generator if gan.generator_ema is None else gan.generator_ema


def strips(gan: GAN, layout: Layout, train: Tensor, seed: int, latent_dim: int) -> tuple[Tensor, list[Strip]]:
    """Return samples, [36, H, W] or [36, H, W, 3], and strips: samples with their neighbours, and interpolations.

    A neighbour is the training example with the smallest distance to the sample, over all pixels. An interpolation goes
    along the great circle between two latents (White 2016, arXiv 1609.04468).

    Args:
        gan: the networks of a single run.
        layout: the layout of the examples.
        train: the training examples, [N, d].
        seed: the run's seed.
        latent_dim: the number of entries of a latent.
    """
    generator, rng = best_generator(gan), stream(seed, "picture")

    def images(latents: Tensor) -> Tensor:
        return generator(latents.to(gan.placed)).float().cpu()

    samples, ends = images(normal(SAMPLES, latent_dim, generator=rng)), normal(2, ROWS, latent_dim, generator=rng)
    first = samples[:COLUMNS]
    pairs = torch.stack([first, train[nearest(first, train)[1]]])
    path = slerp(ends[0].unsqueeze(1), ends[1].unsqueeze(1), torch.linspace(0, 1, COLUMNS).view(1, -1, 1))
    between = images(path.flatten(0, 1)).unflatten(0, path.shape[:2])
    return layout.pixels(samples), [
        Strip("samples, and below each the nearest training image", layout.pixels(pairs)),
        Strip("interpolations between two latents", layout.pixels(between)),
    ]


def over_time(layout: Layout, samples: Tensor, iterations: list[int]) -> Strip:
    """Return a strip in which each row is a fixed latent, and each column a moment of training.

    Args:
        layout: the layout of the examples.
        samples: the samples of T frames, [T, n, d].
        iterations: the T iterations.
    """
    chosen = chosen_frames(iterations, first=iterations[-1] / 16, most=COLUMNS)
    rows = layout.pixels(samples[chosen][:, :ROWS].transpose(0, 1).float())
    names = {i: f"{iterations[t]:,}" for i, t in enumerate(chosen)}
    return Strip("fixed latents during training; below: the iteration", rows, names)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the points at t ∈ [0, 1] of the arc from a to b: (sin((1−t)Ω) a + sin(tΩ) b) / sin Ω, for their angle Ω.

    Shapes: a and b [..., k], t [..., 1] → [..., k].
    """
    cosine = torch.cosine_similarity(a, b, dim=-1).unsqueeze(-1).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = cosine.acos()
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
