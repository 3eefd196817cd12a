"""Arrays of numbers as JSON that keeps every bit, for the page of a run."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import numpy as np

TYPES = {"float32": "f4", "float64": "f8", "int64": "i4", "int32": "i4"}


def pack(values: Any) -> dict[str, Any]:
    """Return an array, a tensor or a list of numbers as a dict that JSON can hold.

    The dict has three entries. "shape" is the shape. "type" is f4, f8 or i4, in little-endian byte order; whole numbers
    become i4. "data" is the content in base64. JSON itself has no NaN, and writes numbers in more characters.
    """
    array = np.ascontiguousarray(values)
    kind = TYPES[array.dtype.name]
    content = np.ascontiguousarray(array, dtype=f"<{kind}").tobytes()
    return {"shape": [*array.shape], "type": kind, "data": b64encode(content).decode()}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Return the array from a result of `pack`."""
    return np.frombuffer(b64decode(packed["data"]), dtype=f"<{packed['type']}").reshape(packed["shape"])
