"""Three loops that train one run: python -m benchmarks.loops gaussgan

- textbook: plain PyTorch with a DataLoader, two Adam optimizers and float(loss) after every step
- naive Lightning: a DataLoader, toggled optimizers, self.log in every step, a progress bar and TensorBoard
- gaussgan: this template with its progress bar, TensorBoard, checkpoints, figures and evaluation

For the last two, the time is that of the call trainer.fit, which includes set-up, checkpoints, evaluation and figures.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.processes import ROOT


def textbook(epochs: int, directory: Path) -> float:
    """Train with the loop of the book Dive into Deep Learning, section 20.1, without figures. Return the seconds."""
    generator, discriminator, examples = _system()
    loader = DataLoader(TensorDataset(examples), batch_size=8, shuffle=True)
    loss = nn.BCEWithLogitsLoss(reduction="sum")
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.05)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.005)
    started = time.perf_counter()
    for _ in range(epochs):
        sum_d = sum_g = 0.0
        for (x,) in loader:
            z = torch.randn(len(x), 2)
            ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
            optimizer_d.zero_grad()
            fake = generator(z)
            loss_d = (loss(discriminator(x), ones) + loss(discriminator(fake.detach()), zeros)) / 2
            loss_d.backward()
            optimizer_d.step()
            sum_d += float(loss_d.detach())
            optimizer_g.zero_grad()
            loss_g = loss(discriminator(generator(z)), ones)
            loss_g.backward()
            optimizer_g.step()
            sum_g += float(loss_g.detach())
    return time.perf_counter() - started


def naive_lightning(epochs: int, directory: Path) -> float:
    """Train with a loop as in Lightning's documentation of manual optimization. Return the seconds of training.

    Args:
        directory: the directory for TensorBoard's files and Lightning's checkpoints.
    """
    import pytorch_lightning as pl

    class NaiveGAN(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator, _ = _system()

        def training_step(self, batch: list[torch.Tensor], _: int) -> None:
            (x,) = batch
            optimizer_d, optimizer_g = self.optimizers()  # type: ignore[attr-defined]
            z = torch.randn(len(x), 2)
            ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
            self.toggle_optimizer(optimizer_d)
            fake = self.generator(z).detach()
            loss_d = (bce(self.discriminator(x), ones) + bce(self.discriminator(fake), zeros)) / 2
            self.log("train/loss_d", loss_d, prog_bar=True)
            optimizer_d.zero_grad()
            self.manual_backward(loss_d)
            optimizer_d.step()
            self.untoggle_optimizer(optimizer_d)
            self.toggle_optimizer(optimizer_g)
            loss_g = bce(self.discriminator(self.generator(z)), ones)
            self.log("train/loss_g", loss_g, prog_bar=True)
            optimizer_g.zero_grad()
            self.manual_backward(loss_g)
            optimizer_g.step()
            self.untoggle_optimizer(optimizer_g)

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [
                torch.optim.Adam(self.discriminator.parameters(), lr=0.05),
                torch.optim.Adam(self.generator.parameters(), lr=0.005),
            ]

    loader = DataLoader(TensorDataset(_system()[2]), batch_size=8, shuffle=True)
    logger = pl.loggers.TensorBoardLogger(str(directory))
    trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, logger=logger, enable_model_summary=False)
    started = time.perf_counter()
    trainer.fit(NaiveGAN(), loader)
    return time.perf_counter() - started


def gaussgan(epochs: int, directory: Path, overrides: list[str] | None = None) -> float:
    """Train the default run of this template, with its loggers, checkpoints and figures. Return the seconds.

    Args:
        directory: the run's directory.
        overrides: changes of the configuration, such as ["objective=hinge"].
    """
    import hydra

    from gaussgan.setup.assemble import assemble

    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        run = ["trainer=cpu", f"trainer.max_epochs={epochs}", f"run_dir={directory}", *(overrides or ())]
        gan, data, trainer = assemble(hydra.compose("train", run))
    started = time.perf_counter()
    trainer.fit(gan, data)
    return time.perf_counter() - started


LOOPS: dict[str, Callable[..., float]] = {
    "textbook": textbook,
    "naive Lightning": naive_lightning,
    "gaussgan": gaussgan,
}


def _system() -> Any:
    """Return the textbook's generator, its discriminator, and its 1,000 examples as a tensor of shape [1000, 2]."""
    generator = nn.Linear(2, 2)
    discriminator = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
    for network in (generator, discriminator):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.02)
    examples = torch.randn(1000, 2) @ torch.tensor([[1, 2], [-0.1, 0.5]]) + torch.tensor([1, 2])
    return generator, discriminator, examples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("--epochs", type=int, default=20, help="epochs of 125 iterations (default: 20)")
    parser.add_argument("overrides", nargs="*", help="changes of gaussgan's configuration")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    more = [arguments.overrides] if arguments.overrides else []
    with tempfile.TemporaryDirectory() as folder:
        taken = LOOPS[arguments.loop](arguments.epochs, Path(folder), *more)
    print(json.dumps({"seconds": taken}))
