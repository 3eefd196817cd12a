"""Pure functions that take numbers and return matplotlib figures.

Code that uses a run, a callback or a logger belongs in `callbacks`.
"""

from gaussgan.figures.game import Cloud, game_figure
from gaussgan.figures.images import Rows, images_figure
from gaussgan.figures.logit import logit_figure
from gaussgan.figures.mixture import mixture_figure
from gaussgan.figures.portrait import portrait_figure
from gaussgan.figures.replicas import replicas_figure
from gaussgan.figures.spectrum import spectrum_figure
from gaussgan.figures.style import render, save
from gaussgan.figures.verdict import Verdict

__all__ = [
    "Cloud", "Rows", "Verdict", "game_figure", "images_figure", "logit_figure", "mixture_figure", "portrait_figure",
    "render", "replicas_figure", "save", "spectrum_figure",
]  # fmt: skip
