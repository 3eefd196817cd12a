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
        score_only: true to measure nothing but the score.

    Raises:
        ConfigError: when there are too few examples to find nearest neighbours, or when `features` fails for examples.
    """

    def __init__(
        self,
        train: Tensor,
        parts: Mapping[str, Tensor],
        samples: int,
        layout: Layout | None = None,
        features: Features | None = None,
        score_only: bool = False,
    ) -> None:
        self.score_only = score_only
        self.train, self.parts, self.samples, self.layout, self.features = train, parts, samples, layout, features
        self.images = layout is not None and layout.shape is not None
        self.score = "val/frechet" if self.images else "val/sliced_w2"
        n = min(samples, train.shape[-2], *(part.shape[-2] for part in parts.values()))
        if n < FEWEST:
            raise ConfigError(
                f"data.validation_samples and data.num_examples must be at least {FEWEST}, to find nearest neighbours"
                f" (got {n})"
            )
        self._features(train[..., :2, :])  # raises an error early
        self._made: dict[str, Quality] = {}
        self._train_features: Tensor | None = None

    def distance(self, fake: Tensor, part: str = "val") -> dict[str, Tensor]:
        """Return the score of generated examples, [..., samples, d], as a dict from its tag to its value."""
        return self._score(part, self._features(fake[..., : self._of(part).n, :]))

    def quality(self, fake: Tensor, part: str = "val") -> dict[str, Tensor]:
        """Return all measures of generated examples, [..., samples, d]; see `Quality`. Tags are like val/coverage."""
        if self.score_only:
            return self.distance(fake, part)
        quality = self._of(part)
        return self._tagged(part, quality(self._features(fake[..., : quality.n, :])))

    def quality_names(self) -> list[str]:
        """Return the tags of the result of `quality`, without the score."""
        names = {} if self.score_only else self._tagged("val", self._of("val").baseline)
        return [tag for tag in names if tag != self.score]

    @property
    def baselines(self) -> dict[str, Tensor]:
        """The same measures with training examples in place of generated ones. A tag is like baseline/val/coverage."""
        values: dict[str, Tensor] = {}
        for part in self.parts:
            if self.score_only:
                own = self._score(part, self._of(part).replayed)
            else:
                known = self._of(part).baseline.items()
                own = self._tagged(part, {name: value for name, value in known if name not in COPYING})
            values |= {f"baseline/{tag}": value for tag, value in own.items()}
        return values

    def _score(self, part: str, features: Tensor) -> dict[str, Tensor]:
        quality = self._of(part)
        if self.images:
            return {f"{part}/frechet": frechet(quality.real, features)}
        return {f"{part}/sliced_w2": sliced_w2(quality.real, features, quality.directions)}

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


def held_out_of(
    examples: Examples, samples: int, features: Features | None = None, score_only: bool = False
) -> HeldOut:
    """Return the measures for given examples: "val" for those to choose by, "test" for those to report by."""
    parts = {"val": examples.select, "test": examples.report}
    return HeldOut(examples.train, parts, samples, examples.layout, features, score_only)
