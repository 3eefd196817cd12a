"""The iteration of one run of a GAN that trains R runs, and the numbers in which these runs differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy, deepcopy
from functools import partial
from itertools import chain
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gaussgan.compile.errors import NotCompiled
from gaussgan.gan.averaging import averaging_rate
from gaussgan.gan.game import Game
from gaussgan.gan.iteration import Iteration
from gaussgan.gan.optimizers import VectorOptimizer
from gaussgan.gan.player import Player
from gaussgan.gan.state import AverageState, State
from gaussgan.gan.updates import start
from gaussgan.networks.replicas import Replicas


class Slot(NamedTuple):
    """A place where an iteration reads a number that may be a tensor, such as the learning rates of replicas."""

    holder: dict[str, Any]
    key: str
    entry: int | None = None

    def get(self) -> Tensor:
        value = self.holder[self.key]
        return value if self.entry is None else value[self.entry]

    def set(self, tensor: Tensor) -> None:
        if self.entry is None:
            self.holder[self.key] = tensor
        else:
            self.holder[self.key] = (
                *self.holder[self.key][: self.entry],
                tensor,
                *self.holder[self.key][self.entry + 1 :],
            )


def slots(iteration: Iteration, penalties: Sequence[Any]) -> list[Slot]:
    """Return all slots of an iteration that hold tensors. The slots of one run are those of R replicas, in order."""
    players = (iteration.discriminator, iteration.generator)
    parts = chain.from_iterable(map(components, (iteration.update, *penalties)))
    holders: list[tuple[dict[str, Any], Iterable[str]]] = [(vars(part), vars(part).keys()) for part in parts]
    holders += [(group, group.keys() - {"params"}) for group in groups(iteration)]
    holders += [(vars(player), {"clip_gradient", "clip_weights"}) for player in players]
    holders.append((vars(iteration), {"averaging_rate"}))
    found = []
    for holder, keys in holders:
        for key in sorted(keys):
            value = holder[key]
            if isinstance(value, Tensor):
                found.append(Slot(holder, key))
            elif isinstance(value, tuple):
                found += [Slot(holder, key, i) for i, entry in enumerate(value) if isinstance(entry, Tensor)]
    return found


def groups(iteration: Iteration) -> list[dict[str, Any]]:
    """Return the hyperparameters of both players' optimizers."""
    return [player.optimizer.param_groups[0] for player in (iteration.discriminator, iteration.generator)]


def iteration_of_one_run(gan: Any) -> tuple[Iteration, State, Game]:
    """Return an iteration of one of the runs that a GAN trains, a state like that of the run, and its game.

    They are copies: to call the iteration does not change the GAN.

    Raises:
        NotCompiled: when an optimizer is not a `VectorOptimizer`.
    """

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(one, value))
        return value[0].squeeze() if isinstance(value, Tensor) and differs(value, gan.replicas) else value

    def component(many: Any) -> Any:
        return map_tensors(deepcopy(many), lambda tensor: one(tensor).to(placed))  # it may count its calls

    def factory(make: Any) -> Any:
        if not isinstance(make, partial):
            return make
        return partial(make.func, *make.args, **{key: one(value) for key, value in make.keywords.items()})

    both = (gan.generator, gan.discriminator)
    networks = [each.network(0) if isinstance(each, Replicas) else deepcopy(each) for each in both]
    placed = next(networks[0].parameters())
    penalties = [component(penalty) for penalty in gan.game.penalties]
    game: Game = gan.game.like(*networks, deepcopy(gan.game.objective), penalties)
    limits = [{key: one(value) for key, value in each.items()} for each in (gan.player_d, gan.player_g)]
    players = game.players(factory(gan.optimizer_d), factory(gan.optimizer_g), 0, *limits)
    check_optimizers(players)
    update = component(gan.update)
    average, rate = None, None
    if gan.generator_ema is not None:
        rates = averaging_rate(gan.ema_half_life, placed)
        rate = rates[0].squeeze() if rates.ndim else rates
        weight = torch.ones_like(rates[0] if rates.ndim else rates)
        average = AverageState(players[1].theta.clone(), weight)
    state = State(players[0].state, players[1].state, start(update, *players), average)
    return Iteration(update, *players, rate), state, game


def differs(tensor: Tensor, replicas: int) -> bool:
    """Return whether a tensor holds one number for each replica, as [R, 1] or [R, 1, 1]."""
    return replicas > 1 and tensor.ndim > 1 and len(tensor) == tensor.numel() == replicas


def check_optimizers(players: Sequence[Player]) -> None:
    """Raise NotCompiled if an optimizer is not a `VectorOptimizer`: its state is not a part of the GAN's state."""
    for player in players:
        if not isinstance(player.optimizer, VectorOptimizer):
            name = type(player.optimizer).__name__
            raise NotCompiled(f"{name} keeps its own state; the optimizers of gaussgan.gan.optimizers do not")


def components(whole: Any) -> Iterator[Any]:
    """Yield an update rule or a penalty, and the rules in its attributes, at any depth."""
    if hasattr(whole, "__dict__"):
        yield whole
        for part in vars(whole).values():
            yield from components(part) if _is_component(part) else ()


def map_tensors(whole: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of a component in which a function of each tensor takes its place; itself if it has no tensor."""
    found: dict[str, Any] = {}
    for name, value in getattr(whole, "__dict__", {}).items():
        if isinstance(value, Tensor):
            found[name] = function(value)
        elif _is_component(value) and (new := map_tensors(value, function)) is not value:
            found[name] = new
    if not found:
        return whole
    copied = copy(whole)
    vars(copied).update(found)
    return copied


def _is_component(value: Any) -> bool:
    return callable(value) and hasattr(value, "__dict__") and not isinstance(value, nn.Module | type | FunctionType)
