"""Training by recorded iterations equals the eager mode bit for bit. A function that is called again stands in for CUDA
graphs, which need a GPU; see tests/test_cuda.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.utils import _pytree as pytree

from gaussgan.compile.errors import NotCompiled
from gaussgan.data.loader import Batch
from gaussgan.gan.cuda_graphs import CudaGraphIterations
from gaussgan.gan.module import GAN
from gaussgan.gan.one_run import groups
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.setup import compiling
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SHORT = ("data.num_examples=36", "trainer.max_epochs=3", "~callbacks.pictures", "logger=none")  # 5 iterations an epoch
RECIPES: dict[str, tuple[str, ...]] = {
    "default": (),
    "replicas": ("replicas=3", "optimizer_d.lr=[0.02,0.05,0.1]", "penalty=r1", "penalty.weight=[0,1,2]"),
    "diverging": ("replicas=3", "optimizer_d.lr=[0.05,1e308,0.01]", "data.steps_per_execution=2"),
    "batch norm": ("generator=mlp", "generator.widths=[4]", "generator.batch_norm=true", "ema_half_life=4"),
    "schedule": (
        "update=optimistic",
        "schedule=cosine",
        "discriminator.spectral_norm=true",
        "optimizer@optimizer_g=sgd",
    ),
    "several steps": (
        "update.d_steps=2",
        "data.batch_size=4",
        "trainer.precision=64-true",
        "player_d.clip_gradient=0.1",
    ),
    "generator first": ("update.generator_first=true",),
}


class Again:
    """A function that is called again at each call, and writes its results to the same tensors."""

    def __init__(self, function: Callable[[], Any], _: torch.device) -> None:
        self.function = function
        function()
        self.outputs = function()

    def __call__(self) -> Any:
        old, new = (pytree.tree_leaves(each) for each in (self.outputs, self.function()))
        for tensor, value in zip(old, new, strict=True):
            if tensor is not None:
                tensor.copy_(value)
        return self.outputs


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let compile=on record iterations, as on a GPU."""

    def record(gan: GAN, batches: list[Batch], *_: Any) -> None:
        gan.train_block = CudaGraphIterations(gan, batches, torch.device("cpu"), Again)

    monkeypatch.setattr(compiling, "compile_gan", record)


def end(directory: str | Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(Path(directory) / "checkpoints" / "last.ckpt")
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "memory", "average_weight", "diverged", "epoch_sums")
    return {key: checkpoint[key] for key in keys}


def assert_same(one: str | Path, other: str | Path) -> None:
    ours, theirs = end(one), end(other)
    assert ours.pop("diverged") == theirs.pop("diverged")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.every_second
@pytest.mark.parametrize("overrides", RECIPES.values(), ids=RECIPES)
def test_recorded_iterations_are_the_eager_ones(compose: Compose, graphs: None, overrides: tuple[str, ...]) -> None:
    runs = [compose(*SHORT, *overrides, f"compile={mode}", name=mode) for mode in ("on", "off")]
    for cfg in runs:
        train(cfg)
    assert_same(*(cfg.run_dir for cfg in runs))


def test_a_run_that_stopped_within_an_epoch_goes_on(compose: Compose, graphs: None) -> None:
    recipe = (*SHORT, *RECIPES["schedule"], "compile=on")
    whole = compose(*recipe, name="whole")
    train(whole)
    part = compose(*recipe, "+callbacks.stop._target_=test_resume.Signal", "+callbacks.stop.signum=15",
                   "+callbacks.stop.iteration=7", "data.steps_per_execution=1", name="part")  # fmt: skip
    with pytest.raises(SystemExit):
        train(part)
    last = Path(part.run_dir) / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 7
    train(compose(*recipe, f"ckpt_path={last}", name="part"))
    assert_same(part.run_dir, whole.run_dir)


class Counting:
    """An update rule that moves only every second time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, discriminator: Any, generator: Any, batch: Batch) -> Any:
        self.calls += 1
        return [discriminator.step(batch)], [generator.step(batch)]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("update={_target_: test_cuda_graphs.Counting}", "the attribute Counting.calls changes in an iteration, .*"),
        ("optimizer_d._target_=torch.optim.Adam", "Adam keeps its own state; .*"),
    ],
)
def test_what_cannot_be_recorded_is_named(compose: Compose, override: str, reason: str) -> None:
    gan, data, _ = assemble(compose(*SHORT, *([override] if "update" not in override else ())))
    if "update" in override:
        gan.update = Counting()
    with pytest.raises(NotCompiled, match=f"^{reason}$"):
        CudaGraphIterations(gan, data.example_batches(), torch.device("cpu"), Again)


def test_making_the_graphs_changes_no_object_of_the_run(compose: Compose) -> None:
    gan, data, trainer = assemble(compose(*SHORT, "schedule=linear", "generator=mlp", "generator.batch_norm=true"))
    trainer.datamodule, gan.trainer = data, trainer
    gan.configure_optimizers()
    before = [tensor.clone() for tensor in gan.state.tensors()]
    CudaGraphIterations(gan, data.example_batches(), torch.device("cpu"), Again)
    assert all(map(torch.equal, before, gan.state.tensors()))
    assert not any(isinstance(group["lr"], Tensor) for group in groups(gan.iteration))
