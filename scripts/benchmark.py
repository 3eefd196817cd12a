"""Compare the speed of three training loops on one thread: python scripts/benchmark.py

- textbook: plain PyTorch with a DataLoader, two Adam optimizers and float(loss) after every step
- naive Lightning: a DataLoader, toggled optimizers, self.log in every step, a progress bar and TensorBoard
- gaussgan: this template with its progress bar, TensorBoard, checkpoints, figures and evaluation

The loops run one after the other, each in its own process, for several rounds. The result for each loop is the number
of examples per second, as the median over the rounds. For naive Lightning and gaussgan, the measured time is that of
the call trainer.fit, which includes set-up and checkpoints, and for gaussgan evaluation and figures.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = "seconds.txt"  # a process writes its result to this file, because its output is full of progress bars
ROOT = Path(__file__).resolve().parents[1]
# Lightning draws progress bars with rich, which needs a terminal or these variables.
WITH_BARS = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100"}


def textbook(epochs: int, directory: Path) -> float:
    """Train with the loop of the book Dive into Deep Learning, section 20.1, without figures. Return the seconds."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    generator, discriminator, examples = _system()
    loader = DataLoader(TensorDataset(examples), batch_size=8, shuffle=True)
    bce = nn.BCEWithLogitsLoss(reduction="sum")
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
            loss_d = (bce(discriminator(x), ones) + bce(discriminator(fake.detach()), zeros)) / 2
            loss_d.backward()
            optimizer_d.step()
            sum_d += float(loss_d.detach())
            optimizer_g.zero_grad()
            loss_g = bce(discriminator(generator(z)), ones)
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
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as bce
    from torch.utils.data import DataLoader, TensorDataset

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


def gaussgan(epochs: int, directory: Path, replicas: int = 1) -> float:
    """Train the default run of this template, with its loggers, checkpoints and figures. Return the seconds.

    Args:
        directory: the run's directory.
        replicas: the number of replicas.
    """
    import hydra

    from gaussgan.setup.assemble import assemble

    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        run = ["trainer=cpu", f"replicas={replicas}", f"trainer.max_epochs={epochs}", f"run_dir={directory}"]
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
    import torch
    from torch import nn

    generator = nn.Linear(2, 2)
    discriminator = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
    for network in (generator, discriminator):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.02)
    examples = torch.randn(1000, 2) @ torch.tensor([[1, 2], [-0.1, 0.5]]) + torch.tensor([1, 2])
    return generator, discriminator, examples


def measure(name: str, epochs: int, replicas: int = 1) -> float:
    """Run a loop in a new process on one thread. Return the examples per second, summed over the replicas.

    Args:
        name: a key of LOOPS.
        epochs: the number of epochs, of 1,000 examples each.
        replicas: the number of replicas. Only the loop "gaussgan" can train more than one replica.
    """
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, "--loop", name, "--epochs", str(epochs), "--directory", directory]
        command += ["--replicas", str(replicas)] if replicas > 1 else []
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=WITH_BARS)
        if process.returncode:
            sys.exit(f"{name} failed:\n{process.stderr}")
        return 1000 * epochs * replicas / float((Path(directory) / SECONDS).read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60, help="epochs of 125 iterations (default: 60)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--replicas", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        import torch

        torch.set_num_threads(1)
        more = {"replicas": arguments.replicas} if arguments.replicas else {}
        seconds = LOOPS[arguments.loop](arguments.epochs, arguments.directory, **more)
        (arguments.directory / SECONDS).write_text(str(seconds))
        return

    speeds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for number in range(1, arguments.rounds + 1):
        for name, values in speeds.items():
            values.append(measure(name, arguments.epochs))
            print(f"round {number}/{arguments.rounds}  {name:16} {values[-1]:8,.0f} examples/s", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {name: medians["gaussgan"] / median for name, median in medians.items()}
    print(f"\n{'loop':18}{'examples/s':>12}{'gaussgan is':>14}")
    for name in LOOPS:
        print(f"{name:18}{medians[name]:12,.0f}{ratios[name]:12.2f} ×")
    result = {"machine": platform.platform(), "rounds": speeds, "medians": medians, "gaussgan_over": ratios}
    report(result, arguments.json)


def report(result: dict[str, Any], path: Path | None) -> None:
    """Print `result` as one line of JSON. If `path` is not None, also write `result` to this file."""
    print(f"\n{json.dumps(result)}")
    if path:
        path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
