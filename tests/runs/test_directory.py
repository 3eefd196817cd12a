"""What a directory may hold, and where runs are found."""

import sys
from pathlib import Path

import pytest

from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import refuse_if_taken, run_directories
from gaussgan.runs.record import ending, write_record
from gaussgan.runs.signals import Exited, noting


def test_a_single_run_cannot_have_the_directory_of_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").touch()
    with pytest.raises(ConfigError, match=r"hydra.run.dir: .* is the directory of a sweep"):
        refuse_if_taken(tmp_path, None)
    refuse_if_taken(tmp_path / "0", None)


def test_links_between_directories(tmp_path: Path) -> None:
    """A loop ends, and a run to which a link leads is found once."""
    for name in ("2", "10"):
        (tmp_path / name).mkdir()
        write_record(tmp_path / name, {"status": "completed"})
    for name in ("latest", "last"):
        (tmp_path / name).symlink_to(tmp_path / "10")
    for name in ("loop", "other"):
        (tmp_path / name).symlink_to(tmp_path)
    assert [path.name for path in run_directories(tmp_path)] == ["2", "10"]


def test_code_that_calls_exit() -> None:
    """It must not end a sweep, and least of all with exit code 0."""
    with pytest.raises(Exited, match=r"the code of the run called sys.exit\(0\)"), noting():
        sys.exit(0)
    assert ending(SystemExit("bad data")) == ("failed", "the code of the run called sys.exit('bad data')")
    with pytest.raises(SystemExit, match="143"), noting():
        raise SystemExit(143)  # another rank of the run has received SIGTERM
    assert ending(SystemExit(143))[0] == "interrupted"
