"""Make the checkpoint of a single run from the checkpoint of R replicas."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from torch import Tensor

from gaussgan.config.per_replica import of_replica
from gaussgan.runs import history


def single_checkpoint(checkpoint: dict[str, Any], i: int, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the checkpoint that replica i would have saved as a single run. All tensors of the result are copies.

    It has no frames, because those of a single run hold more.

    Args:
        checkpoint: the checkpoint of R replicas.
        i: the index of the replica, from 0 to R − 1.
        config: the configuration of the single run. By default, it is made from the configuration of the R replicas.
    """
    rates = [_rate(optimizer["param_groups"][0], i) for optimizer in checkpoint["optimizer_states"]]
    sums, counts, number = checkpoint["epoch_sums"]
    weight = checkpoint["average_weight"]
    return {
        **deepcopy({key: value for key, value in checkpoint.items() if key not in (*REPLICATED, "frames")}),
        "state_dict": {
            key.replace("stacked.", "", 1): _row(value, i) for key, value in checkpoint["state_dict"].items()
        },
        "optimizer_states": [
            {
                "state": {key: _rows(state, i) for key, state in optimizer["state"].items()},
                "param_groups": [_group(group, i) for group in optimizer["param_groups"]],
            }
            for optimizer in checkpoint["optimizer_states"]
        ],
        "lr_schedulers": [
            {**scheduler, **{key: [lr * rate for lr in scheduler[key]] for key in ("base_lrs", "_last_lr")}}
            for rate, scheduler in zip(rates, checkpoint["lr_schedulers"], strict=False)  # may be empty
        ],
        "memory": [_row(tensor, i) for tensor in checkpoint["memory"]],
        "average_weight": None if weight is None else _row(weight, i).squeeze(-1),
        "history": history.of_replica(checkpoint["history"], i),
        "epoch_sums": (_row(sums, i) if sums.ndim > 1 else sums.clone(), counts.clone(), number),
        "diverged": {},
        "config": of_replica(checkpoint["config"], i) if config is None else config,
    }


REPLICATED = (
    "state_dict", "optimizer_states", "lr_schedulers", "memory", "average_weight", "history", "epoch_sums", "diverged",
    "config",
)  # fmt: skip


def _row(value: Tensor, i: int) -> Tensor:
    return value[i].clone() if value.ndim else value.clone()


def _rows(state: dict[str, Any], i: int) -> dict[str, Any]:
    return {key: _row(value, i) if isinstance(value, Tensor) else value for key, value in state.items()}


def _group(group: dict[str, Any], i: int) -> dict[str, Any]:
    """From a parameter group of the optimizer of R replicas, return the group of replica i as a single run.

    In the new group, the learning rate is one number.
    """
    single: dict[str, Any] = {key: _number(value, i) for key, value in group.items()}
    if "rates" in group:
        single |= {key: group[key] * _rate(group, i) for key in ("lr", "initial_lr") if key in group}
        single["rates"] = 1.0
    return single


def _rate(group: dict[str, Any], i: int) -> float:
    """Return the learning rate of replica i divided by group["lr"], where `group` is a parameter group of an optimizer.

    If the group has no entry "rates", the result is 1. Torch's own optimizers have no such entry.
    """
    return _number(group.get("rates", 1.0), i)


def _number(value: Any, i: int) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_number(entry, i) for entry in value)
    return value[i].item() if isinstance(value, Tensor) else value
