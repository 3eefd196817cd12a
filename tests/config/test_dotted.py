"""Dotted keys of nested configurations, and their text as YAML."""

import math

from omegaconf import OmegaConf

from gaussgan.config.dotted import flatten, set_key, to_yaml, whole_as_int


def test_flatten_and_set_key() -> None:
    config = {"a": {"b": {"c": 1}, "d": [2]}, "e": None}
    assert flatten(config) == {"a.b.c": 1, "a.d": [2], "e": None}
    set_key(config, "a.b.c", 3)
    assert config["a"] == {"b": {"c": 3}, "d": [2]}


def test_text_equals_that_of_omegaconf() -> None:
    words = [
        "1e5",
        "1",
        "on",
        "no",
        "null",
        "0x1f",
        "${a}",
        "a: b",
        "- c",
        "θ, ψ",
        "",
        " ",
        "x" * 200,
        "two\nlines",
        "'",
        '"',
    ]
    config = {"words": words, **{f"key {word}": word for word in words}, "numbers": [1, -2.5, 1e-9, True, None, {}]}
    assert to_yaml(config) == OmegaConf.to_yaml(OmegaConf.create(config))


def test_whole_numbers_have_one_text() -> None:
    value = {"a": [1.0, 2, 0.5, (3.0,)], "b": {"c": math.inf}, "d": True, "e": "1.0", "f": None}
    expected = {"a": [1, 2, 0.5, [3]], "b": {"c": math.inf}, "d": True, "e": "1.0", "f": None}
    assert repr(whole_as_int(value)) == repr(expected)
