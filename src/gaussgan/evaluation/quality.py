"""All measures of generated examples for data without a known distribution."""

from __future__ import annotations

from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from gaussgan.evaluation.memorisation import Memorisation
from gaussgan.evaluation.neighbours import Neighbourhoods
from gaussgan.evaluation.samples import DIRECTIONS, fid, frechet, sliced_w2, unit_vectors


class Quality:
    """Measure generated examples against held-out examples.

    The measures are those of `sliced_w2`, `frechet`, `Neighbourhoods` (energy, precision, recall, density, coverage)
    and `Memorisation` (memorisation is its z, memorisation_p its p). What depends on the data alone is computed once.

    Args:
        train: the training examples, [..., N, d]. Only `baseline` and the memorisation test use them.
        held_out: the held-out examples, [..., n, d]. Leading dimensions are those of replicas with data of their own.
        samples: the largest number of examples that are compared.
        rng: the random number generator for the choice of examples, for directions and for cells.
        is_inception: whether the examples are features of the Inception network. Then there is also the measure fid.

    Attributes:
        n: the number of examples that are compared: `samples`, or fewer if `held_out` or `train` has fewer.

    Raises:
        ValueError: there are too few examples for nearest neighbours.
    """

    def __init__(
        self, train: Tensor, held_out: Tensor, samples: int, rng: torch.Generator, is_inception: bool = False
    ) -> None:
        self.n = min(samples, held_out.shape[-2], train.shape[-2])
        self.real, self.replayed = (each[..., _choice(each, self.n, rng), :].float() for each in (held_out, train))
        self.directions = unit_vectors(DIRECTIONS, train.shape[-1], rng)
        self.is_inception = is_inception
        self.batch = torch.broadcast_shapes(train.shape[:-2], held_out.shape[:-2])
        self.train, self.rng = train, rng

    @cached_property
    def neighbourhoods(self) -> list[Neighbourhoods]:
        return [Neighbourhoods(_entry(self.real, i)) for i in _indices(self.batch)]

    @cached_property
    def memorisation(self) -> list[Memorisation]:
        made, state = [], self.rng.get_state()
        for i in _indices(self.batch):
            self.rng.set_state(state)  # each replica makes the random choices of a single run
            made.append(Memorisation(_entry(self.train, i), _entry(self.real, i), self.rng))
        return made

    def __call__(self, fake: Tensor) -> dict[str, Tensor]:
        """Measure n generated examples, [..., n, d]. Return a dict from names to measures, [...], in float64.

        Raises:
            ValueError: `fake` does not have n examples. Most measures are biased, and the bias depends on n.
        """
        if fake.shape[-2] != self.n:
            raise ValueError(f"{self.n} real examples are compared with as many generated ones, not {fake.shape[-2]}")
        shape = torch.broadcast_shapes(self.batch, fake.shape[:-2])
        rows = [self._of_distances(_entry(fake, i), _position(i, self.batch)) for i in _indices(shape)]
        values = {name: torch.stack([row[name] for row in rows]).reshape(shape) for name in rows[0]}
        fake = fake.expand(*shape, *fake.shape[-2:])
        moments = {"sliced_w2": sliced_w2(self.real, fake, self.directions), "frechet": frechet(self.real, fake)}
        return moments | ({"fid": fid(self.real, fake)} if self.is_inception else {}) | values

    @cached_property
    def baseline(self) -> dict[str, Tensor]:
        """The same measures of n training examples.

        A good generator reaches about these values. The exception is memorisation: training examples replay themselves,
        so its baseline is the value of a generator that only copies, and a good generator has about 0.
        """
        return self(self.replayed)

    def _of_distances(self, fake: Tensor, position: int) -> dict[str, Tensor]:
        copying = self.memorisation[position](fake)
        values = self.neighbourhoods[position](fake)
        return values | {"memorisation": copying.z, "memorisation_p": copying.p}


def _choice(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    return torch.randperm(x.shape[-2], generator=rng)[:n]


def _indices(shape: torch.Size) -> list[tuple[int, ...]]:
    return list(product(*map(range, shape)))


def _entry(x: Tensor, index: tuple[int, ...]) -> Tensor:
    """Return one sample, [n, d], of a batch of samples. Dimensions that x lacks are ignored, as in broadcasting."""
    for i in index[len(index) - (x.ndim - 2) :]:
        x = x[i if len(x) > 1 else 0]
    return x


def _position(index: tuple[int, ...], batch: torch.Size) -> int:
    """Return the place, in `_indices(batch)`, of the entry that broadcasting pairs with an index."""
    own = index[len(index) - len(batch) :]
    return sum(i * batch[at + 1 :].numel() for at, i in enumerate(own) if batch[at] > 1)
