"""What the pages in docs/ say is so: their code runs, their options exist."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from conftest import PATIENCE, ROOT
from gaussgan.config.check import check
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

PAGES = ("pieces", "extending", "afterwards", "data", "digits", "experiments")
PIECES, EXTENDING, AFTERWARDS, DATA, DIGITS, EXPERIMENTS = (
    (ROOT / "docs" / f"{page}.md").read_text() for page in PAGES
)


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
    choices = ("objective=absolute", "penalty=steady", "update=anchored", "data=uniform", "generator=residual")
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


def script(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script of the page, such as `generate.py logs/mine`, in this process."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    monkeypatch.setattr(sys, "path", [*sys.path])
    runpy.run_path(str(ROOT / "scripts" / sys.argv[0]), run_name="__main__")


def commands(page: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield for each command of a page that calls a script: the line, and of train.py overrides and run directory.

    Of a sweep this is its first job.
    """
    for i, line in enumerate(re.findall(r"^python scripts/(.*)$", page, re.MULTILINE)):
        words = [
            re.sub(r"=(range\(8\)|[\d.]+,).*", lambda m: f"={m[1].rstrip(',').replace('range(8)', '0')}", word)
            for word in shlex.split(line)[1:]
        ]
        own = [word for word in words if word != "-m" and not word.startswith("hydra")]
        directory = next((word.partition("=")[2] for word in words if word.startswith("hydra.run.dir")), f"logs/{i}")
        yield line, own, directory


SMALL = (
    "data.num_examples=40",
    "data.batch_size=8",
    "data.steps_per_execution=2",
    "trainer.max_epochs=1",
    "trainer.max_steps=4",
)


def test_a_csv_becomes_rows_and_a_report(
    compose: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", DATA, re.DOTALL)
    exec(block, {})
    assert Path("points.csv").read_text().startswith("x,y,arm\n")
    widths = [f"{network}.widths=[4]" for network in ("generator", "discriminator")]
    for line, overrides, directory in commands(DATA):
        if line.startswith("train.py"):
            replicas = "replicas=2" if "replicas=8" in overrides else "replicas=1"
            train(compose(*overrides, *SMALL, *widths, replicas, name=directory))
        elif "weights" not in line:  # that of the sweep, which tests/sweep has
            script(line, monkeypatch)
    assert Path("more.csv").read_text().startswith("x,y\n")
    assert "<html" in Path("logs/spiral/report.html").read_text()
    assert "sliced w2, to report by" in capsys.readouterr().out


@pytest.mark.extra  # it takes long
def test_digits_become_pictures_and_a_report(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    narrow = ("generator.width=2", "discriminator.width=2")
    (tmp_path / "mine.py").write_text("import torch\n\n\nclass Features(torch.nn.Flatten):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    batch = torch.export.Dim("batch")
    example = torch.zeros(2, 1, 8, 8)
    torch.export.save(torch.export.export(torch.nn.Flatten(), (example,), dynamic_shapes=({0: batch},)), "features.pt2")
    for line, overrides, directory in commands(DIGITS):
        if line.startswith("train.py"):
            if "features=inception" in overrides:  # its weights are a download
                continue
            replicas = "replicas=2" if "replicas=8" in overrides else "replicas=1"
            train(compose(*overrides, *SMALL, *narrow, replicas, name=directory))
        else:
            script(line, monkeypatch)
    assert Path("digits.png").exists()
    assert len([*Path("digits").glob("*.png")]) == 1000
    assert Path("logs/film/figures/training.gif").exists()
    assert "<html" in Path("logs/film/report.html").read_text()


def last_job(sweep: str) -> list[str]:
    """Return the overrides of the last job of a sweep such as train.py -m seed=range(8) update=a,b."""
    words = [word for word in shlex.split(sweep)[1:] if word != "-m" and not word.startswith("hydra")]
    overrides = OverridesParser.create().parse_overrides(words)
    values = ([*each.sweep_string_iterator()][-1] if each.is_sweep_override() else None for each in overrides)
    return [f"{word.partition('=')[0]}={value}" if value else word for word, value in zip(words, values, strict=True)]


@pytest.mark.extra  # it takes long
def test_the_comparisons_of_experiments_are_runs(compose: Callable[..., DictConfig]) -> None:
    lines = re.findall(r"^python scripts/(train\.py .*)$", EXPERIMENTS.replace("\\\n ", ""), re.MULTILINE)
    assert len(lines) > 6
    for line in lines:
        check(compose(*last_job(line)))


def test_every_experiment_has_a_verdict() -> None:
    for path in (ROOT / "conf" / "experiment").glob("*.yaml"):
        assert f"`{path.stem}`" in EXPERIMENTS, path.stem


@pytest.mark.parametrize("group", ["objective", "penalty", "update", "data", "generator", "discriminator"])
def test_every_option_is_in_the_table(group: str) -> None:
    options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - {"none", "base"}
    assert options <= set(re.findall(r"`(\w+)`", PIECES)), options
