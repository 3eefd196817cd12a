"""Record a function that computes on a GPU as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gaussgan.compile.errors import NotCompiled, first_line


class CudaGraph:
    """A function without arguments, recorded once, and then repeated without the time that Python needs.

    A call repeats all operations of the function on the tensors that it used when it was recorded. It returns the
    tensors that the function returned then, with new values. The next call overwrites them. For the rules see
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. No GPU was at hand when this class was written: it
    has not been run yet.

    Args:
        function: must do the same operations in each call. It is called three times before it is recorded.
        device: the GPU.

    Raises:
        NotCompiled: when the function waits for the GPU, draws random numbers, or cannot be recorded.
    """

    def __init__(self, function: Callable[[], Any], device: torch.device) -> None:
        self.function = function  # kept, because the graph uses the memory of its tensors
        try:
            with torch.cuda.device(device):
                self._record()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise NotCompiled(_reason(error)) from error

    def _record(self) -> None:
        # Libraries and autograd remember the stream of a first call. So all calls are on the stream of the recording.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        random = torch.cuda.get_rng_state()
        with torch.cuda.stream(stream):
            self.function()  # libraries may wait for the GPU when they are loaded
            with _without_waiting():  # an error while a graph is recorded could spoil the process
                self.function()
                self.function()
        torch.cuda.current_stream().wait_stream(stream)
        if not random.equal(torch.cuda.get_rng_state()):
            raise NotCompiled("it draws random numbers")
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=stream):
            self.outputs = self.function()

    def __call__(self) -> Any:
        self.graph.replay()
        return self.outputs


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Let an operation that waits for the GPU raise an error, inside a with block."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _reason(error: RuntimeError) -> str:
    if "synchronizing CUDA operation" in str(error):
        return "it waits for the GPU, as a branch on the value of a tensor does; use torch.where instead"
    return f"it cannot be recorded as a CUDA graph: {first_line(error)}"
