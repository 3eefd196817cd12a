"""`resolved` agrees with OmegaConf."""

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaussgan.config.resolve import resolved

TEXTS = (
    "${seed}", "${a.b}", "${a}", "${list}", "${a.chain}", "${run_dir}/x", "${a.b}-${seed}:${none}", "${.b}",
    "${..seed}", r"\${seed}", r"a\\${seed}", "$${seed}", "${ seed }", "${a[b]}", "${a['b']}", "${list.1}",
    "${list[0]}", "${missing}", "${missing}x", "${absent}", "${a.absent}", "${seed.x}", "${oc.select:absent,7}",
    "${oc.env:ABSENT,x}", "${a.${name}}", "${hydra:job.num}", "${hydra.job.num}", "x${hydra.job.num}", "${hydra}",
    "${oc.select:hydra.job.num,1}", "${loop}", "${yes}", "${yes}${float}", "${float}", "${x-y}", "${seed", "$seed",
    "{seed}", "${text}", "${oc.decode:'[1,2]'}", "${true}", "${oc.dict.keys:a}",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", ["top", "nested", "listed"])
def test_resolves_as_omegaconf_does(text: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"top": text, "nested": {"b": 3, "c": [{"d": text}], "e": {"f": text}}, "listed": [1, text]}[place]
    task = {
        "a": {"b": 2, "chain": "${seed}"}, "list": [1, "${seed}"], "seed": 5, "run_dir": "${hydra:job.name}",
        "none": None, "missing": "???", "name": "b", "yes": True, "float": 1e-9, "text": "a ${name}", "true": 8,
        "x-y": 9, "entry": entry,
    }  # fmt: skip
    if text == "${loop}":
        task["loop"] = "${entry}"
    hydra = {"job": {"num": 7, "name": "job"}}
    monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": hydra}))
    try:
        expected = OmegaConf.to_container(OmegaConf.create(task), resolve=True)
    except (OmegaConfBaseException, RecursionError):
        with pytest.raises((OmegaConfBaseException, RecursionError)):
            resolved(OmegaConf.create({**task, "hydra": hydra}))
        return
    assert repr(resolved(OmegaConf.create({**task, "hydra": hydra}))) == repr(expected)


def test_resolves_the_template(compose) -> None:
    cfg = compose("penalty=[r1,wgan_gp]", "penalty.weight=2", "data.num_examples=${seed}", "seed=50")
    assert resolved(cfg) == OmegaConf.to_container(cfg, resolve=True)
