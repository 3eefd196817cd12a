"""A run on a GPU is the run on the CPU: same numbers in float64, same files, and each may resume the other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from gaussgan import load_run
from gaussgan.compile.cuda import CudaGraph
from gaussgan.compile.errors import NotCompiled
from gaussgan.config.errors import ConfigError, shortage
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import LAST
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.setup.assemble import assemble
from gaussgan.setup.explain import explain
from gaussgan.setup.memory import training_needs
from gaussgan.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

Compose = Callable[..., DictConfig]
GPU = "trainer.accelerator=gpu"
DOUBLE = "trainer.precision=64-true"
SMALL = ("data.num_examples=200", "trainer.max_epochs=3", "~callbacks.pictures", "logger=none")
# Where a loss does not depend on a bias, Adam would make much of the rounding of its gradient.
EPS = ("optimizer_d.eps=1e-4", "optimizer_g.eps=1e-4")
RECIPES: dict[str, tuple[str, ...]] = {
    "default": (),
    "replicas": ("replicas=3", "optimizer_d.lr=[0.02,0.05,0.1]", "penalty=r1", "penalty.weight=[0,1,2]"),
    "batch norm": ("generator=mlp", "generator.widths=[8]", "generator.batch_norm=true", "ema_half_life=20", *EPS),
    "optimistic": ("update=optimistic", "schedule=cosine", "discriminator.spectral_norm=true", "objective=hinge"),
    "consensus": ("update=consensus", "optimizer@optimizer_g=sgd", "objective=wasserstein", "penalty=wgan_gp"),
    "torch's own optimizer": ("optimizer_d._target_=torch.optim.AdamW", "optimizer_d.eps=1e-4"),
}


def end(directory: str) -> dict[str, Any]:
    checkpoint = read_checkpoint(Path(directory) / LAST)
    return {key: checkpoint[key] for key in ("state_dict", "optimizer_states", "memory", "average_weight")}


def assert_same(ours: str, theirs: str, tolerance: float) -> None:
    a, b = end(ours), end(theirs)
    for state in (*a["optimizer_states"], *b["optimizer_states"]):
        state.pop("param_groups")
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("overrides", RECIPES.values(), ids=RECIPES)
def test_float64_on_the_gpu_is_float64_on_the_cpu(compose: Compose, overrides: tuple[str, ...]) -> None:
    gpu, cpu = compose(*SMALL, DOUBLE, *overrides, GPU, name="gpu"), compose(*SMALL, DOUBLE, *overrides, name="cpu")
    assert train(gpu) == pytest.approx(train(cpu), abs=1e-9)
    assert_same(gpu.run_dir, cpu.run_dir, 1e-9)


@pytest.mark.parametrize("overrides", RECIPES.values(), ids=RECIPES)
def test_a_run_that_stopped_within_an_epoch_resumes_bit_for_bit(compose: Compose, overrides: tuple[str, ...]) -> None:
    stop = ("+callbacks.stop._target_=test_resume.Signal", "+callbacks.stop.signum=15", "+callbacks.stop.iteration=40")
    recipe = (*SMALL, "data.steps_per_execution=4", *overrides, GPU)
    train(compose(*recipe, name="whole"))
    part = compose(*recipe, name="part")
    with pytest.raises(SystemExit):
        train(compose(*recipe, *stop, name="part"))
    assert read_checkpoint(Path(part.run_dir) / LAST)["global_step"] % 25 > 0
    train(compose(*recipe, f"ckpt_path={part.run_dir}/{LAST}", name="part"))
    assert_same(part.run_dir, str(Path(part.run_dir).with_name("whole")), 0)


EXPLICIT = [name for name in RECIPES if name != "torch's own optimizer"]


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
@pytest.mark.parametrize("name", EXPLICIT)
def test_cuda_graphs_are_the_eager_mode(compose: Compose, name: str, precision: str) -> None:
    # The last batch of an epoch is smaller. A graph repeats the kernels of the eager mode.
    recipe = (*SMALL, "data.num_examples=196", f"trainer.precision={precision}", *RECIPES[name], GPU)
    on, off = (compose(*recipe, f"compile={mode}", name=mode) for mode in ("on", "off"))
    assert train(on) == train(off)
    assert_same(on.run_dir, off.run_dir, 0)


@pytest.mark.parametrize("name", EXPLICIT)
def test_cuda_graphs_resume_bit_for_bit(compose: Compose, name: str) -> None:
    stop = ("+callbacks.stop._target_=test_resume.Signal", "+callbacks.stop.signum=15", "+callbacks.stop.iteration=40")
    recipe = (*SMALL, "data.steps_per_execution=4", *RECIPES[name], GPU, "compile=on")
    train(compose(*recipe, name="whole"))
    part = compose(*recipe, name="part")
    with pytest.raises(SystemExit):
        train(compose(*recipe, *stop, name="part"))
    train(compose(*recipe, f"ckpt_path={part.run_dir}/{LAST}", name="part"))
    assert_same(part.run_dir, str(Path(part.run_dir).with_name("whole")), 0)


def test_a_replica_diverges_in_a_cuda_graph_as_in_the_eager_mode(compose: Compose) -> None:
    recipe = (*SMALL, GPU, DOUBLE, "replicas=3", "optimizer_d.lr=[0.05,1e308,0.01]")
    on, off = (compose(*recipe, f"compile={mode}", name=mode) for mode in ("on", "off"))
    train(on)
    train(off)
    assert_same(on.run_dir, off.run_dir, 0)
    errors = [read_checkpoint(Path(cfg.run_dir) / LAST)["diverged"] for cfg in (on, off)]
    assert errors[0] == errors[1]
    assert [*errors[0]] == [1]


def test_what_a_cuda_graph_cannot_hold_is_refused(compose: Compose) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    x = torch.zeros(3, device=device)
    refused: dict[str, Callable[[], Any]] = {
        "it waits for the GPU, .*": lambda: x + 1 if x.sum() > 0 else x,
        "it waits for the GPU, as .*": lambda: x + torch.tensor(1.0, device=device),
        "it draws random numbers": lambda: x + torch.rand(3, device=device),
    }
    for reason, function in refused.items():
        with pytest.raises(NotCompiled, match=f"^{reason}$"):
            CudaGraph(function, device)
    graph = CudaGraph(lambda: x.add_(1), device)  # the process is as it was
    x.zero_()
    assert [float(graph()[0]) for _ in range(3)] == [1, 2, 3]


def test_explain_names_the_cuda_graph(compose: Compose) -> None:
    lines = [*explain(compose("compile=explain", GPU))]
    assert lines[-1] == "this run can be compiled to a CUDA graph for each size of a batch"
    lines = [*explain(compose("compile=explain", GPU, "optimizer_d._target_=torch.optim.AdamW"))]
    assert lines[-1].startswith("this run cannot be compiled, because AdamW keeps its own state")


@pytest.mark.parametrize("devices", [("gpu", "cpu"), ("cpu", "gpu")], ids=" to ".join)
@pytest.mark.parametrize("name", ["default", "replicas", "torch's own optimizer"])
def test_a_run_may_resume_on_another_device(compose: Compose, name: str, devices: tuple[str, str]) -> None:
    recipe = (*SMALL, DOUBLE, *RECIPES[name])
    first, second = (f"trainer.accelerator={device}" for device in devices)
    part, whole = compose(*recipe, first, "trainer.max_steps=30", name="part"), compose(*recipe, name="whole")
    train(part)
    train(compose(*recipe, second, f"ckpt_path={part.run_dir}/{LAST}", name="part"))
    train(whole)
    assert_same(part.run_dir, whole.run_dir, 1e-9)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_more_steps_per_execution_are_the_same_run(compose: Compose, precision: str) -> None:
    runs = [
        compose(*SMALL, GPU, f"trainer.precision={precision}", f"data.steps_per_execution={steps}", name=f"{steps}")
        for steps in (1, 25)
    ]
    for cfg in runs:
        train(cfg)
    assert_same(runs[0].run_dir, runs[1].run_dir, 0)


def test_a_replica_that_diverges_is_frozen(compose: Compose) -> None:
    several = compose(*SMALL, GPU, DOUBLE, "replicas=3", "optimizer_d.lr=[0.05,1e308,0.01]", "seed=4", name="several")
    alone = compose(*SMALL, GPU, DOUBLE, "optimizer_d.lr=0.01", "seed=6", name="alone")
    train(several)
    train(alone)
    checkpoint = read_checkpoint(Path(several.run_dir) / LAST)
    assert [*checkpoint["diverged"]] == [1]
    ours, theirs = single_checkpoint(checkpoint, 2)["state_dict"], read_checkpoint(Path(alone.run_dir) / LAST)
    torch.testing.assert_close(ours, theirs["state_dict"], rtol=0, atol=1e-9)


def spread(distribution: Any, generator: nn.Module, discriminator: nn.Module) -> dict[str, Tensor]:
    """A measure that stays on the device of the networks."""
    z = torch.arange(20.0).view(1, 10, 2).repeat(3, 1, 1).to(next(generator.parameters()))
    return {"val/spread": generator(z).std((-2, -1))}


def test_numbers_of_replicas_are_logged(compose: Compose) -> None:
    own = ("replicas=3", "optimizer_d.lr=[0.02,0.05,0.1]", "callbacks=[default,lr_monitor]", "logger=csv")
    measure = "+callbacks.evaluation.measures=[{_target_: test_cuda.spread, _partial_: true}]"
    cfg = compose("data.num_examples=80", "trainer.max_epochs=2", GPU, *own, measure)
    train(cfg)
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert record["val/spread_p10"] <= record["val/spread_median"] <= record["val/spread_p90"]
    [metrics] = Path(cfg.run_dir).rglob("metrics.csv")
    header, *rows = (line.split(",") for line in metrics.read_text().splitlines())
    assert {row[header.index("lr/discriminator_median")] for row in rows} - {""} == {"0.05"}
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()


def test_figures_of_a_run_are_drawn(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    cfg = compose("data.num_examples=80", "trainer.max_epochs=1", GPU, "callbacks=[default,logit,spectrum]")
    train(cfg)
    assert {path.name for path in (Path(cfg.run_dir) / "figures").iterdir()} == {
        "final.png",
        "logit.png",
        "spectrum.png",
    }
    assert "could not be drawn" not in caplog.text


def test_a_run_is_loaded_to_the_cpu(compose: Compose) -> None:
    cfg = compose(*SMALL, GPU, "replicas=2", "ema_half_life=5")
    train(cfg)
    run = load_run(cfg.run_dir, replica=1)
    for network in (run.generator, run.discriminator, run.generator_ema):
        assert network is not None
        assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


def test_a_full_gpu_is_one_line(compose: Compose) -> None:
    cfg = compose(*SMALL, GPU, "replicas=500", "discriminator.widths=[64,64]", "data.batch_size=200")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(20e6 / torch.cuda.mem_get_info()[1])
    try:
        with pytest.raises(torch.OutOfMemoryError) as error:
            train(cfg)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    line = shortage(error.value)
    assert line is not None
    assert line.startswith("there is not enough memory on the GPU (one array needs ")
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert (record["status"], record["error"]) == ("failed", line)


def test_ddp_with_one_gpu_is_the_same_run(compose: Compose) -> None:
    spawned = compose(*SMALL, GPU, "trainer.strategy=ddp_spawn", name="spawned")
    alone = compose(*SMALL, GPU, name="alone")
    train(spawned)
    train(alone)
    assert_same(spawned.run_dir, alone.run_dir, 0)


def test_more_gpus_than_there_are_are_refused(compose: Compose) -> None:
    n = torch.cuda.device_count()
    for devices in (n + 1, f"[{n}]"):
        with pytest.raises(ConfigError, match=r"^trainer.devices must fit the GPUs of this machine, .* \[0"):
            assemble(compose(GPU, f"trainer.devices={devices}"))


def test_the_estimated_memory_is_a_lower_bound(compose: Compose) -> None:
    cfg = compose("trainer.max_epochs=1", "~callbacks.pictures", "logger=none", GPU, "replicas=2000")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    train(cfg)
    config = OmegaConf.to_container(cfg, resolve=True)
    estimate = sum(training_needs(config, instantiate(cfg.data.distribution)).values()) / 3
    assert estimate < torch.cuda.max_memory_allocated() - before
