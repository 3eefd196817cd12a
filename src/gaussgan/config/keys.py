"""Which keys of a configuration nothing reads, and which keys a mistyped one resembles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gaussgan.config.dotted import flatten
from gaussgan.config.schema import KEYS

ELSEWHERE = {  # what is called by other words in other programs
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
LIKE = 0.7  # share of letters that two names must have in common


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known keys most like a key as "; did you mean …?", or nothing where none is."""
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
    """Whether a letter or two of a known key beside it are missing or too many."""
    part, _, name = key.rpartition(".")

    def within(short: str, long: str) -> bool:
        letters = iter(long)
        return 0 <= len(long) - len(short) <= 2 and all(letter in letters for letter in short)

    names = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == part]
    return any(within(name, other) or within(other, name) for other in names if min(len(name), len(other)) > 1)


def unread(cfg: DictConfig) -> list[str]:
    """Return the dotted keys that belong to nothing and that no interpolation uses."""
    strays = [*_strays(cfg)]
    if not strays:
        return []
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    if "hydra" not in config and HydraConfig.initialized():  # of a job: its directory may be named by a key
        config["hydra"] = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    keys = [leaf for key in strays for leaf in _leaves(config, key)]
    # What was typed is in Hydra's part as text.
    texts = {k: str(v) for k, v in flatten(config).items() if not k.startswith(("hydra.overrides", "hydra.job.over"))}
    inside = tuple(f"{key}." for key in keys)
    interpolated = {k: text for k, text in texts.items() if "${" in text and not f"{k}.".startswith(inside)}
    used = _USED.get(case := (*keys, *interpolated.items()))
    if used is None:
        used = _USED[case] = _used(OmegaConf.create(config), keys, interpolated)
    return [key for key in keys if key not in used]


_USED: dict[tuple[Any, ...], set[str]] = {}  # the jobs of a sweep have the same interpolations


def unknown_to_hydra(node: DictConfig, key: str = "hydra") -> Iterator[str]:
    """Yield the keys that were added to a structured configuration of Hydra's."""
    kind = OmegaConf.get_type(node)
    known = {field.name for field in fields(kind)} if is_dataclass(kind) else {*node}
    for name in map(str, node):
        if name not in known and f"{key}.{name}" != "hydra.env":  # a group of Hydra's own
            yield f"{key}.{name}"
        elif not (OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name)):
            yield from unknown_to_hydra(node[name], f"{key}.{name}") if OmegaConf.is_dict(node[name]) else ()


def _strays(cfg: DictConfig) -> Iterator[str]:
    """Yield what is no key at the top, and what is no component where components are listed by name."""
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
    return OmegaConf.is_dict(entry) and "_target_" in entry


def _leaves(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the dotted keys below a key of the top; of one further down the key itself."""
    return [*flatten({key: config[key]})] or [key] if key in config else [key]


def _used(cfg: DictConfig, keys: Iterable[str], interpolated: Mapping[str, str]) -> set[str]:
    """Return those keys that an interpolation depends on: with another value it resolves to something else.

    All entries of a table count in which another key looks one up, as in ${table.${name}}.
    """
    values = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    before, texts, used = _resolved(cfg, interpolated), " ".join(interpolated.values()), set()
    for key in keys:
        table = key.rpartition(".")[0]
        OmegaConf.update(cfg, key, "another value", merge=False, force_add=True)
        if f"{{{table}.${{" in texts or f"{{{table}[${{" in texts or _resolved(cfg, interpolated) != before:
            used.add(key)
        OmegaConf.update(cfg, key, values.get(key), merge=False, force_add=True)
    return used


def _resolved(cfg: DictConfig, keys: Iterable[str]) -> list[Any]:
    def resolve(key: str) -> Any:
        try:
            value = OmegaConf.select(cfg, key)
            return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except Exception as error:  # of any resolver
            return str(error)

    return [resolve(key) for key in keys]


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()
