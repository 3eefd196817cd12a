"""Distances between all examples of two samples, and the nearest example, in little memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PAIRS = 2**19  # number of distances that are in memory at the same time


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the squared distances between all examples of x and y, for one chunk of rows of x at a time.

        ‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2 x_iᵀ y_j

    The sums are in float64. If x and y are in float32, as examples are, the error of a distance is below the rounding
    of the coordinates themselves. An example with NaN or infinity has the distance infinity from every
    example.

    Args:
        x: the first sample, [n, d].
        y: the second sample, [m, d].

    Yields:
        The slice of the rows of x, and their squared distances, [rows, m], in float64.
    """
    y, y_squares = _finite(y)
    transposed = y.mT.contiguous()
    rows = max(1, PAIRS // max(1, len(y)))
    for start in range(0, len(x), rows):
        chunk, squares = _finite(x[start : start + rows])
        squared = torch.addmm(y_squares, chunk, transposed, alpha=-2).add_(squares.unsqueeze(-1))
        yield slice(start, start + len(chunk)), squared.clamp_(min=0)


def with_margin(squared: Tensor, x: Tensor) -> Tensor:
    """Return squared radii that are a little larger: each radius r around an example x grows by 2⁻²² (‖x‖ + r).

    This is at least the error of a distance in float32 coordinates. So an example at exactly the distance r counts as
    inside, whatever the units. Such ties are common for pixels, integers and repeated rows.

    Shapes: squared radii [..., n], examples [n, d] → [..., n].
    """
    radii = squared.sqrt()
    return (radii + (_finite(x)[1].sqrt() + radii) * 2**-22).square()


def nearest(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Find the nearest row for each example. Return the distances, [n] in float64, and the indices of these rows, [n].

    The distance from an equal row is exactly 0. The distance of an example with NaN or infinity is infinity, and its
    index has no meaning.

    Args:
        x: the examples, [n, d].
        rows: the rows among which the nearest are searched, [m, d].
    """
    smallest = torch.full((len(x),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(x), dtype=torch.long)
    for chunk, squared in squared_distances(rows, x):
        values, places = squared.min(0)
        closer = values < smallest
        smallest, index = values.where(closer, smallest), (places + chunk.start).where(closer, index)
    distance = (x.double() - rows[index].double()).norm(dim=-1)  # not the root of `smallest`, which has rounding errors
    return distance.where(smallest.isfinite(), torch.inf), index


def _finite(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x in float64 and its squared norms. Examples that are not finite become zeros with an infinite norm."""
    x = x.double()
    squares = x.square().sum(-1)
    finite = squares.isfinite()
    if not finite.all():
        x, squares = x.where(finite.unsqueeze(-1), 0), squares.where(finite, torch.inf)
    return x, squares
