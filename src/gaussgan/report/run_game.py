"""What the frames of a run say about its game: the spectrum, and the optimal logit. No unknown code is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor

from gaussgan.callbacks.drawing import MAX_PARAMETERS
from gaussgan.callbacks.snapshot import BATCH
from gaussgan.data.distributions import has_density
from gaussgan.data.gaussian import is_singular
from gaussgan.evaluation.spectrum import Step, eigenvalues, sgd_players
from gaussgan.gan import objectives
from gaussgan.gan.game import Game, columns_of
from gaussgan.gan.schedules import multipliers
from gaussgan.networks.moments import has_closed_form
from gaussgan.report.run_frames import Frames
from gaussgan.runs.checkpoint import saved_layout
from gaussgan.runs.load import trained_networks
from gaussgan.runs.trust import GAME, check_trusted

MOST_ITERATIONS = 6_000  # iterations that are computed for all spectra of a page; one takes about a millisecond
OWN_SGD = "gaussgan.gan.optimizers.SGD"


def is_logistic(config: Mapping[str, Any]) -> bool:
    """Return whether the sigmoid of the discriminator's logit is a probability, for an objective of this package."""
    module, _, name = str(config["objective"]["_target_"]).rpartition(".")
    objective = getattr(objectives, name, None) if module == objectives.__name__ else None
    return getattr(objective, "logistic", False)


@dataclass(frozen=True)
class Spectra:
    """The eigenvalues of the update's Jacobian at some moments of a run.

    Args:
        frames: the indices of the moments.
        eigenvalues: the eigenvalues at each of them, complex, [n].
        exact: true if the run makes this update; false if the run uses another optimizer than SGD.
    """

    frames: list[int]
    eigenvalues: list[Tensor]
    exact: bool


def spectra(checkpoint: dict[str, Any], frames: Frames, directory: Path) -> Spectra | None:
    """Compute the spectrum of the game at the recorded moments, as the picture `spectrum` does during a run.

    Each player makes steps of SGD with its learning rate and momentum at the moment. A moment with parameters that are
    not finite is left out. If there are many parameters, only some moments are used; the last is always among them.
    Return None if the run did not record its parameters, or if its examples come from a file.

    Args:
        checkpoint: the checkpoint of a single run; see `read_checkpoint`.
        frames: its frames.
        directory: the run's directory, for error messages.

    Raises:
        ConfigError: when the configuration names a class that does not belong to this package.
    """
    size = frames.theta.shape[-1] if frames.theta.numel() else 0
    if not 0 < size <= MAX_PARAMETERS or frames.replicas or saved_layout(checkpoint) is not None:
        return None
    config = checkpoint["config"]
    check_trusted(config, directory)
    check_trusted(config, directory, GAME)
    penalties = [instantiate(term) for term in config["penalty"].values() if isinstance(term, Mapping)]
    packing = config["discriminator"].get("packing", 1)
    augmentations = [instantiate(term) for term in config.get("augment", {}).values()]
    latents = instantiate(config["latents"]) if "_target_" in config.get("latents", {}) else None
    columns = columns_of(penalties, augmentations)
    data = instantiate(config["data"], _partial_=True)(**columns, latents=latents, packing=packing)
    batch = data.first_batch(BATCH).map(Tensor.double)
    networks = trained_networks(checkpoint, data.distribution.dim, on_meta=True)
    update, objective = instantiate(config["update"]), instantiate(config["objective"])
    second_order = getattr(update, "second_order", False)
    options = (second_order, packing, augmentations)
    game = Game(networks["generator"], networks["discriminator"], objective, penalties, *options)
    schedule = instantiate(config["schedule"]) if "_target_" in config["schedule"] else None
    end = checkpoint.get("planned_iterations", 1)
    known = [i for i, theta in enumerate(frames.theta) if theta.isfinite().all()]
    result: dict[int, Tensor] = {}
    for i in _some(known, 2 * size):
        progress = min(frames.iterations[i].item() / end, 1)
        shares = (1.0, 1.0) if schedule is None else multipliers(schedule(progress))
        steps = [
            Step(share * config[f"optimizer_{p}"]["lr"], _momentum(config[f"optimizer_{p}"]), config[f"player_{p}"])
            for share, p in zip(shares, "dg", strict=True)
        ]
        players = sgd_players(game, *steps)
        discriminator, generator = players
        theta_g, theta_d = frames.theta[i].double().split([generator.theta.numel(), discriminator.theta.numel()])
        discriminator.theta.copy_(theta_d)
        generator.theta.copy_(theta_g)
        with torch.enable_grad():
            result[i] = eigenvalues(update, *players, batch)
    exact = all(config[f"optimizer_{p}"]["_target_"] == OWN_SGD for p in "dg")
    return Spectra([*result], [*result.values()], exact)


def _momentum(optimizer: Mapping[str, Any]) -> float:
    return optimizer.get("momentum") or 0.0


def _some(known: list[int], cost: int) -> list[int]:
    """Return at most as many of the moments as `MOST_ITERATIONS` allows, evenly spaced, with the last one."""
    most = max(2, MOST_ITERATIONS // cost)
    if len(known) <= most:
        return known
    chosen = torch.linspace(0, len(known) - 1, most).round().long().tolist()
    return [known[i] for i in chosen]


def log_density(checkpoint: dict[str, Any], frames: Frames, directory: Path) -> tuple[Tensor, Tensor] | None:
    """Return the logarithms of the true density p and of the density q of the generator's output on the frames' grid.

    Return None if one of the two is unknown.

    Returns:
        log p at the points of the grid, [g, g], or [g] for d = 1, in float64. And log q as a polynomial in the plane's
        coordinates at each moment, [T, 6]: the factors of 1, x, y, x², x y, y²; NaN at a moment at which q has no
        density.

    Raises:
        ConfigError: when the configuration names a class that does not belong to this package.
    """
    if not (frames.logits.numel() and frames.covs.numel()) or frames.replicas or saved_layout(checkpoint) is not None:
        return None
    config = checkpoint["config"]
    check_trusted(config, directory)
    distribution = instantiate(config["data"]["distribution"])
    networks = trained_networks(checkpoint, frames.dim, on_meta=True)
    if not has_density(distribution) or not has_closed_form(networks["generator"]):
        return None
    axes = frames.axes
    origin = frames.origin - axes @ (axes.mT @ frames.origin)  # the point of the plane with coordinates 0
    shift, covs = frames.means.double() - origin, frames.covs.double()
    bad = is_singular(covs) | ~covs.isfinite().all(-1).all(-1) | ~shift.isfinite().all(-1)
    covs = torch.where(bad[:, None, None], torch.eye(frames.dim, dtype=torch.float64), covs)
    precision, volume = torch.linalg.inv(covs), torch.linalg.slogdet(2 * torch.pi * covs).logabsdet
    pull = (precision @ shift.unsqueeze(-1)).squeeze(-1)
    constant = -(shift * pull).sum(-1) / 2 - volume / 2
    linear, square = pull @ axes, -(axes.mT @ precision @ axes) / 2
    if frames.dim == 1:
        zero = torch.zeros_like(constant)
        terms = [constant, linear[:, 0], zero, square[:, 0, 0], zero, zero]
    else:
        terms = [constant, *linear.unbind(-1), square[:, 0, 0], 2 * square[:, 0, 1], square[:, 1, 1]]
    log_q = torch.stack(terms, -1)
    log_q[bad] = torch.nan
    return distribution.log_prob(frames.grid()).double(), log_q
