"""A run directory or checkpoint from an unknown source runs no code. It is refused in one line if it is damaged."""

import pickle
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from conftest import ROOT
from gaussgan import load_run
from gaussgan.config.errors import ConfigError
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import LAST
from gaussgan.runs.evaluate import measure
from gaussgan.runs.record import read_record, read_replicas
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

SMALL = ("data.num_examples=40", "trainer.max_epochs=2", "~callbacks.pictures", "update=optimistic", "schedule=cosine")
Checkpoint = dict[str, Any]


def configuration(directory: Path, *overrides: str, resumed: bool = False) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", ["trainer=cpu", "trainer.enable_progress_bar=false", *SMALL, *overrides])
    cfg.run_dir = str(directory)
    cfg.ckpt_path = str(directory / LAST) if resumed else None
    return cfg


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("a stranger's") / "rün 1"
    train(configuration(directory))
    return directory


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("replicas")
    train(configuration(directory, "replicas=3", "ema_half_life=3"))
    return directory


@pytest.fixture
def forge(run: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a run with a changed checkpoint."""

    def forge(change: Callable[[Checkpoint], Any], source: Path = run) -> Path:
        checkpoint = read_checkpoint(source / LAST)
        change(checkpoint)
        (tmp_path / LAST).parent.mkdir(exist_ok=True)
        torch.save(checkpoint, tmp_path / LAST)
        return tmp_path

    return forge


def put(*keys: Any) -> Callable[[Checkpoint], None]:
    """Return a change of a checkpoint. The last argument is the new value; the others are the keys to its place."""
    *path, name, value = keys

    def change(checkpoint: Checkpoint) -> None:
        node: Any = checkpoint
        for key in path:
            node = node[key]
        node[name] = value(node[name]) if callable(value) else value

    return change


def refusal(action: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    return message


class Mark:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


ATTACKS = {
    "a pickle by torch.load": ("torch.load", {"f": "{}/pickle", "weights_only": False}),
    "by a name that begins with ours": ("gaussgan.runs.load.torch.load", {"f": "{}/pickle", "weights_only": False}),
    "a builtin that empties a file": ("builtins.open", {"file": "{}/precious", "mode": "w"}),
    "a module in the same directory": ("beside.Anything", {}),
    "a class of ours that is no distribution": ("gaussgan.callbacks.Checkpoints", {"directory": "{}"}),
}


PLACES = {
    "data.distribution": lambda node: put("config", "data", "distribution", node),
    "data.distribution.b.1": lambda node: put("config", "data", "distribution", "b", 1, node),
    "generator": lambda node: put("config", "generator", node),
    "discriminator.activation": lambda node: put("config", "discriminator", "activation", node),
    "discriminator._args_.0": lambda node: put("config", "discriminator", "_args_", [node]),
    "discriminator.rng": lambda node: put("config", "discriminator", "rng", node),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_classes_that_a_checkpoint_names_are_not_called(
    forge: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str, place: str
) -> None:
    name, arguments = ATTACKS[attack]
    node = {"_target_": name, **{k: v.format(tmp_path) if isinstance(v, str) else v for k, v in arguments.items()}}
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "pickle").write_bytes(pickle.dumps(Mark(tmp_path / "mark")))
    (tmp_path / "beside.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    message = refusal(lambda: load_run(forge(PLACES[place](node))))
    assert f"{place}._target_={name!r}" in message
    assert "trust=True" in message
    assert not (tmp_path / "mark").exists()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_trusted_run_may_name_anything(forge: Callable[..., Path], tmp_path: Path) -> None:
    own = "class Own:\n    dim, gaussian = 2, False\n"
    (tmp_path / "own_distribution.py").write_text(own)
    directory = forge(put("config", "data", "distribution", {"_target_": "own_distribution.Own"}))
    assert "own_distribution.Own" in refusal(lambda: load_run(directory))
    sys.path.append(str(tmp_path))
    try:
        assert type(load_run(directory, trust=True).distribution).__name__ == "Own"
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.extra  # it takes long
def test_the_script_imports_nothing_from_where_it_is_called(forge: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from pathlib import Path\nPath('mark').touch()\n")
    directory = forge(put("config", "data", "distribution", {"_target_": "beside.Anything"}))
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), str(directory)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "beside.Anything" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${oc.decode:'1'}", "${oc.env:NOTHING,torch.load}"])
def test_interpolations_of_a_checkpoint_are_not_resolved(forge: Callable[..., Path], text: str) -> None:
    for keys in (("distribution", "b", 0), ("distribution", "_target_"), ("seed",)):
        directory = forge(put("config", "data", *keys, text))
        assert text in refusal(lambda directory=directory: load_run(directory))


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict):
        return [*one] == [*other] and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("kind", ["run", "replicas"])
def test_a_changed_bit_is_detected(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    path, rng = request.getfixturevalue(kind) / LAST, random.Random(0)
    data, whole = path.read_bytes(), read_checkpoint(path)
    changed = [flipped(data, rng) for _ in range(300)]
    directory = data.rindex(b"archive/data.pkl") - 46  # zip's directory: checksum, size and kind of each entry
    changed += [data[:i] + bytes([data[i] ^ 16]) + data[i + 1 :] for i in range(directory, directory + 46)]
    refused = []
    for text in [*changed, *(data[:length] for length in range(0, len(data), 1000))]:
        (tmp_path / "changed.ckpt").write_bytes(text)
        try:
            assert same(read_checkpoint(tmp_path / "changed.ckpt"), whole)
        except ConfigError as error:
            refused.append(str(error))
    assert len(refused) > 150
    assert all("is damaged or is not a gaussgan checkpoint" in line and len(line.splitlines()) == 1 for line in refused)


def doubled(times: int) -> list[Any]:
    """Return a list that holds another list twice, which again holds another list twice, and so on."""
    value: list[Any] = []
    for _ in range(times):
        value = [value, value]
    return value


WRONG: dict[str, Callable[[Checkpoint], Any]] = {
    "a small list of a billion entries": put("config", "own", doubled(40)),
    "a parameter that is NaN": put("state_dict", "generator.weight", lambda weight: weight.fill_(torch.nan)),

    "a shape": put("state_dict", "generator.weight", torch.zeros(3, 3)),
    "a type": put("state_dict", "generator.weight", torch.zeros(2, 2, dtype=torch.int64)),
    "more numbers than there are": put("history", "rows", torch.zeros(1, dtype=torch.float64).expand(10**9, 10**3)),
    "a key too few": lambda c: c["state_dict"].pop("generator.weight"),
    "a key too many": put("state_dict", lambda s: {**s, "more": torch.zeros(1)}),
    "no config": lambda c: c.pop("config"),
    "a config that is none": put("config", "text"),
    "a seed that is text": put("config", "seed", "one"),
    "replicas below 1": put("config", "replicas", -1),
    "replicas that are not there": put("config", "replicas", 10**9),
    "no data": lambda c: c["config"].pop("data"),
    "a width that takes all memory": put("config", "discriminator", "widths", [10**9, 3]),
    "history": put("history", "rows", torch.zeros(2, 2, dtype=torch.float64)),
    "diverged": put("diverged", {"0": "loss"}),
}  # fmt: skip
OF_A_RESUMED_RUN: dict[str, Callable[[Checkpoint], Any]] = {
    "no optimizer state": put("optimizer_states", []),
    "an optimizer's shape": put("optimizer_states", 0, "state", 0, "exp_avg", torch.zeros(5)),
    "an optimizer's rate": put("optimizer_states", 1, "param_groups", 0, "lr", "fast"),
    "a tensor of the update rule": put("memory", 0, torch.zeros(1)),
    "the number of tensors of the update rule": put("memory", lambda memory: memory[:1]),
    "a schedule": put("lr_schedulers", []),
    "a loop": put("loops", "fit_loop", "epoch_progress", "current", "completed", None),
    "a position in the data": put("DataModule", "position", 3),
    "a callback": put("callbacks", "Checkpoints", "least", "least"),
    "a measure": put("history", "names", 6, "val/other"),
    "Lightning's version": put("pytorch-lightning_version", "1.2.0"),
    "the number of iterations": put("global_step", 9),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_checkpoint_that_contradicts_itself_is_not_loaded(forge: Callable[..., Path], wrong: str) -> None:
    directory = forge(WRONG[wrong])
    assert "is damaged or is not a gaussgan checkpoint" in refusal(lambda: load_run(directory))


@pytest.mark.every_second
@pytest.mark.parametrize("wrong", [*WRONG, *OF_A_RESUMED_RUN])
def test_it_is_not_resumed_either_and_nothing_is_written(forge: Callable[..., Path], wrong: str) -> None:
    directory = forge({**WRONG, **OF_A_RESUMED_RUN}[wrong])
    before = sorted(directory.rglob("*"))
    message = refusal(lambda: assemble(configuration(directory, resumed=True)))
    assert message.startswith("ckpt_path: ")
    assert sorted(directory.rglob("*")) == before


def test_a_checkpoint_of_another_version_is_refused(forge: Callable[..., Path]) -> None:
    for change, version in ((put("epoch_account", ()), "0.1"), (put("gaussgan_version", "0.4.1"), "0.4.1")):
        assert f"was written by gaussgan {version}, and gaussgan 0.3" in refusal(lambda c=change: load_run(forge(c)))


def test_a_run_that_drew_other_random_numbers_is_loaded_but_not_resumed(forge: Callable[..., Path]) -> None:
    directory = forge(put("DataModule", "scheme", 1))
    load_run(directory)
    message = refusal(lambda: assemble(configuration(directory, resumed=True)))
    assert message.startswith("ckpt_path: ")
    assert "draws other random numbers for the same seed" in message


def test_a_run_larger_than_memory_is_refused_in_one_line(forge: Callable[..., Path]) -> None:
    directory = forge(put("config", "data", "num_examples", 10**14))
    assert "cannot be measured" in refusal(lambda: measure(load_run(directory)))


def test_other_files_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / LAST).parent.mkdir()
    state = read_checkpoint(run / LAST)
    lightnings = {"state_dict": state["state_dict"], "epoch": 1, "global_step": 10, "hyper_parameters": {}}
    for other in (lightnings, state["state_dict"], Mark(tmp_path / "m")):
        torch.save(other, tmp_path / LAST)
        assert "is not a gaussgan checkpoint" in refusal(lambda: load_run(tmp_path))
    zipfile.ZipFile(tmp_path / LAST, "w").close()
    assert "is not a gaussgan checkpoint" in refusal(lambda: load_run(tmp_path))
    with zipfile.ZipFile(tmp_path / LAST, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    assert "not a plain file" in refusal(lambda: load_run(tmp_path))
    for nowhere in (tmp_path / LAST, tmp_path / "nothing"):
        assert "is not a run directory" in refusal(lambda nowhere=nowhere: load_run(nowhere))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '{"a": 1}', "[1]", "\xff"])
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    for name in ("metrics.json", "replicas.csv"):
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    refusal(lambda: read_record(tmp_path))
    if text:
        (tmp_path / "replicas.csv").write_bytes(text.encode("latin-1") + b"\n1")
        refusal(lambda: read_replicas(tmp_path))


def test_an_undamaged_run_is_loaded(run: Path, replicas: Path) -> None:
    assert measure(load_run(run))["val/w2"] == pytest.approx(read_record(run)["val/w2"])
    ours, trusted = load_run(replicas, replica=1), load_run(replicas, replica=1, trust=True)
    assert measure(ours) == pytest.approx(measure(trusted))
    for directory, overrides in ((run, ()), (replicas, ("replicas=3", "ema_half_life=3"))):
        assemble(configuration(directory, *overrides, resumed=True))
