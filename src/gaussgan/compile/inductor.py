"""A step, repeated for one run by a function that PyTorch's compiler Inductor makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from gaussgan.compile.errors import NotCompiled, first_line
from gaussgan.compile.program import GOES_ON, Outcome, Stream
from gaussgan.compile.trace import Step, run, trace

# Compile in this process: processes for it would not end when this process is killed.
OPTIONS: dict[str, Any] = {"compile_threads": 1}


class InductorProgram:
    """K steps of a function for one replica: `Program` for steps with large products of matrices.

    Inductor joins the operations between the products, and leaves the products to PyTorch's libraries. The arguments
    and the results of a call are those of a `Program`.

    Measured in ms per iteration, in turns with the eager mode (float32, one thread of an AMD EPYC with AVX-512, other
    programs were running, so rows cannot be compared; see `LARGEST_WORK` for the networks). Compiling took 8 to 65 s.

    | units × batch | multiply-adds | Inductor | eager |
    |---|---|---|---|
    | 256 × 128 | 93 million | 7.1 | 9.3 |
    | 128 × 512 | 94 million | 11.6 | 16.5 |
    | 512 × 100 | 290 million | 29.2 | 33.5 |
    | 256 × 512 | 373 million | 11.6 | 19.0 |
    | ring (400 × 100) | 466 million | 38.3 | 52.2 |

    Raises:
        NotCompiled: when the step cannot be compiled; the message says why.
    """

    backend = "by torch.compile"

    def __init__(
        self, step: Step, state: Sequence[Tensor], inputs: Sequence[Tensor], watched: Sequence[int], finite: int
    ):
        self.shapes = [tensor.shape for tensor in inputs]
        self.watched, self.finite = watched, finite
        self.examples = [tensor.detach().clone() for tensor in (*state, *inputs)]
        self.graph = trace(step, state, inputs, decompose=False)
        self.outputs = len(self.graph.results) - len(state)

    def build(self) -> None:
        """Compile the program.

        Raises:
            NotCompiled: when Inductor fails.
        """
        try:
            with torch.no_grad():
                operations = make_fx(lambda *tensors: run(self.graph, tensors))(*self.examples)
                self._step = torch.compile(operations, fullgraph=True, dynamic=False, options=OPTIONS)
                self._step(*self.examples)
        except Exception as error:
            raise NotCompiled(f"Inductor fails: {first_line(error)}") from error

    def __call__(
        self, state: Sequence[Tensor], inputs: Sequence[Stream], steps: int, stopped: Tensor, threads: int = 1
    ) -> Outcome:
        sums = torch.zeros(1, self.outputs, dtype=torch.float64)
        if stopped.item() != GOES_ON:
            return Outcome(sums, stopped)
        now, outputs = [*state], torch.zeros(steps, self.outputs, dtype=torch.float64)
        with torch.no_grad():
            for k in range(steps):
                numbers = [_at(k, stream, shape) for stream, shape in zip(inputs, self.shapes, strict=True)]
                results = self._step(*now, *numbers)
                now = results[: len(state)]
                outputs[k] = torch.stack([value.double() for value in results[len(state) :]])
            lost = outputs[:, : self.finite].isfinite().logical_not().nonzero().tolist()
            if lost:
                (k, output), *_ = lost
                return Outcome(outputs.sum(0, keepdim=True), torch.tensor([k * self.outputs + output]))
            if not all(bool(now[i].isfinite().all()) for i in self.watched):
                return Outcome(outputs.sum(0, keepdim=True), torch.tensor([steps * self.outputs]))
            for old, new in zip(state, now, strict=True):
                old.copy_(new)
        return Outcome(outputs.sum(0, keepdim=True), stopped)


def _at(step: int, stream: Stream, shape: torch.Size) -> Tensor:
    """Return the numbers of an input in one step."""
    strides = torch.empty(shape, device="meta").stride()
    return stream.tensor.as_strided(shape, strides, stream.tensor.storage_offset() + step * stream.step)
