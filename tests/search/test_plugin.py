"""The sweeper is there without Optuna, and names the extra that installs it."""

import subprocess
import sys

import pytest

from gaussgan.config.errors import ConfigError
from hydra_plugins.gaussgan_optuna import OptunaSweeper


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gaussgan.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"needs the package optuna: pip install .*'\.\[search\]'"):
        OptunaSweeper().sweep([])


def test_the_plugin_imports_nothing_slow() -> None:
    code = "import hydra_plugins.gaussgan_optuna, sys; assert not {'optuna', 'torch', 'pandas'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
