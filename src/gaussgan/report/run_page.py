"""Write the page of one run: report.html with a slider over its recorded moments. It needs no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from markupsafe import Markup
from matplotlib.colors import Colormap, to_hex

from gaussgan.config.errors import one_line
from gaussgan.figures import colors
from gaussgan.report import run_curves
from gaussgan.report.collect import RunDirectory
from gaussgan.report.finals import figure_of
from gaussgan.report.page import PAGE, command, environment
from gaussgan.report.run_arrays import pack
from gaussgan.report.run_frames import Frames, distances, picture, read_frames
from gaussgan.report.run_game import is_logistic, log_density, spectra
from gaussgan.report.run_images import image_sheets, units
from gaussgan.report.run_record import changed_settings, facts, headline, measures
from gaussgan.report.values import readable
from gaussgan.runs.checkpoint import read_checkpoint, saved_layout
from gaussgan.runs.directory import LAST
from gaussgan.runs.files import write_whole

SCRIPTS = ("run_canvas.js", "run_panels.js", "run.js")
SHADES = 33  # colours of a colour map in the page, which mixes the ones between
RECORDS = (
    "This run recorded no moments of its training. The default callbacks record them; callbacks=lean and runs of older"
    " versions do not."
)


class Comparison(NamedTuple):
    """The comparison of the replicas of a run.

    Args:
        sentences: the answer.
        table: the columns of the table of settings: names and texts.
        link: the name of the page with the whole comparison.
    """

    sentences: Sequence[str]
    table: Mapping[str, Sequence[str]]
    link: str


def write_run_page(run: RunDirectory, out: Path, comparison: Comparison | None = None) -> Path:
    """Write the page of one run to the directory `out`. Return its path.

    If a part of the page cannot be made, because a file is damaged, is missing or names unknown code, the page says so
    in one line and has all other parts.

    Args:
        run: the run, which may still be running.
        out: the directory of the page.
        comparison: the comparison of the replicas, for a run with replicas.
    """
    notes: list[str] = []
    kept: dict[Any, dict[str, Any]] = {}

    def attempt(what: str, make: Callable[[], Any], default: Any = None) -> Any:
        try:
            return make()
        except Exception as error:  # the files may be damaged, forged, or of a user's own classes
            notes.append(f"{what}: {one_line(error):.300}")
            return default

    checkpoint = None
    if (run.path / LAST).exists():
        checkpoint = attempt("The last checkpoint cannot be used", lambda: read_checkpoint(run.path / LAST))
    kept |= {} if checkpoint is None else {run.path: checkpoint}
    frames = attempt("The recorded moments cannot be drawn", lambda: read_frames(checkpoint)) if checkpoint else None
    with torch.no_grad(), _one_thread():
        data = {"colors": _colors(), **_data(run, checkpoint, frames, attempt)}
        png = attempt("The final figure cannot be drawn", lambda: figure_of(run, -1, kept))
    if frames is None and not notes:
        notes.append(RECORDS)
    title, ending = headline(run)
    script = _script()
    text = environment().get_template("run.html").render(
        name=readable(run.path.name),
        made=f"{datetime.now():%Y-%m-%d %H:%M}",
        title=title,
        ending=ending,
        status=run.status,
        notes=notes,
        data=data,
        panels=_panels(data),
        charts=[chart["title"] for chart in data["charts"]],
        stage=bool(data.get("picture")),
        comparison=comparison,
        facts=facts(run),
        measures=measures(run),
        settings=changed_settings(run),
        command=command(run),
        figure=png and f"data:image/png;base64,{b64encode(png).decode()}",
        script=script,
        script_hash=f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        palette={name.lower(): getattr(colors, name) for name in ("REAL", "FAKE", "AVERAGE", "INK", "MUTED", "PALE")},
    )  # fmt: skip
    write_whole(out / PAGE, text.encode(errors="replace"), "report")
    return out / PAGE


def _data(
    run: RunDirectory, checkpoint: dict[str, Any] | None, frames: Frames | None, attempt: Callable[..., Any]
) -> dict[str, Any]:
    """Return all numbers of the page."""
    logistic = checkpoint is not None and is_logistic(checkpoint["config"])
    columns = attempt("The history cannot be read", lambda: run_curves.read_columns(run.path, checkpoint), {})
    moments: dict[str, Any] = {}
    found: dict[str, Any] = {}
    if frames is not None and checkpoint is not None:
        found["iterations"] = frames.iterations.tolist()
        layout = saved_layout(checkpoint)
        if layout is not None and layout.drawable:
            sheets = attempt("The images cannot be drawn", lambda: image_sheets(frames, layout))
            found |= {"picture": sheets} if sheets else {}
        else:
            found["picture"] = {**picture(frames, logistic), "axes": units(frames, layout)}
        if not frames.replicas:
            found |= _game(run, checkpoint, frames, attempt)
            if (known := distances(frames)) is not None:
                moments = {"iteration": frames.iterations.numpy(), "val/w2": known.numpy()}
    return {**found, "charts": run_curves.charts(columns, run.record, logistic, moments)}


def _game(run: RunDirectory, checkpoint: dict[str, Any], frames: Frames, attempt: Callable[..., Any]) -> dict[str, Any]:
    """Return the spectrum of the game, the densities, and the path of a game of two parameters."""
    found: dict[str, Any] = {}
    spectrum = attempt("The spectrum cannot be computed", lambda: spectra(checkpoint, frames, run.path))
    if spectrum is not None:
        values = [torch.view_as_real(each) for each in spectrum.eigenvalues]
        found["spectrum"] = {
            "frames": spectrum.frames,
            "values": pack(torch.stack(values)) if values else None,
            "exact": spectrum.exact,
        }
    densities = attempt("log p/q cannot be computed", lambda: log_density(checkpoint, frames, run.path))
    if densities is not None:
        found["densities"] = {"log_p": pack(densities[0]), "log_q": pack(densities[1])}
    if frames.theta.shape[-1:] == (2,):
        path, at = frames.theta.double(), frames.iterations
        every = checkpoint.get("trajectory")
        if isinstance(every, torch.Tensor) and every.ndim == 2 and every.shape[-1] == 2 and len(every) > at[-1]:
            path, at = every.double(), torch.arange(len(every))
        with suppress(IndexError):
            found["path"] = {"points": pack(path), "iterations": pack(at), "target": frames.true_mean[:1].tolist()}
    return found


def _panels(data: Mapping[str, Any]) -> list[str]:
    """Return the names of the smaller panels that the page has."""
    panels = []
    if "densities" in data:
        panels += ["best", "logit"] if data["picture"]["kind"] == "plane" else ["logit"]
    if "path" in data:
        panels.append("path")
    if (data.get("spectrum") or {}).get("values"):
        panels += ["eigenvalues", "rates"]
    return panels


@contextmanager
def _one_thread() -> Iterator[None]:
    """Inside a with block, let torch use one thread. Several are slower for the small tensors of a spectrum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _script() -> Markup:
    loader = environment().loader
    assert loader is not None
    return Markup("\n".join(loader.get_source(environment(), name)[0] for name in SCRIPTS))


def _colors() -> dict[str, Any]:
    def shades(colormap: Colormap) -> list[str]:
        return [to_hex(colormap(i / (SHADES - 1))) for i in range(SHADES)]

    names = ("REAL", "FAKE", "AVERAGE", "INK", "MUTED", "PALE", "INSIDE")
    return {
        **{name.lower(): getattr(colors, name) for name in names},
        "categories": [*colors.CATEGORIES],
        "probability": shades(colors.PROBABILITY),
        "time": shades(colors.TIME),
    }
