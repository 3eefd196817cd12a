"""The rows, by subject: data only. Each module has TITLE, INTRODUCTION and ROWS, and PICTURE if the script draws one.

How a row is computed belongs in the methods of `gaussgan.reproduce`.
"""

from __future__ import annotations

from gaussgan.reproduce.rows import bilinear, dirac, mean_game, mixtures, relativistic, unrolled, wgan_gp
from gaussgan.reproduce.table import Paper, Section

PAPERS = {
    "daskalakis2018": Paper("Daskalakis et al. 2018", "1711.00141"),
    "gidel2019momentum": Paper("Gidel et al. 2019, negative momentum", "1807.04740"),
    "gidel2019vi": Paper("Gidel et al. 2019, variational inequalities", "1802.10551"),
    "gulrajani2017": Paper("Gulrajani et al. 2017", "1704.00028"),
    "huang2024": Paper("Huang et al. 2024", "2501.05441"),
    "lin2018": Paper("Lin et al. 2018", "1712.04086"),
    "mescheder2017": Paper("Mescheder et al. 2017", "1705.10461"),
    "mescheder2018": Paper("Mescheder et al. 2018", "1801.04406"),
    "metz2017": Paper("Metz et al. 2017", "1611.02163"),
    "srivastava2017": Paper("Srivastava et al. 2017", "1705.07761"),
    "balduzzi2018": Paper("Balduzzi et al. 2018", "1802.05642"),
    "schaefer2019": Paper("Schäfer and Anandkumar 2019", "1905.12103"),
    "chavdarova2021": Paper("Chavdarova et al. 2021", "2006.14567"),
}
SECTIONS = [
    Section(module.TITLE, module.INTRODUCTION, module.ROWS, getattr(module, "PICTURE", None))
    for module in (dirac, bilinear, mean_game, mixtures, relativistic, unrolled, wgan_gp)
]
ROWS = [row for section in SECTIONS for row in section.rows]
