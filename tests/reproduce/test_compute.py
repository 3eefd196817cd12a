"""Rows of the table of reproductions: computed, kept, taken up again after a kill, and shown."""

import json
import math
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conftest import PATIENCE, ROOT
from gaussgan.config.errors import ConfigError
from gaussgan.reproduce import training
from gaussgan.reproduce.compute import changed, chosen, compute, listing, measure
from gaussgan.reproduce.configured import settings_of
from gaussgan.reproduce.keep import Page
from gaussgan.reproduce.results import RESULTS, TABLE, read_results
from gaussgan.reproduce.row import AtLeast, Below, Measured, Near, Predicted, Result, Row, mean_interval, verdict
from gaussgan.reproduce.rows import PAPERS, ROWS, SECTIONS
from gaussgan.reproduce.table import Section
from gaussgan.reproduce.training import Trained, check_same
from gaussgan.runs.record import write_record

DOCS = ROOT / "docs"
SMALL = "trainer=cpu trainer.max_epochs=1 data.num_examples=40 callbacks=lean logger=none"


@dataclass(frozen=True)
class Given:
    """Returns given values and counts its calls. Fails if there are none."""

    values: tuple[float, ...]
    calls: list[int]
    command: str = "given"

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        self.calls.append(len(seeds))
        if not self.values:
            raise ValueError("there are\nno values")
        return Measured([*self.values[: len(seeds)]])


def row(name: str, *values: float, published: float = 1.0, command: str = "given") -> Row:
    return Row(
        name=name, what="a figure", paper="lin2018", where="table 1", published=f"{published:g}",
        rule=Near(published, 0.1), method=Given(values, [], command), seeds=max(1, len(values)), quick=True,
    )  # fmt: skip


def page_of(tmp_path: Path, *rows: Row) -> Page:
    return Page(tmp_path / "docs", tmp_path / "runs", [Section("Some rows", "They are given.", rows)], PAPERS)


def calls(row: Row) -> int:
    return len(row.method.calls)  # type: ignore[union-attr]


def test_a_failing_row_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    rows = [row("bad"), row("good", 1.05, 0.97), row("far", 2.0)]
    page = page_of(tmp_path, *rows)
    for _ in range(2):
        assert not compute(rows, page.runs, None, page.keep)
    assert [calls(each) for each in rows] == [2, 1, 1]
    text = (tmp_path / "docs" / TABLE).read_text()
    assert "failed: there are no values" in text
    assert "agrees (within 0.1)" in text
    assert "differs (within 0.1)" in text
    assert "3 rows. Failed: 1, agrees: 1, differs: 1." in text


def test_a_row_is_computed_again_if_it_has_changed_or_wants_more_seeds(tmp_path: Path) -> None:
    one = row("one", 1.0, 1.1, 0.9)
    page = page_of(tmp_path, one)
    assert compute([one], page.runs, 2, page.keep)
    assert compute([one], page.runs, 2, page.keep)
    assert "2 of 3" in page.text()
    assert compute([one], page.runs, None, page.keep)
    assert one.method.calls == [2, 3]  # type: ignore[union-attr]
    other = row("one", 1.0, 1.1, 0.9, command="another")
    assert not page_of(tmp_path, other).results()
    assert compute([other], page.runs, None, page_of(tmp_path, other).keep)
    assert calls(other) == 1


def test_fewer_seeds_and_errors_do_not_replace_a_result(tmp_path: Path) -> None:
    one = row("one", 1.0, 1.1, 0.9)
    page = page_of(tmp_path, one)
    assert compute([one], page.runs, None, page.keep)
    for worse in (Result("given", [1.0, 1.1], 0.0, ""), Result("given", [], 0.0, "", "no memory")):
        page.keep({"one": worse})
        assert page.results()["one"].values == [1.0, 1.1, 0.9]


def test_nan_is_a_divergence(tmp_path: Path) -> None:
    assert measure(row("one", math.nan, 1.0), tmp_path, range(2)).values == [math.inf, 1.0]


def test_results_are_kept_in_the_order_of_rows_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    rows = [row("a", 1.0), row("b", math.inf), row("c", 1.0)]
    page = page_of(tmp_path, *rows)
    for each in reversed(rows):
        assert compute([each], page.runs, None, page.keep)
    path = tmp_path / "docs" / RESULTS
    assert [*json.loads(path.read_text())] == ["a", "b", "c"]
    assert read_results(path)["b"].values == [math.inf]
    assert "1 of 1 diverged" in page.text()
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"reproductions\.json is damaged \(JSONDecodeError\)"):
        page.results()


def test_the_quick_check_notices_a_verdict_that_changed(tmp_path: Path) -> None:
    rows = [row("same", 1.0), row("changed", 2.0), row("broken")]
    committed = {each.name: Result("given", [1.0], 0.0, "") for each in rows}
    assert changed(rows, committed, tmp_path) == [
        "changed: differs, but the committed results say: agrees",
        "broken: failed: there are no values, but the committed results say: agrees",
    ]
    assert not changed(rows[:1], committed, tmp_path)


def test_a_wrong_name_is_answered_with_near_ones() -> None:
    rows = [row("ring_gan", 1.0), row("ring_pacgan2", 1.0), row("other", 1.0)]
    assert [each.name for each in chosen(rows, ["other", "ring_gan"])] == ["other", "ring_gan"]
    assert chosen(rows, None) == rows
    with pytest.raises(ConfigError, match=r"^--only: there is no row ring_gam; did you mean ring_gan"):
        chosen(rows, ["ring_gam"])
    with pytest.raises(ConfigError, match=r"^--only: there is no row xyzzy; --list lists the names$"):
        chosen(rows, ["xyzzy"])
    assert "ring_gan" in listing(rows, {})


def test_rules_and_intervals() -> None:
    assert Near(1.0, 0.1)([1.1 - 1e-12])
    assert not Near(1.0, 0.1)([1.2])
    assert Below(1)([0.5])
    assert not Below(1)([math.inf])
    assert AtLeast(3)([math.inf])
    one_seed = Predicted(6.3, 0.5, 10)  # 2.262 is the 97.5% quantile of t with 9 degrees of freedom
    for n in (1, 10):
        reach = 2.262157 * 0.5 * (1 + 10 / n) ** 0.5
        assert one_seed([6.3 - reach + 1e-4] * n)
        assert not one_seed([6.3 - reach - 1e-4] * n)
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval is not None
    assert interval.low == pytest.approx(2 - 4.302652730 / 3**0.5)  # the 97.5% quantile of t with 2 degrees of freedom
    assert mean_interval([1.0]) is None
    assert mean_interval([1.0, math.inf]) is None
    assert verdict(replace(row("a"), method=None, note="needs a GPU"), None) == "not run: needs a GPU"
    assert verdict(replace(row("a"), minutes=90), None) == "not run: takes about 1.5 hours a seed"


def test_a_finished_run_that_was_moved_here_is_used_but_no_other_run(tmp_path: Path) -> None:
    settings = settings_of("seed=0 data.num_examples=40")
    check_same(tmp_path, settings | {"compile": "on"}, ["data.num_examples=40"])
    del settings["data.instance_noise"]  # a setting that did not exist yet
    check_same(tmp_path, settings, ["data.num_examples=40"])
    with pytest.raises(ConfigError, match=r"holds another run: data\.num_examples is 40, and the row has 50"):
        check_same(tmp_path, settings, ["data.num_examples=50"])
    for more in ("penalty=r1", "latents=balanced", "augment=rotation", "schedule=cosine", "penalty=[r1,lecam]"):
        with pytest.raises(ConfigError, match=r"holds another run: \S+ is not set, and the row has "):
            check_same(tmp_path, settings, ["data.num_examples=40", *more.split()])
        with pytest.raises(ConfigError, match=r"holds another run: \S+ is .*, and the row has not set"):
            check_same(tmp_path, settings_of(f"data.num_examples=40 {more}"), ["data.num_examples=40"])
    with pytest.raises(ConfigError, match="without known settings"):
        check_same(tmp_path, None, [])


def test_a_stopped_run_goes_on_and_a_complete_one_is_read_by_several_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Sequence[str]] = []

    def train(command: Sequence[str]) -> None:
        commands.append(command)
        end = {"status": "completed", "seconds": 3.0, "val/w2": 0.25, "val/kl": 0.5, "settings": settings_of("seed=7")}
        write_record(tmp_path / "runs" / "7", end)

    monkeypatch.setattr(training, "_call", train)
    run = tmp_path / "runs" / "7"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    write_record(run, {"status": "interrupted"})
    assert Trained("", "val/w2", "runs")(tmp_path / "one", [7]) == Measured([0.25], 3.0)
    assert Trained("", "val/kl", "runs")(tmp_path / "two", [7]) == Measured([0.5], 3.0)
    ((_, script, *words),) = commands
    assert script.endswith("scripts/train.py")
    assert Path(script).exists()
    assert words == ["seed=7", f"hydra.run.dir={run}", f"ckpt_path={run}/checkpoints/last.ckpt"]
    with pytest.raises(ConfigError, match="the run has no val/modes; it has"):
        Trained("", "val/modes", "runs")(tmp_path / "three", [7])
    write_record(run, {"status": "diverged", "seconds": 1.0, "settings": settings_of("seed=7")})
    assert Trained("", "val/w2", "runs")(tmp_path / "one", [7]).values == [math.inf]


def test_a_run_that_failed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_call", lambda _: write_record(tmp_path / "runs" / "0", {"status": "failed"}))
    (tmp_path / "runs" / "0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="the run is failed"):
        Trained("", "val/w2", "runs")(tmp_path / "one", [0])


def test_a_program_that_is_called_is_stopped_with_this_process(tmp_path: Path) -> None:
    note = "import pathlib, signal, sys, time; p = pathlib.Path(sys.argv[1]);"
    stop = "signal.signal(15, lambda *_: (p.write_text('stopped'), sys.exit(0))); p.touch(); time.sleep(60)"
    state = tmp_path / "state"

    def interrupt(*_: object) -> None:
        if state.exists():  # otherwise the program has not begun yet
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise SystemExit(143)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(SystemExit):
            training._call([sys.executable, "-c", note + stop, str(state)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert state.read_text() == "stopped"
    with pytest.raises(ConfigError, match=r"train\.py ended with exit code 3"):
        training._call([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def script(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        try:
            runpy.run_path(str(ROOT / "scripts" / "reproduce.py"), run_name="__main__")
        except SystemExit as stop:
            return stop.code
        return 0

    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert script("--list") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ROWS)
    line = str(script("--only", "bilinear_alternatin_0.1"))
    assert line.startswith("--only: there is no row bilinear_alternatin_0.1; did you mean bilinear_alternating_0.1 or")
    assert "\n" not in line
    assert script("--only", "bilinear_alternating_0.1", "--out", "page") == 0
    assert read_results(tmp_path / "page" / RESULTS).keys() == {"bilinear_alternating_0.1"}
    assert script("--only", "bilinear_alternating_0.1", "--quick") == 0
    assert "bilinear_alternating_0.1: " in script("--only", "bilinear_alternating_0.1", "--quick", "--out", "none")  # type: ignore[operator]
    slow = next(row.name for row in ROWS if not row.quick)
    assert script("--only", slow, "--quick") == f"--quick: {slow} takes longer; leave out --quick, or this row"
    for ignored in (["--quick", "--list"], ["--quick", "--seeds", "3"], ["--list", "--seeds", "3"]):
        assert script(*ignored) == 2
    signal.signal(signal.SIGTERM, before)


@pytest.mark.extra  # it takes long
def test_training_goes_on_after_a_kill_and_a_run_under_way_is_waited_for(tmp_path: Path) -> None:
    """The page is the same whether the program, its training, or both are killed, or nothing is."""
    overrides = (
        "trainer=cpu data.num_examples=800 data.batch_size=4 callbacks.checkpoints.seconds=0.2 ~callbacks.pictures"
    )
    code = (
        "from pathlib import Path; from gaussgan.reproduce.training import Trained;"
        f"print(Trained({overrides!r}, 'val/w2', 'row')(Path('row'), [0]).values)"
    )

    def begin(where: str) -> subprocess.Popen:
        (tmp_path / where).mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path / where, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    whole, _ = begin("whole").communicate(timeout=PATIENCE)
    for everything in (True, False):
        where = f"killed_{everything}"
        process = begin(where)
        checkpoint = tmp_path / where / "row" / "0" / "checkpoints" / "last.ckpt"
        deadline = time.monotonic() + PATIENCE
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        if everything:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        again, _ = begin(where).communicate(timeout=PATIENCE)
        assert again == whole


def test_every_row_can_be_computed_and_cites_a_paper() -> None:
    assert len({each.name for each in ROWS}) == len(ROWS)
    for each in ROWS:
        assert each.paper in PAPERS
        assert each.where
        assert each.published
    runs = {each.method.runs: each.method for each in ROWS if isinstance(each.method, Trained)}
    for method in runs.values():
        assert settings_of(method.overrides)
        assert not any(word.startswith(("seed=", "hydra.")) for word in shlex.split(method.overrides))
    for each in ROWS:
        if isinstance(each.method, Trained):  # rows that share runs share their overrides
            assert each.method.overrides == runs[each.method.runs].overrides


def test_the_committed_page_is_made_from_the_committed_results() -> None:
    page = Page(DOCS, Path("unused"), SECTIONS, PAPERS)
    assert (DOCS / TABLE).read_text() == page.text()
    results = page.results()
    assert results == read_results(DOCS / RESULTS)  # none is of a row that has changed or is gone
    assert {each.name for each in ROWS if each.quick} <= results.keys()
