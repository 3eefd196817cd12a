"""Draw the figures of docs/efficiency.md: python scripts/efficiency.py"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gaussgan.config.errors import ConfigError

if TYPE_CHECKING:
    from gaussgan.figures.efficiency import Runs

RECIPES = {
    "the textbook": (),
    "efficient": ("experiment=efficient",),
    "efficient_iid": ("experiment=efficient_iid",),
}
CONDITIONS = (1, 10, 100, 1000, 10_000)
RATE = 0.9  # D's learning rate times the mean of ‖x‖²


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train the recipes of docs/efficiency.md. Draw DIR/efficiency.png, the textbook's data over many"
        " seeds, and DIR/efficiency_map.png, random Gaussians of several dimensions and condition numbers."
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("docs"), help="default: docs")
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=int,
        default=1000,
        help="on the textbook's data; 0: no first figure (default: 1000)",
    )
    parser.add_argument("--first", metavar="SEED", type=int, default=10_000, help="the first seed (default: 10000)")
    parser.add_argument(
        "--cell", metavar="N", type=int, default=32, help="seeds for each random Gaussian (default: 32)"
    )
    parser.add_argument("--dims", metavar="D", type=int, nargs="*", default=[2, 5, 10, 20], help="default: 2 5 10 20")
    arguments = parser.parse_args()

    from gaussgan.figures.efficiency import efficiency_figure, efficiency_map, texts
    from gaussgan.figures.style import render, save

    if arguments.seeds:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        recipes = {name: run(overrides, seeds) for name, overrides in RECIPES.items()}
        print(*texts(recipes), sep="\n", flush=True)
        save(render(efficiency_figure(recipes)), arguments.out / "efficiency.png")
    cells: dict[str, dict[tuple[int, float], Runs]] = {name: {} for name in RECIPES}
    for dim in arguments.dims:
        for number in CONDITIONS:
            for name, overrides in RECIPES.items():
                cells[name][dim, number] = run(of_gaussian(name, overrides, dim, number), range(arguments.cell))
                print(dim, number, *texts({name: cells[name][dim, number]}), flush=True)
    if arguments.dims:
        save(render(efficiency_map(cells)), arguments.out / "efficiency_map.png")


def of_gaussian(name: str, overrides: Sequence[str], dim: int, number: float) -> list[str]:
    """Return the overrides of a recipe on a random Gaussian, with D's learning rate for the scale of its examples."""
    from gaussgan.data.distributions import random_gaussian

    distribution = random_gaussian(dim, number, 0)
    square = (distribution.cov.trace() + distribution.mean.square().sum()).item()
    data = [f"data.distribution.dim={dim}", f"data.distribution.condition_number={number}"]
    more = [] if name == "the textbook" else [f"optimizer_d.lr={RATE / square}"]
    if name == "efficient" and dim >= 8:  # a batch of 8 cannot be balanced; without that, alternating steps are biased
        more += ["latents.window=40", "update=simultaneous"]
    return [*overrides, "data=random_gaussian", *data, f"generator.in_features={dim}", *more]


def run(overrides: Sequence[str], seeds: range) -> Runs:
    """Train a recipe for each seed."""
    import torch

    from gaussgan import simulate
    from gaussgan.figures.efficiency import Runs

    results = simulate(["compile=on", *overrides], seeds)
    assert results.baseline is not None
    w2 = results.measures.get("val/w2", torch.full((len(seeds), 1), torch.nan, dtype=torch.float64))
    return Runs(w2, results.baseline, results.iterations)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
