"""The pictures of a run: from its module and its data, as they stand after some iterations, to figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.data.loader import Batch
from gaussgan.evaluation.evaluator import gaussian_density, score
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.evaluation.spectrum import update_jacobian
from gaussgan.evaluation.summary import quantiles
from gaussgan.figures import (
    Cloud,
    Verdict,
    game_figure,
    logit_figure,
    mixture_figure,
    portrait_figure,
    replicas_figure,
    spectrum_figure,
)
from gaussgan.gan.module import GAN
from gaussgan.gan.optimizers import SGD
from gaussgan.rng import normal, stream

PICTURED = 100  # examples of either kind, of a Gaussian
PICTURED_OF_MIXTURE = 1_000
BATCH = 1_000  # examples of the batch by which a game is linearised
MOST_PARAMETERS = 500  # of a game that is

log = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A figure, and numbers that belong to it by their tags."""

    figure: Figure
    scalars: Mapping[str, float] = {}


def game(gan: GAN, data: GaussianDataModule, iterations: int) -> Picture | None:
    """Examples, laws and discriminator; losses; the distance from the law."""
    if gan.replicas > 1:
        return _replicas(gan, data, iterations)
    law = data.distribution
    draw = _gaussian if law.gaussian and law.cov.any() else _any_law
    n = PICTURED if law.gaussian else PICTURED_OF_MIXTURE
    latents = normal(n, data.latent_dim, generator=stream(data.seeds[0], "picture")).to(gan.placed)
    verdict = Verdict(lambda x: gan.discriminator(x.to(gan.placed)).float().cpu(), gan.logistic)
    return Picture(draw(gan, data, iterations, data.examples()[:n], gan.generator(latents).float().cpu(), verdict))


def _replicas(gan: GAN, data: GaussianDataModule, iterations: int) -> Picture:
    """What the replicas of a run have become: how their distances are distributed, came about, and look."""
    law, history = data.distribution, gan.history
    alive = [i for i in range(gan.replicas) if i not in gan.diverged]
    means, covs = data.validation.moments(gan.generator)
    tag = "val/w2" if law.gaussian else "val/sliced_w2"
    scores = [row[tag] for row in history]
    last = scores[-1] if scores else torch.full((gan.replicas,), torch.inf, dtype=torch.float64)
    median = quantiles(last, [0.5]).item()
    name = tag.removeprefix("val/").replace("_", " ").replace("w2", "W₂")
    drawn = law.gaussian and law.cov.any()
    figure = replicas_figure(
        scores=last,
        floors=data.mle_w2(iterations),
        iterations=[row["iteration"] for row in history],
        quantiles=torch.stack([quantiles(values) for values in scores], 1) if scores else torch.empty(3, 0),
        law=(law.mean, law.cov) if drawn else None,
        learned=(means[alive], covs[alive]) if drawn else None,
        tag=tag,
        title=f"{gan.replicas:,} replicas after {iterations:,} iterations: median {name} = {median:.4g}",
        averages=[quantiles(row[f"{tag}_ema"], [0.5]).item() for row in history if f"{tag}_ema" in row],
    )
    return Picture(figure)


def _gaussian(
    gan: GAN, data: GaussianDataModule, iterations: int, real: Tensor, fake: Tensor, verdict: Verdict
) -> Figure:
    law = data.distribution
    mean, cov = (moment.cpu() for moment in data.validation.moments(gan.generator))
    return game_figure(
        real=Cloud(real, law.mean, law.cov),
        fake=Cloud(fake, mean, cov),
        verdict=verdict,
        history=gan.history,
        mle=0.0 if (mle := data.mle_w2(iterations)) is None else mle.item(),
        title=f"iteration {iterations:,}: W₂ = {gaussian_w2(law.mean, law.cov, mean, cov):.4g}",
        average=None if gan.generator_ema is None else data.validation.moments(gan.generator_ema),
    )


def _any_law(
    gan: GAN, data: GaussianDataModule, iterations: int, real: Tensor, fake: Tensor, verdict: Verdict
) -> Figure:
    title, tag, law = f"iteration {iterations:,}", "val/sliced_w2", data.distribution
    if gan.history:
        tag = score(gan.history[-1])
        title += f": {tag.removeprefix('val/').replace('_', ' ').replace('w2', 'W₂')} = {gan.history[-1][tag]:.4g}"
    density = law.log_prob if data.validation.has_density else None
    modes = (law.modes, law.std) if hasattr(law, "modes") else None  # type: ignore[attr-defined]
    return mixture_figure(real, fake, density, verdict, gan.history, tag, title, modes)


def logit(gan: GAN, data: GaussianDataModule, iterations: int) -> Picture | None:
    """The discriminator's logit beside the optimal one, log p/q, where both laws have densities."""
    if _of_many("logit", gan):
        return None
    law = data.distribution
    learned = gaussian_density(gan.generator)
    if learned is None or not data.validation.has_density:
        return None
    error = gan.history[-1].get("val/logit_error") if gan.history else None
    return Picture(
        logit_figure(
            logit=lambda x: gan.discriminator(x.to(gan.placed)).squeeze(-1).double().cpu(),
            log_ratio=lambda x: law.log_prob(x) - learned.log_prob(x.double()),
            mean=law.mean,
            cov=law.cov,
            title=f"iteration {iterations:,}",
            error=error,
        )
    )


def spectrum(gan: GAN, data: GaussianDataModule, iterations: int) -> Picture | None:
    """Eigenvalues of one iteration near the current point, for small games.

    By gradient steps at the players' rates and momenta, also where their optimizer is another, on one batch of the
    training set, in float64; with the networks as they are evaluated.
    """
    if _of_many("spectrum", gan):
        return None
    players = (gan.discriminator_player, gan.generator_player)
    if (n := sum(player.theta.numel() for player in players)) > MOST_PARAMETERS:
        log.info("no spectrum of a game of %d parameters: the limit is %d", n, MOST_PARAMETERS)
        return None
    game, batch = linearised(gan), _batch(data)
    with torch.enable_grad():
        jacobian = update_jacobian(game.update, game.discriminator_player, game.generator_player, batch)
    eigenvalues = torch.linalg.eigvals(jacobian)
    exact = all(type(player.optimizer) is SGD for player in players)
    figure = spectrum_figure(eigenvalues, title=f"iteration {iterations:,}", exact=exact)
    return Picture(figure, {"game/spectral_radius": eigenvalues.abs().max().item()})


def portrait(gan: GAN, data: GaussianDataModule, iterations: int) -> Picture | None:
    """The path of a game of two parameters, over the directions in which its players descend."""
    if _of_many("portrait", gan) or len(gan.trajectory) == 0 or gan.trajectory[0].numel() != 2:
        return None
    game, batch = linearised(gan), _batch(data)
    generator, discriminator = game.generator_player, game.discriminator_player

    def field(points: Tensor) -> Tensor:
        directions = []
        for theta, psi in points.reshape(-1, 2).tolist():
            generator.theta.fill_(theta)
            discriminator.theta.fill_(psi)
            with torch.enable_grad():
                gradients = (generator.gradient(batch), discriminator.gradient(batch))
            rates = [player.optimizer.param_groups[0]["lr"] for player in (generator, discriminator)]
            directions.append(torch.cat([-rate * g for rate, g in zip(rates, gradients, strict=True)]))
        return torch.stack(directions).reshape(points.shape)

    return Picture(portrait_figure(torch.stack(gan.trajectory), field, title=f"iteration {iterations:,}"))


def _of_many(name: str, gan: GAN) -> bool:
    if gan.replicas > 1:
        log.info("no %s of %d replicas: it is a picture of one run", name, gan.replicas)
    return gan.replicas > 1


def linearised(gan: GAN) -> GAN:
    """A copy of a game in float64 on the CPU whose players take gradient steps at their present rates and momenta."""
    players = (gan.discriminator_player, gan.generator_player)
    groups = [player.optimizer.param_groups[0] for player in players]
    sgd_d, sgd_g = (partial(SGD, lr=group["lr"], momentum=group.get("momentum", 0.0)) for group in groups)
    copy = GAN(
        deepcopy(gan.generator).double().cpu(),
        deepcopy(gan.discriminator).double().cpu(),
        gan.game.objective,
        deepcopy(gan.update),
        sgd_d,
        sgd_g,
        penalties=gan.game.penalties,
        player_d=gan.player_d,
        player_g=gan.player_g,
    )
    copy.configure_optimizers()
    return copy


def _batch(data: GaussianDataModule) -> Batch:
    return Batch(*(None if column is None else column[:BATCH].double() for column in data.draw_epoch(0)))  # type: ignore[arg-type]
