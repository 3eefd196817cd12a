"""How far trained generators are from the truth, without torch."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

A, B = np.array([[1.0, 2.0], [-0.1, 0.5]]), np.array([1.0, 2.0])  # the data are X A + b for X ~ N(0, I)


def w2(weight: ArrayLike, bias: ArrayLike) -> NDArray[np.float64]:
    """Return the 2-Wasserstein distance between N(c, W Wᵀ) and the true distribution N(b, AᵀA).

        W₂² = |c − b|² + tr C + tr S − 2 tr (S C)^½,   C = W Wᵀ,   S = AᵀA

    For a 2 × 2 matrix M with eigenvalues of at least 0, tr M^½ = (tr M + 2 (det M)^½)^½.

    Shapes: weight [..., 2, 2], bias [..., 2] → [...].
    """
    weight, bias = np.asarray(weight, np.float64), np.asarray(bias, np.float64)
    learned, true = weight @ weight.swapaxes(-1, -2), A.T @ A
    product = true @ learned
    root = np.sqrt(np.linalg.det(product).clip(0))
    cross = np.sqrt(np.trace(product, axis1=-2, axis2=-1) + 2 * root)
    squared = ((bias - B) ** 2).sum(-1) + np.trace(learned, axis1=-2, axis2=-1) + np.trace(true) - 2 * cross
    return np.sqrt(squared.clip(0))


def statistics(weight: ArrayLike, bias: ArrayLike, loss_d: ArrayLike, loss_g: ArrayLike) -> dict[str, float]:
    """Return the median and the 90th percentile of the distances, and the share of runs whose losses read 0.693.

    Shapes: weight [..., 2, 2], bias [..., 2], and the mean losses of the last epoch [...].
    """
    distances, at_log2 = w2(weight, bias), np.abs(np.stack([loss_d, loss_g]) - np.log(2)) < 5e-4
    return {
        "w2_median": float(np.median(distances)),
        "w2_p90": float(np.quantile(distances, 0.9)),
        "share_log2": float(at_log2.all(0).mean()),
    }
