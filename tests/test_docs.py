"""What the pages in docs/ say is so: their code runs, their options exist, their figures are the measured ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from gaussgan.game.updates import Consensus
from test_updates import bilinear_game, radius

PIECES, EXTENDING = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("pieces", "extending"))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files as a reader would write them: mine.py, and the YAMLs beside the template's."""
    directory = tmp_path_factory.mktemp("mine")
    for language, block in re.findall(r"```(python|yaml)\n(.*?)```", EXTENDING, re.DOTALL):
        first, _, rest = block.partition("\n")
        if not (named := re.fullmatch(r"# ([\w/]+\.(?:py|yaml))", first)):
            continue
        path = directory / named[1].removeprefix("conf/")
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + rest)
        assert language == {"py": "python", "yaml": "yaml"}[path.suffix[1:]]
    return directory


def run(mine: Path, *command: str) -> str:
    result = subprocess.run(
        [sys.executable, *command], cwd=mine, env={"PYTHONPATH": str(mine)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_piece_of_ones_own_trains(mine: Path) -> None:
    options = {path.parent.name: path.stem for path in mine.glob("*/*.yaml")}
    assert options == {"objective": "absolute", "update": "lookahead", "data": "uniform", "generator": "residual"}
    small = ("trainer=cpu", "trainer.max_steps=3", "trainer.enable_progress_bar=false", "data.num_examples=40")
    choices = [f"{group}={name}" for group, name in options.items()]
    search = f"hydra.searchpath=[file://{mine}]"
    output = run(mine, str(ROOT / "scripts" / "train.py"), search, *small, *choices, f"hydra.run.dir={mine / 'run'}")
    assert "completed after 3 iterations" in output
    assert "sliced w2" in output


def test_its_other_python_runs(mine: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL)
    others = [block for block in blocks if not block.startswith("# mine.py")]
    assert len(others) == 1
    for block in others:
        run(mine, "-c", block)


@pytest.mark.parametrize("group", ["objective", "penalty", "update", "data", "generator", "discriminator"])
def test_every_option_is_in_the_table(group: str) -> None:
    options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - {"none", "base"}
    assert options <= set(re.findall(r"`(\w+)`", PIECES)), options


def test_consensus_on_the_bilinear_game() -> None:
    assert radius(Consensus(1.0), *bilinear_game(0.1)) == pytest.approx(0.905539, abs=1e-6)
    assert torch.tensor([0.9, 0.1]).norm().item() == pytest.approx(0.905539, abs=1e-6)
