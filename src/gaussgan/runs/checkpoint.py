"""Read checkpoints without trusting the file, check their content, and write checkpoints atomically."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, get_args, get_origin
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from gaussgan import __version__
from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.per_replica import entries
from gaussgan.config.schema import OPTIONAL, RULES
from gaussgan.data.layout import Layout
from gaussgan.gan.state import TAGS
from gaussgan.runs.files import replacing
from gaussgan.runs.frames import check_frames

# The config keys that `load_run` reads, and prefixes of such keys.
READ = ("seed", "replicas", "threads", "ema_half_life", "data.", "generator.", "discriminator.")
MAX_ENTRIES = 2_000_000  # largest number of values in a checkpoint, including those inside lists and dicts
FORM: dict[str, Any] = {  # the required entries of a checkpoint and their types; callbacks may add other entries
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "gaussgan_version": str,
    "config": dict[str, Any],
    "state_dict": dict[str, Tensor],
    "optimizer_states": list[dict[str, Any]],
    "lr_schedulers": list[dict[str, Any]],
    "DataModule": {"epoch": int, "position": int, "blocks": int},
    "loops": {"fit_loop": {"epoch_loop.manual_optimization.optim_step_progress": {"total": {"completed": int}}}},
    "callbacks": dict[str, dict[str, Any]],
    "memory": list[Tensor],
    "history": {"names": list[str], "own": list[bool], "rows": Tensor},
    "diverged": dict[int, tuple[int, str]],
    "epoch_sums": tuple[Tensor, Tensor, int],
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU. Code that the file may contain is not run.

    Raises:
        ConfigError: when the file is damaged, is not a checkpoint of this package, or comes from another minor version.
    """
    with expecting_checkpoint(path):
        with Path(path).open("rb") as file:
            _check_archive(file)
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        _check_version(path, checkpoint)
        check_form(checkpoint, FORM)
        _check_tensors(checkpoint)
        _check_config(checkpoint["config"])
        _check_sizes(checkpoint)
        if "frames" in checkpoint:
            check_frames(checkpoint["frames"], checkpoint["global_step"])
    return checkpoint


@contextmanager
def expecting_checkpoint(path: str | Path) -> Iterator[None]:
    """Turn every error inside a with block, except a ConfigError, into a ConfigError that names the file `path`.

    The block should read this file. A damaged or forged file may cause any error.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error):.200}"
        raise ConfigError(f"{path} is damaged or is not a gaussgan checkpoint ({reason})") from error


def saved_layout(checkpoint: Mapping[str, Any]) -> Layout | None:
    """Return the meaning of the columns of a run's examples; None if they do not come from a file.

    Raises:
        ValueError: when the entries do not fit each other.
    """
    state = checkpoint["DataModule"].get("layout")
    return None if state is None else Layout.from_state(state)


def save_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint to the file `path`. The write is atomic; see `replacing`."""
    with replacing(path) as temporary, temporary.open("wb") as file:  # torch hides a full disk if it opens a path
        torch.save(checkpoint, file)


def checkpoint_bytes(checkpoint: Mapping[str, Any]) -> bytes:
    """Return the content of the file that `save_checkpoint` writes."""
    content = BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()


def check_form(value: Any, form: Any, key: str = "checkpoint") -> None:
    """Check that a nested value has the required form: types, lengths of lists, shapes and precisions of tensors.

    Args:
        value: a nested value of dicts, lists, tuples, tensors and numbers.
        form: the required form of `value`. It is a type such as dict[str, Tensor], or an example with the right types,
            lengths and shapes. A dict in `value` may have more keys than the dict at the same place in `form`.
        key: the name of `value` in error messages.

    Raises:
        ValueError: when an entry of `value` does not have the form that `form` requires. The message names the entry.
    """
    if form is Any:
        return
    kind: Any = get_origin(form) or (form if isinstance(form, type) else type(form))
    kinds: Any = (float, int) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{key} must be of type {kind.__name__}")
    if inner := get_args(form):
        form = dict.fromkeys(value, inner[-1]) if kind is dict else inner if kind is tuple else inner * len(value)
        if kind is dict:
            check_form([*value], [inner[0]] * len(value), f"a key of {key}")
    if isinstance(form, dict):
        for name, inner_form in form.items():
            if name not in value:
                raise ValueError(f"{key} must have {name}")
            check_form(value[name], inner_form, f"{key}.{name}")
    elif isinstance(form, list | tuple):
        if len(value) != len(form):
            raise ValueError(f"{key} must have {len(form)} entries")
        for i, (entry, inner_form) in enumerate(zip(value, form, strict=True)):
            check_form(entry, inner_form, f"{key}.{i}")
    elif isinstance(form, Tensor) and (value.shape, value.dtype) != (form.shape, form.dtype):
        raise ValueError(f"{key} must be {form.dtype} of shape {[*form.shape]}")


def _check_version(path: str | Path, checkpoint: Any) -> None:
    """Check that a checkpoint was written by the same minor version of gaussgan. Other versions save other entries."""
    written_by = "0.1" if "epoch_account" in checkpoint else checkpoint.get("gaussgan_version", __version__)
    if written_by.split(".")[:2] != __version__.split(".")[:2]:
        raise ConfigError(f"{path} was written by gaussgan {written_by}, and gaussgan {__version__} cannot read it")


def _check_archive(file: BinaryIO) -> None:
    """Check that the checksums in the zip archive of a checkpoint are right, and that no entry is compressed.

    The function torch.load does not check the checksums.
    """
    with ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != ZIP_STORED or entry.external_attr for entry in entries):
            raise BadZipFile("an entry is not a plain file")
        size = file.seek(0, 2)
        if sum(entry.file_size for entry in entries) > size:
            raise BadZipFile("its entries are larger than the file")
        if (name := archive.testzip()) is not None:
            raise BadZipFile(f"{name} has changed")
    file.seek(0)


def _check_tensors(checkpoint: dict[str, Any]) -> None:
    """Check that a checkpoint has at most 2,000,000 values, and that each tensor stores all numbers of its shape."""
    nodes = [*islice(_nodes(checkpoint), MAX_ENTRIES + 1)]
    if len(nodes) > MAX_ENTRIES:  # a small file may contain the same list a billion times
        raise ValueError(f"it has more than {MAX_ENTRIES:,} entries")
    for tensor in (node for node in nodes if isinstance(node, Tensor)):
        usual = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_complex()
        if not usual or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError("a tensor holds fewer numbers than its shape says")


def _nodes(value: Any) -> Iterator[Any]:
    """Yield `value` itself, and all values inside its dicts, lists and tuples, at any depth."""
    yield value
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _nodes(inner)


def _check_config(config: dict[str, Any]) -> None:
    """Check that a configuration holds only plain values, and that all entries that `load_run` reads are valid."""
    for node in _nodes(config):
        if type(node) not in (dict, list, str, int, float, bool, type(None)):
            raise ValueError(f"config must hold plain values only (got {type(node).__name__})")
    flat = flatten(config)
    for key, (text, holds) in {**RULES, **OPTIONAL}.items():
        value = flat.get(key)
        if not key.startswith(READ) or (value is None and key in OPTIONAL):
            continue
        if not all(map(holds, entries(key, value, config["replicas"]))):
            raise ValueError(f"{key} must be {text} (got {value!r})")


def _check_sizes(checkpoint: dict[str, Any]) -> None:
    """Check the sizes and numbers in a checkpoint.

    For R replicas, each entry with one value for each replica must have R values. Counts must not be negative, and
    parameters must be finite.
    """
    replicas, history = checkpoint["config"]["replicas"], checkpoint["history"]
    leading = (replicas,) if replicas > 1 else ()
    epochs, names = len(history["rows"]), history["names"]
    sums, counts, _ = checkpoint["epoch_sums"]
    width = torch.Size([len(TAGS)])
    for key, holds in {
        "state_dict": all(v.shape[:1] == leading for v in checkpoint["state_dict"].values() if leading and v.ndim),
        "state_dict of finite numbers": all(v.isfinite().all() for v in checkpoint["state_dict"].values()),
        "global_step": checkpoint["global_step"] >= 0,
        "history.names": len({*names}) == len(names) == len(history["own"]),
        "history.rows": history["rows"].shape == (epochs, len(names), *(leading if epochs else ()))
        and history["rows"].dtype is torch.float64,
        "diverged": all(0 <= i < replicas for i in checkpoint["diverged"]) and len(checkpoint["diverged"]) < replicas,
        "epoch_sums": sums.shape in (width, (*leading, *width)) and counts.shape == width,
    }.items():
        if not holds:
            raise ValueError(f"{key} is not valid with replicas={replicas}")
