"""Measure generated examples against real examples that training does not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.examples import FEWEST, Examples
from gaussgan.data.layout import Layout
from gaussgan.evaluation.features import Inception, extract
from gaussgan.evaluation.quality import Quality
from gaussgan.evaluation.samples import frechet, sliced_w2
from gaussgan.rng import stream

Features = Callable[[Tensor], Tensor]  # maps n examples, [n, d] or [n, C, H, W], to features, [n, f]
COPYING = ("memorisation", "memorisation_p")  # training examples replay themselves, so these have no baseline


class HeldOut:
    """Measures generated examples against one or two held-out parts of the real examples.

    All runs on the same examples make the same random choices, also if their seeds differ.

    Args:
        train: the training examples, [..., N, d]. Leading dimensions are those of replicas with data of their own.
        parts: maps "val", and perhaps "test", to held-out examples, [..., n, d].
        samples: the largest number of examples that are compared.
        layout: the meaning of the columns of given examples. If they are images, the score is the Fréchet distance,
            otherwise the sliced W₂.
        features: maps examples to features, in which all is measured; None to measure the examples themselves. Images
            are given with numbers from −1 (black) to 1 (white).

    Raises:
        ConfigError: when there are too few examples to find nearest neighbours.
    """

    def __init__(
        self,
        train: Tensor,
        parts: Mapping[str, Tensor],
        samples: int,
        layout: Layout | None = None,
        features: Features | None = None,
    ) -> None:
        self.train, self.parts, self.samples, self.layout, self.features = train, parts, samples, layout, features
        self.images = layout is not None and layout.shape is not None
        self.score = "val/frechet" if self.images else "val/sliced_w2"
        n = min(samples, train.shape[-2], *(part.shape[-2] for part in parts.values()))
        if n < FEWEST:
            raise ConfigError(
                f"data.validation_samples and data.num_examples must be at least {FEWEST}, to find nearest neighbours"
                f" (got {n})"
            )
        self._made: dict[str, Quality] = {}
        self._train_features: Tensor | None = None

    def distance(self, fake: Tensor) -> dict[str, Tensor]:
        """Return the score of generated examples, [..., samples, d], as a dict from its tag to its value."""
        quality = self._of("val")
        fake = self._features(fake[..., : quality.n, :])
        if self.images:
            return {self.score: frechet(quality.real, fake)}
        return {self.score: sliced_w2(quality.real, fake, quality.directions)}

    def quality(self, fake: Tensor, part: str = "val") -> dict[str, Tensor]:
        """Return all measures of generated examples, [..., samples, d]; see `Quality`. Tags are like val/coverage."""
        quality = self._of(part)
        return self._tagged(part, quality(self._features(fake[..., : quality.n, :])))

    def quality_names(self) -> list[str]:
        """Return the tags of the result of `quality`, without the score."""
        return [tag for tag in self._tagged("val", self._of("val").baseline) if tag != self.score]

    @property
    def baselines(self) -> dict[str, Tensor]:
        """The same measures with training examples in place of generated ones. A tag is like baseline/val/coverage."""
        values: dict[str, Tensor] = {}
        for part in self.parts:
            own = {name: value for name, value in self._of(part).baseline.items() if name not in COPYING}
            values |= {f"baseline/{tag}": value for tag, value in self._tagged(part, own).items()}
        return values

    def _of(self, part: str) -> Quality:
        """Return the measures against a part. They are made once, when they are needed."""
        if part not in self._made:
            if self._train_features is None:
                self._train_features = self._features(self.train)
            held_out, rng = self._features(self.parts[part]), stream(0, f"quality_{part}")
            inception = isinstance(self.features, Inception)
            self._made[part] = Quality(self._train_features, held_out, self.samples, rng, inception)
        return self._made[part]

    def _features(self, x: Tensor) -> Tensor:
        if self.features is None:
            return x
        shape = None
        if self.layout is not None and self.layout.shape is not None:
            shape, x = self.layout.shape, self.layout.light(x).mul(2).sub(1).float()
        return extract(self.features, x, shape)

    def _tagged(self, part: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {f"{part}/{name}": value for name, value in values.items() if not (self.images and name == "sliced_w2")}


def held_out_of(examples: Examples, samples: int, features: Features | None = None) -> HeldOut:
    """Return the measures for given examples: "val" for those to choose by, "test" for those to report by."""
    parts = {"val": examples.select, "test": examples.report}
    return HeldOut(examples.train, parts, samples, examples.layout, features)
