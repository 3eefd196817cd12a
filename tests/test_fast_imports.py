"""A run does not import libraries that it does not use, and what uses them works."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PATIENCE, ROOT

UNUSED = {"torch._dynamo", "torch._inductor", "sympy", "scipy.signal", "matplotlib.pyplot", "pandas", "plotly"}

TRAINING = f"""
import runpy, sys
try:
    runpy.run_path({str(ROOT / "scripts" / "train.py")!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code
print("imported", {UNUSED!r} & {{*sys.modules}})
"""

COMPILING = """
import copy, pickle
import gaussgan
import lightning_fabric.wrappers, matplotlib, pytorch_lightning, scipy, torch, torchmetrics.utilities.plot
from pytorch_lightning.utilities.compile import from_compiled, to_uncompiled
from lightning_fabric.wrappers import OptimizedModule

class Line(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
    def forward(self, x):
        return self.weight * x
    def training_step(self, batch, index):
        loss = self(batch).mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)

assert not isinstance(Line(), OptimizedModule)
assert torch.func.grad(lambda x: x**3)(torch.tensor(2.0)) == 12
assert torch.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2)).tolist() == [2, 2, 2]
graph = torch.fx.experimental.proxy_tensor.make_fx(torch.sin)(torch.ones(2))
assert torch.equal(graph(torch.ones(2)), torch.ones(2).sin())
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
compiled = torch.compile(Line(), backend="eager")
assert isinstance(compiled, OptimizedModule) and compiled(torch.ones(1)) == 1
assert isinstance(to_uncompiled(from_compiled(compiled)), Line)
trainer = pytorch_lightning.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False)
line = copy.deepcopy(pickle.loads(pickle.dumps(Line())))
trainer.fit(line, torch.utils.data.DataLoader(torch.ones(1), 1))
assert line.weight == 0.5 and trainer.callback_metrics["loss"] == 1
assert torchmetrics.utilities.plot.plt.get_fignums() == [] and torchmetrics.MeanMetric()(torch.ones(2)) == 1
assert scipy.signal.windows.hamming(3)[1] == 1 and matplotlib.pyplot.__file__ and torch._dynamo.__file__
"""

DEGRADED = """
import sys
from gaussgan import fast_imports
fast_imports.NAMES = {sys.argv[1]: dict}
import pytorch_lightning, torch._dynamo, torchmetrics
from lightning_fabric.wrappers import OptimizedModule
assert OptimizedModule is torch._dynamo.OptimizedModule and torchmetrics.Metric.__module__ == "torchmetrics.metric"
assert not [*filter(lambda module: isinstance(module, fast_imports.StandIn), sys.modules.values())]
"""


def python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_default_run_imports_no_compiler_and_no_library_of_the_report(tmp_path: Path) -> None:
    assert "imported set()" in python(TRAINING, "trainer=cpu", "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/run")


@pytest.mark.extra  # importing torch's compiler takes long
def test_libraries_that_were_not_imported_at_first_work() -> None:
    python(COMPILING)


@pytest.mark.extra
@pytest.mark.parametrize("name", ["torch._dynamo", "torchmetrics", "lightning_utilities"])
def test_another_version_of_lightning_is_imported_in_the_ordinary_way(name: str) -> None:
    """The stand-in holds no names, as if Lightning asked for others. The last two cannot be replaced at all."""
    python(DEGRADED, name)
