"""What a compiled run does where a block or a callback is unusual, beside the same run in the eager mode."""

import platform
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from gaussgan.compile import build
from gaussgan.config.errors import ConfigError
from gaussgan.gan.module import GAN
from gaussgan.gan.one_run import differs
from gaussgan.gan.python_state import attributes_of
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]


@pytest.fixture(autouse=True)
def fast_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O2" else flag for flag in build.FLAGS))


def trained(cfg: DictConfig, *callbacks: Callback) -> GAN:
    gan, data, trainer = assemble(cfg)
    trainer.callbacks += callbacks
    trainer.fit(gan, data)
    return gan


def test_a_replica_that_diverges_in_a_smaller_batch_goes_back_to_the_start_of_the_block(compose: Compose) -> None:
    rates = [f"optimizer_{player}.lr=[0.01,1e5]" for player in "dg"]
    sgd = [f"optimizer@optimizer_{player}=sgd" for player in "dg"]
    linear = ("generator=linear", "discriminator=linear", "objective=wasserstein", "replicas=2")
    epochs = (
        "data.num_examples=20",
        "trainer.max_epochs=2",
        "~callbacks.pictures",
        "logger=none",
    )  # 8, 8 and 4 examples
    recipe = (*epochs, *linear, *sgd, *rates)
    on, off = (trained(compose(*recipe, f"compile={mode}", name=mode)) for mode in ("on", "off"))
    assert str(on.diverged[1]) == str(off.diverged[1])
    assert on.diverged[1].iteration == 3  # the smaller batch
    for ours, theirs in zip(on.state.tensors(), off.state.tensors(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


class Annealing(Callback):
    def on_train_epoch_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        gan.game.penalties[0].weight *= 0.5


def test_a_callback_cannot_change_a_constant_of_a_program(compose: Compose) -> None:
    cfg = compose("trainer.max_epochs=2", "penalty=r1", "compile=on", "~callbacks.pictures", "logger=none")
    with pytest.raises(
        ConfigError, match=r"^compile must be off for this run, because the attribute R1.weight changes"
    ):
        trained(cfg, Annealing())


def test_a_tensor_has_one_number_for_each_replica_in_its_first_dimension() -> None:
    shapes = [(2, 1), (2, 1, 1), (1, 2), (2,), (2, 2), ()]
    assert [differs(torch.zeros(shape), 2) for shape in shapes] == [True, True, False, False, False, False]
    assert not differs(torch.zeros(1, 1), 1)


def test_objects_of_one_class_are_told_apart() -> None:
    class Number:
        def __init__(self, value: float | Tensor) -> None:
            self.value = value

    assert attributes_of([Number(1), Number(2)]) != attributes_of([Number(3), Number(2)])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it compares vectors of x86")
@pytest.mark.parametrize("replicas", [1, 3])
def test_the_length_of_vectors_does_not_change_a_bit(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    """A program for the vectors of this CPU, such as AVX-512, and one for AVX2."""
    cfg = compose("compile=on", f"replicas={replicas}", "data.num_examples=40", "trainer.max_epochs=2", "logger=none")
    states = []
    for architecture in ("-march=native", "-march=haswell"):
        flags = tuple(architecture if flag == "-march=native" else flag for flag in build.FLAGS)
        with monkeypatch.context() as patch:
            patch.setattr(build, "FLAGS", flags)
            states.append(trained(cfg).state.tensors())
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
