"""What the pages in docs/ say is so: their code runs, their options exist."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from conftest import PATIENCE, ROOT
from gaussgan.config.check import check
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

PAGES = ("pieces", "extending", "afterwards")
PIECES, EXTENDING, AFTERWARDS = ((ROOT / "docs" / f"{page}.md").read_text() for page in PAGES)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with the page's files in it where a reader puts them."""
    directory = tmp_path_factory.mktemp("mine")
    for part in ("conf", "scripts"):
        shutil.copytree(ROOT / part, directory / part)
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", EXTENDING, re.DOTALL):
        first, _, rest = block.partition("\n")
        if named := re.fullmatch(r"# ([\w/]+\.(?:py|yaml))", first):
            path = directory / named[1]
            assert path.suffix == ".py" or not path.exists()
            path.write_text((path.read_text() if path.exists() else "") + rest)
    return directory


def run(mine: Path, *command: str) -> str:
    result = subprocess.run(
        [sys.executable, *command], cwd=mine, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.extra  # it takes long
def test_every_piece_of_ones_own_trains_and_is_evaluated(mine: Path) -> None:
    small = ("trainer=cpu", "trainer.max_steps=3", "trainer.enable_progress_bar=false", "data.num_examples=40")
    choices = ("objective=absolute", "update=lookahead", "data=uniform", "generator=residual")
    output = run(mine, "scripts/train.py", *small, *choices, "hydra.run.dir=logs/own")
    assert "completed after 3 iterations" in output
    assert "sliced w2" in output
    assert "sliced w2" in run(mine, "scripts/evaluate.py", "logs/own", "--permutations", "19", "--trust")
    elsewhere = subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate.py", mine / "logs" / "own", "--trust"],
        cwd=mine / "conf", capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.splitlines()[-1].startswith("data.distribution: Error loading 'mine.Uniform'")


def test_its_other_python_runs(mine: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL)
    others = [block for block in blocks if not block.startswith("# mine.py")]
    assert len(others) == 1
    for block in others:
        run(mine, "-c", block)


def test_a_run_is_used_afterwards(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(compose("data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures", name="logs/mine"))
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^python scripts/train.py (.*)$", AFTERWARDS, re.MULTILINE)
    assert len(lines) == 4
    for i, line in enumerate(lines):
        words = [word for word in shlex.split(line) if word != "-m" and not word.startswith("hydra")]
        cfg = compose(*(re.sub(",.*", "", word.replace("range(8)", "0")) for word in words), name=str(i))
        check(cfg)
        assemble(cfg)
    for line in re.findall(r"^python scripts/(generate.py logs/mine .*)$", AFTERWARDS, re.MULTILINE):
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        runpy.run_path(str(ROOT / "scripts" / "generate.py"), run_name="__main__")
    assert {path.name for path in tmp_path.glob("samples.*")} == {"samples.npy", "samples.csv"}
    for block in re.findall(r"```python\n(.*?)```", AFTERWARDS, re.DOTALL):
        exec(block, names := {})
        assert names["examples"].shape == (1000, 2)


@pytest.mark.parametrize("group", ["objective", "penalty", "update", "data", "generator", "discriminator"])
def test_every_option_is_in_the_table(group: str) -> None:
    options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - {"none", "base"}
    assert options <= set(re.findall(r"`(\w+)`", PIECES)), options
