"""Find the keys of a configuration that nothing reads, and suggest the keys that were meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gaussgan.config.dotted import flatten, walk
from gaussgan.config.schema import KEYS

ELSEWHERE = {  # our key, and its names in other programs
    "generator or discriminator": "model net network",
    "objective": "loss criterion",
    "optimizer_d.lr or optimizer_g.lr": "learning_rate",
    "trainer.max_steps": "steps iterations",
    "trainer.accelerator": "gpu device",
    "trainer.devices": "gpus",
    "update.d_steps": "n_critic critic_steps",
    "penalty": "gp lambda_gp gradient_penalty",
    "ema_half_life": "ema ema_decay",
    "ckpt_path": "ckpt checkpoint resume",
    "tags or hydra.run.dir": "name task_name",
    "hydra.run.dir": "log_dir output_dir",
    "--cfg job": "print_config",
}
LIKE = 0.7  # share of letters that two similar names have in common
# The key in ${key}, ${.key}, ${oc.select:key,default} and the like; then "${" if the rest of the key is looked up.
REFERENCE = re.compile(
    r"""\$\{\s*(?:oc\.(?:select|deprecated|dict\.keys|dict\.values):\s*["']?)?([^\s${}:,"']*+)(?!\s*:)(?=(\$\{)?)"""
)


def nearest(key: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the known keys that are most similar, or "" if none is similar."""
    parent, _, name = key.rpartition(".")
    likeness = {}
    for other in known:
        above, _, last = other.rpartition(".")
        if (like := _ratio(name, last)) >= LIKE and not last.startswith("_") and other != key:
            likeness[other] = like + _ratio(parent, above) / 4
    best = sorted(likeness, key=lambda other: -likeness[other])[:3]
    best = [other for other in best if likeness[other] > likeness[best[0]] - 0.2]
    if not best or likeness[best[0]] < 1:
        best = [other for other, words in ELSEWHERE.items() if name in words.split()] or best
    return f"; did you mean {' or '.join(best)}?" if best else ""


def is_misspelt(key: str, known: Iterable[str]) -> bool:
    """Return whether a known key of the same component is the same but for one or two missing or extra letters."""
    part, _, name = key.rpartition(".")
    for other in known:
        above, _, last = other.rpartition(".")
        short, long = sorted((name, last), key=len)
        letters = iter(long)
        near = len(short) > 1 and len(long) - len(short) <= 2
        if above == part and near and all(letter in letters for letter in short):
            return True
    return False


def unread(cfg: DictConfig) -> list[str]:
    """Return the dotted keys that no component reads and that no used interpolation refers to."""
    strays = [*_strays(cfg)]
    if not strays:
        return []
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    if "hydra" not in config and HydraConfig.initialized():  # a job's directory may be named after a key
        config["hydra"] = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    references = [
        (path, target)
        for path, text in walk(config)
        # Hydra keeps a copy of the typed overrides.
        if isinstance(text, str) and not ".".join(path).startswith(("hydra.overrides", "hydra.job.over"))
        for target in _targets(text, path)
    ]
    unused = [tuple(leaf.split(".")) for key in strays for leaf in _leaves(config, key)]
    before: list[tuple[str, ...]] = []
    while unused != before:  # a key in use may refer to further keys
        before = unused
        live = [target for path, target in references if not any(path[: len(key)] == key for key in before)]
        unused = [key for key in before if not any(_overlap(key, target) for target in live)]
    return [".".join(key) for key in unused]


def _targets(text: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths that the interpolations of an entry refer to.

    In ${table.${name}} the entry is known only later, so the path of the whole table is yielded.
    """
    for key, lookup in REFERENCE.findall(text):
        dots = len(key) - len(key.lstrip("."))
        names = key.replace("[", ".").replace("]", "").split(".")
        yield (*path[: -dots or 0], *filter(None, names[:-1] if lookup else names))


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two paths are the same, or one leads to a parent of the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def unknown_to_hydra(node: DictConfig, key: str = "hydra") -> Iterator[str]:
    """Yield the keys that Hydra's own configuration does not define."""
    kind = OmegaConf.get_type(node)
    known = {field.name for field in fields(kind)} if is_dataclass(kind) else {*node}
    for name in map(str, node):
        if name not in known and f"{key}.{name}" != "hydra.env":  # a group that Hydra defines
            yield f"{key}.{name}"
        elif not (OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name)):
            yield from unknown_to_hydra(node[name], f"{key}.{name}") if OmegaConf.is_dict(node[name]) else ()


def _strays(cfg: DictConfig) -> Iterator[str]:
    """Yield the unknown keys of the top level, and the entries of a list of components that are not components."""
    yield from (name for name in map(str, cfg) if name not in KEYS and name != "hydra")
    for group in ("callbacks", "logger", "penalty", "schedule"):
        entries = cfg.get(group)
        if not OmegaConf.is_dict(entries) or ("_target_" in entries and group == "schedule"):
            continue
        made = [name for name in entries if is_component(entries[name])] if group != "schedule" else []
        shared = ["weight"] if group == "penalty" and made else []
        yield from (f"{group}.{name}" for name in entries if name not in (*made, *shared))
    for player in ("player_d", "player_g"):
        yield from (f"{player}.{name}" for name in cfg[player] if str(name).startswith("_"))


def is_component(entry: Any) -> bool:
    """Return whether an entry is a mapping with a `_target_`."""
    return OmegaConf.is_dict(entry) and "_target_" in entry


def _leaves(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the dotted keys below a key of the top level. A key further down is returned itself."""
    return [*flatten({key: config[key]})] or [key] if key in config else [key]


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()
