"""Find the unknown keys of a configuration, and suggest similar known keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gaussgan.config.dotted import flatten, walk
from gaussgan.config.schema import KEYS, SINGLE

FOREIGN_NAMES = {  # what to type in gaussgan → the names of the same setting in other programs, separated by spaces
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
    "init_from": "pretrained pretrained_path warm_start finetune finetune_from load_from init",
    "tags or hydra.run.dir": "name task_name",
    "hydra.run.dir": "log_dir output_dir",
    "hydra.sweeper.batch": "n_jobs",
    "--cfg job": "print_config",
}
SIMILAR = 0.7  # two names are similar if their SequenceMatcher ratio is at least this
# Finds the key in ${key}, ${.key}, ${oc.select:key,default} and so on; this is the first group. The second group is
# "${" if another interpolation follows inside the key, as in ${table.${name}}.
REFERENCE = re.compile(
    r"""\$\{\s*(?:oc\.(?:select|deprecated|dict\.keys|dict\.values):\s*["']?)?([^\s${}:,"']*+)(?!\s*:)(?=(\$\{)?)"""
)


def did_you_mean(key: str, known: Iterable[str], foreign: Mapping[str, str] = FOREIGN_NAMES) -> str:
    """Return a text such as "; did you mean seed?" that suggests similar known keys, or "" if there are none.

    If the key is a name that other programs use, such as learning_rate, the text suggests our key with this meaning,
    unless a known key has almost the same name.

    Args:
        key: the unknown key.
        known: the known keys.
        foreign: names of the same setting in other programs; {} if `key` is not a key of gaussgan.
    """
    parent, _, name = key.rpartition(".")
    similarity = {}
    for other in known:
        above, _, last = other.rpartition(".")
        if (like := _similarity(name, last)) >= SIMILAR and not last.startswith("_") and other != key:
            similarity[other] = like + _similarity(parent, above) / 4
    best = sorted(similarity, key=lambda other: -similarity[other])[:3]
    best = [other for other in best if similarity[other] > similarity[best[0]] - 0.2]
    if not best or similarity[best[0]] < 1:
        best = [other for other, words in foreign.items() if name in words.split()] or best
    return f"; did you mean {' or '.join(best)}?" if best else ""


def is_misspelt(key: str, known: Iterable[str]) -> bool:
    """Return whether adding or removing at most two letters turns a key into a known key.

    The letters must be in the last name of the dotted key: "trainer.max_step" is near "trainer.max_steps".
    """
    component, _, name = key.rpartition(".")
    for other in known:
        above, _, last = other.rpartition(".")
        short, long = sorted((name, last), key=len)
        letters = iter(long)
        near = len(short) > 1 and len(long) - len(short) <= 2
        if above == component and near and all(letter in letters for letter in short):
            return True
    return False


def unread_keys(cfg: DictConfig) -> list[str]:
    """Return the unknown keys of a configuration to which no interpolation refers, as dotted keys.

    For an unknown section, these are the keys of the values inside it. Only interpolations in known keys count, and
    those in unknown keys to which such an interpolation leads.
    """
    if not (unknown := [*_unknown_keys(cfg)]):
        return []
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    if "hydra" not in config and HydraConfig.initialized():  # hydra.run.dir may contain interpolations
        config["hydra"] = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    references = [
        (path, target)
        for path, text in walk(config)
        # Hydra's copies of the command-line overrides do not count.
        if isinstance(text, str) and not ".".join(path).startswith(("hydra.overrides", "hydra.job.over"))
        for target in _referenced_paths(text, path)
    ]
    unused = [tuple(leaf.split(".")) for key in unknown for leaf in _leaves(config, key)]
    before: list[tuple[str, ...]] = []
    while unused != before:  # an interpolation in a used key may refer to another unknown key
        before = unused
        live = [target for path, target in references if not any(path[: len(key)] == key for key in before)]
        unused = [key for key in before if not any(_overlap(key, target) for target in live)]
    return [".".join(key) for key in unused]


def _referenced_paths(text: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """For each interpolation in a text, yield the path of the key to which the interpolation refers.

    The path of the key a.b is ("a", "b"). For ${table.${name}}, yield ("table",), because the value of `name` is not
    known here.

    Args:
        text: the value of a key.
        path: the path of this key. A relative interpolation, such as ${.other}, is read relative to this path.
    """
    for key, lookup in REFERENCE.findall(text):
        dots = len(key) - len(key.lstrip("."))
        names = key.replace("[", ".").replace("]", "").split(".")
        yield (*path[: -dots or 0], *filter(None, names[:-1] if lookup else names))


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two paths are equal, or whether one path is the beginning of the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def unknown_to_hydra(node: DictConfig, key: str = "hydra") -> Iterator[str]:
    """Yield each key inside a node that is unknown to Hydra, as a dotted key.

    Args:
        node: the section `hydra` of a configuration, or a mapping inside that section.
        key: the dotted key of `node`, such as "hydra.run".
    """
    schema = OmegaConf.get_type(node)
    known = {field.name for field in fields(schema)} if is_dataclass(schema) else {*node}
    for name in map(str, node):
        if name not in known and f"{key}.{name}" != "hydra.env":  # hydra/env is a config group of Hydra
            yield f"{key}.{name}"
        elif not (OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name)):
            yield from unknown_to_hydra(node[name], f"{key}.{name}") if OmegaConf.is_dict(node[name]) else ()


def _unknown_keys(cfg: DictConfig) -> Iterator[str]:
    """Yield the unknown keys of a configuration as dotted keys.

    Only the top level and the following sections are searched. In `callbacks`, `logger`, `penalty` and `augment`, each
    entry must be a component with a `_target_`; any other entry is unknown. The key penalty.weight is known if
    `penalty` contains a component. In a section of `SINGLE` without a `_target_`, every key is unknown. In `player_d`
    and `player_g`, each key that starts with an underscore is unknown.
    """
    yield from (name for name in map(str, cfg) if name not in KEYS and name != "hydra")
    for group in ("callbacks", "logger", "penalty", "augment", *SINGLE):
        entries = cfg.get(group)
        if not OmegaConf.is_dict(entries) or ("_target_" in entries and group in SINGLE):
            continue
        components = [name for name in entries if is_component(entries[name])] if group not in SINGLE else []
        shared = ["weight"] if group == "penalty" and components else []
        yield from (f"{group}.{name}" for name in entries if name not in (*components, *shared))
    for player in ("player_d", "player_g"):
        yield from (f"{player}.{name}" for name in cfg[player] if str(name).startswith("_"))


def is_component(entry: Any) -> bool:
    """Return whether an entry is a mapping with a `_target_`."""
    return OmegaConf.is_dict(entry) and "_target_" in entry


def _leaves(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the dotted keys of all values inside a top-level section, or [key] if `key` is not such a section."""
    return [*flatten({key: config[key]})] or [key] if key in config else [key]


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()
