"""Run a step with a compiled program and with PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.compile.program import GOES_ON, Outcome, Program, Stream

Step = Callable[[list[Tensor], list[Tensor]], Sequence[Tensor]]


def change(function: Callable[..., Any]) -> Step:
    """A step that changes the tensors of the state, has no inputs, and has one output, 0."""

    def step(state: list[Tensor], _: list[Tensor]) -> list[Tensor]:
        function(*state)
        return [torch.zeros(())]

    return step


def compiled(step: Step, state: Sequence[Tensor], inputs: Sequence[Tensor] = (), **options: Any) -> list[Tensor]:
    """The state of one run after a step of a compiled program."""
    return run(step, state, inputs, **options)[0]


def run(
    step: Step, state: Sequence[Tensor], inputs: Sequence[Tensor] = (), steps: int = 1, finite: int = 0
) -> tuple[list[Tensor], Outcome]:
    program = Program(step, state, inputs, [], finite, single=True)
    now = [tensor.clone() for tensor in state]
    return now, program(now, [Stream(each, 0, 0) for each in inputs], steps, torch.tensor([GOES_ON]))


def compiled_rows(function: Callable[..., Any], state: Sequence[Tensor], threads: int = 1) -> list[Tensor]:
    """The states of R runs after a step: for each tensor a row for each run."""
    program = Program(change(function), [tensor[0] for tensor in state], [], [], 0, single=False)
    now = [tensor.clone() for tensor in state]
    program(now, [], 1, torch.full((len(now[0]),), GOES_ON), threads)
    return now


def eager(function: Callable[..., Any], state: Sequence[Tensor]) -> list[Tensor]:
    """The state after a step of PyTorch."""
    now = [tensor.clone() for tensor in state]
    function(*now)
    return [tensor.detach() for tensor in now]
