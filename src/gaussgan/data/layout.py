"""The meaning of the columns of given examples: their names, their units, and the shape of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The meaning of the columns of examples. A checkpoint holds it, so that a run can be used without its file.

    A run computes with standardised numbers x. In the units of the file they are x · scale + shift.

    Args:
        names: the names of the d columns.
        shift: the shift of each column, [d], in float64.
        scale: the scale of each column, [d], in float64.
        low: the smallest value of each column in the units of the file, [d]; of images, that of all columns,
            which is the value of black.
        high: the largest value of each column in the units of the file, [d]; of images, that of all columns,
            which is the value of white.
        shape: [C, H, W] if an example is an image with C channels, else None.
    """

    names: tuple[str, ...]
    shift: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor
    shape: tuple[int, int, int] | None = None

    def original(self, x: Tensor) -> Tensor:
        """Return examples in the units of the file, [..., d], in float64."""
        return x.double() * self.scale + self.shift

    def standardised(self, x: Tensor) -> Tensor:
        """Return examples in the units of the run, [..., d], in float64. It is the inverse of `original`."""
        return (x.double() - self.shift) / self.scale

    @property
    def dim(self) -> int:
        """d, the number of columns."""
        return len(self.names)

    @property
    def drawable(self) -> bool:
        """True if examples can be drawn as images: they are images of one or three channels."""
        return self.shape is not None and self.shape[0] in (1, 3)

    def light(self, x: Tensor) -> Tensor:
        """Return examples with 0 for `low` and 1 for `high`, [..., d], in float64. They are not clamped to [0, 1]."""
        return (self.original(x) - self.low) / (self.high - self.low).where(self.high > self.low, 1)

    def pixels(self, x: Tensor) -> Tensor:
        """Return images with numbers in [0, 1]: [..., H, W] for one channel, and [..., H, W, C] for three.

        Raises:
            ValueError: when the examples are not images of one or three channels.
        """
        if self.shape is None or not self.drawable:
            raise ValueError("data.shape must be [1, H, W] or [3, H, W] to draw examples as images")
        images = self.light(x).clamp(0, 1).unflatten(-1, self.shape)
        return images.squeeze(-3) if self.shape[0] == 1 else images.movedim(-3, -1)

    def state(self) -> dict[str, Any]:
        """Return the content as plain values and tensors, for a checkpoint."""
        return {**vars(self), "names": [*self.names], "shape": None if self.shape is None else [*self.shape]}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Layout:
        """Return the layout from a result of `state`.

        Raises:
            ValueError: when the entries do not fit each other.
        """
        shape = state["shape"]
        layout = Layout(**{**state, "names": tuple(state["names"]), "shape": None if shape is None else tuple(shape)})
        d = layout.dim
        check_shape(layout.shape, d)
        if any(each.shape != (d,) for each in (layout.shift, layout.scale, layout.low, layout.high)):
            raise ValueError(f"layout must have {d} numbers in each tensor, one for each name")
        return layout


def check_shape(shape: tuple[int, int, int] | None, d: int) -> None:
    """Check that an example of d numbers is an image of the given shape.

    Raises:
        ValueError: when it is not.
    """
    if shape is None:
        return
    if len(shape) != 3 or not all(type(size) is int and size >= 1 for size in shape):
        raise ValueError(f"data.shape must be [C, H, W], three whole numbers of at least 1 (got {[*shape]})")
    if prod(shape) != d:
        raise ValueError(f"data.shape must have C · H · W = {d}, the numbers of a row (got {[*shape]}: {prod(shape)})")
