"""Draw pictures of a run. Each public function maps a `Snapshot` to a `Picture`, or to None if it draws nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan import figures
from gaussgan.callbacks.image_drawing import over_time, strips
from gaussgan.callbacks.snapshot import Snapshot, readable
from gaussgan.config.per_replica import replica_groups
from gaussgan.data.layout import Layout
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.evaluation.spectrum import eigenvalues, linearised
from gaussgan.evaluation.summary import quantiles
from gaussgan.figures import Cloud, Rows, Verdict
from gaussgan.gan.module import GAN
from gaussgan.gan.optimizers import SGD
from gaussgan.networks.moments import gaussian_density
from gaussgan.rng import normal, stream
from gaussgan.runs.frames import best_samples

GAUSSIAN_EXAMPLES = 100  # number of real examples, and also of generated ones, in a picture of Gaussian data
MIXTURE_EXAMPLES = 1_000  # the same number in a picture of data that are not Gaussian
MAX_PARAMETERS = 500  # no spectrum is drawn for games with more parameters

log = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A figure, and numbers to log with the figure. `scalars` maps the name of each number to its value."""

    figure: Figure
    scalars: Mapping[str, float] = {}


def game(run: Snapshot) -> Picture | None:
    """Draw an overview of a run.

    For a single run, draw real and generated examples, the true distribution, the discriminator, and both losses and
    the distance from the true distribution over iterations. For a run with replicas, draw the proportion of replicas
    below each distance from the true distribution, and the quantiles of the distance over iterations. If the true
    distribution is a Gaussian and not a single point, also draw Gaussians with the moments of the learned distribution,
    or of the distributions that replicas learned. Of images, draw samples, their nearest training images,
    interpolations, and samples over time; of replicas, a row of samples each.
    """
    gan, data, true = run.gan, run.data, run.data.distribution
    if gan.replicas > 1:
        return Picture(_replicas(run))
    if run.is_images:
        return Picture(_images(run))
    n = GAUSSIAN_EXAMPLES if true.gaussian else MIXTURE_EXAMPLES
    latents = normal(n, data.latent_dim, generator=stream(data.seeds[0], "picture")).to(gan.placed)
    verdict = Verdict(lambda x: gan.game.verdict(x.to(gan.placed)).float().cpu(), gan.logistic)
    draw = _gaussian if true.gaussian and true.cov.any() else _mixture
    return Picture(draw(run, data.examples()[:n], gan.generator(latents).float().cpu(), verdict))


def _gaussian(run: Snapshot, real: Tensor, fake: Tensor, verdict: Verdict) -> Figure:
    true, (mean, cov) = run.data.distribution, run.evaluator.moments(run.gan.generator)
    mle, average = mle_w2(run.data, run.iterations), run.gan.generator_ema
    title = f"{run.title}: W₂ = {gaussian_w2(true.mean, true.cov, mean, cov):.4g}"
    floor = 0.0 if mle is None else mle.item()
    moments = None if average is None else run.evaluator.moments(average)
    clouds = Cloud(real, true.mean, true.cov), Cloud(fake, mean, cov)
    return figures.game_figure(*clouds, verdict, run.history, floor, title, moments)


def _mixture(run: Snapshot, real: Tensor, fake: Tensor, verdict: Verdict) -> Figure:
    (tag, title), true, history = run.score, run.data.distribution, run.history
    density = true.log_prob if run.evaluator.has_density else None
    modes = (true.modes, true.std) if hasattr(true, "modes") else None  # type: ignore[attr-defined]
    return figures.mixture_figure(real, fake, density, verdict, history, tag, title, modes, run.floor(tag), run.units)


def _images(run: Snapshot) -> Figure:
    (tag, title), gan, data, frames = run.score, run.gan, run.data, run.frames
    layout: Layout = data.distribution.layout  # type: ignore[attr-defined]
    samples, rows = strips(gan, layout, data.distribution.train, data.seeds[0], data.latent_dim)  # type: ignore[attr-defined]
    if frames:
        rows.append(over_time(layout, best_samples(frames), frames["iterations"].tolist()))
    remark = "" if gan.generator_ema is None else "images: by the generator's moving average"
    return figures.images_figure(samples, rows, run.history, gan.logistic, tag, title, run.floor(tag), remark)


def _replicas(run: Snapshot) -> Figure:
    gan, true, history = run.gan, run.data.distribution, run.history
    tag, _ = run.score
    scores = [row[tag] for row in history]
    last = scores[-1] if scores else torch.full((gan.replicas,), torch.inf, dtype=torch.float64)
    moments = learned = None
    if true.gaussian and true.cov.any():
        moments, learned = (true.mean, true.cov), run.evaluator.moments(gan.generator)
    groups = replica_groups(gan.config)
    title = f"{gan.replicas:,} replicas after {run.iterations:,} iterations"
    if len(groups) == 1:
        title += f": median {readable(tag)} = {quantiles(last, [0.5]).item():.4g}"
    else:
        title += f", in {len(groups):,} groups with different settings"
    return figures.replicas_figure(
        scores=last,
        floors=None if (floor := run.baseline(tag)) is None else floor.expand(gan.replicas),
        iterations=[row["iteration"] for row in history],
        course=lambda members: (
            quantiles(torch.stack([values[members] for values in scores], 1)) if scores else torch.empty(3, 0)
        ),
        true=moments,
        learned=learned,
        alive=[i for i in range(gan.replicas) if i not in gan.diverged],
        groups=groups,
        tag=tag,
        title=title,
        averages=[quantiles(row[f"{tag}_ema"], [0.5]).item() for row in history if f"{tag}_ema" in row],
        rows=_rows(run) if run.is_images and run.frames else None,
    )


def _rows(run: Snapshot) -> Rows:
    samples, layout = best_samples(run.frames)[-1], run.data.distribution.layout  # type: ignore[attr-defined]
    names = [f"replica {i}" for i in run.frames["replicas"].tolist()]
    return Rows(layout.pixels(samples.float()), names)


def logit(run: Snapshot) -> Picture | None:
    """Draw the discriminator's logit and the optimal logit, log p/q.

    p is the density of the true distribution, and q is the density of the generator's distribution. Return None if p or
    q is unknown, or if the run has replicas.
    """
    gan, true = run.gan, run.data.distribution
    if _has_replicas("logit", gan):
        return None
    if gan.game.packing > 1:
        log.info("no logit is drawn: it is a function of single examples, and discriminator.packing is above 1")
        return None
    learned = gaussian_density(gan.generator)
    if learned is None or not run.evaluator.has_density:
        log.info("no logit is drawn: it needs the densities of the true and of the learned distribution")
        return None

    def logit(x: Tensor) -> Tensor:
        return gan.discriminator(x.to(gan.placed)).squeeze(-1).double().cpu()

    def log_ratio(x: Tensor) -> Tensor:
        return true.log_prob(x) - learned.log_prob(x.double())

    error = run.history[-1].get("val/logit_error") if run.history else None
    return Picture(figures.logit_figure(logit, log_ratio, true.mean, true.cov, run.title, error))


def spectrum(run: Snapshot) -> Picture | None:
    """Draw the eigenvalues of the Jacobian of one training iteration at the current parameters.

    An iteration is seen as a map from the state of both players to the next state; see `update_jacobian`. The Jacobian
    of this map is computed in float64, on one batch of the first epoch, with the networks in evaluation mode. Each
    player's step is a step of SGD with the player's learning rate and momentum, even if the player trains with another
    optimizer. Return None if the networks have more than 500 parameters in all, or if the run has replicas.
    """
    gan = run.gan
    players = (gan.discriminator_player, gan.generator_player)
    if _has_replicas("spectrum", gan):
        return None
    if (n := sum(player.theta.numel() for player in players)) > MAX_PARAMETERS:
        log.info("no spectrum is drawn: the game has %d parameters, and the limit is %d", n, MAX_PARAMETERS)
        return None
    with torch.enable_grad():
        values = eigenvalues(gan.update, *linearised(gan), run.batch())
    exact = all(type(player.optimizer) is SGD for player in players)
    figure = figures.spectrum_figure(values, run.title, exact)
    return Picture(figure, {"game/spectral_radius": values.abs().max().item()})


def portrait(run: Snapshot) -> Picture | None:
    """Draw the path of the two parameters of a game, one per player, and the directions of simultaneous descent.

    A direction is minus the gradient of each player's loss, times the player's learning rate. Return None if the number
    of parameters is not two, if the run did not keep the path, or if the run has replicas.
    """
    gan = run.gan
    if _has_replicas("portrait", gan):
        return None
    if not run.trajectory or run.trajectory[0].numel() != 2:
        log.info("no portrait is drawn: it needs a game of two parameters, as in experiment=dirac")
        return None
    (discriminator, generator), batch = linearised(gan), run.batch()

    def field(points: Tensor) -> Tensor:
        directions = []
        for point in points.reshape(-1, 2).tolist():
            for player, value in zip((generator, discriminator), point, strict=True):
                player.theta.fill_(value)
            with torch.enable_grad():
                gradients = (generator.gradient(batch), discriminator.gradient(batch))
            rates = (generator.learning_rate, discriminator.learning_rate)
            directions.append(torch.cat([-rate * each for rate, each in zip(rates, gradients, strict=True)]))
        return torch.stack(directions).reshape(points.shape)

    return Picture(figures.portrait_figure(torch.stack([*run.trajectory]), field, run.title))


def _has_replicas(name: str, gan: GAN) -> bool:
    if gan.replicas > 1:
        log.info("no %s is drawn: it shows a single run, and this run has %d replicas", name, gan.replicas)
    return gan.replicas > 1
