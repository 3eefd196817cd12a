"""The page of a run holds the numbers of the run, and nothing that could run in a browser but its own script."""

import csv
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from gaussgan.callbacks.drawing import Snapshot
from gaussgan.data.layout import Layout
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.evaluation.spectrum import linearised, update_jacobian
from gaussgan.report.run_arrays import pack, unpack
from gaussgan.report.run_frames import read_frames
from gaussgan.report.run_game import log_density, spectra
from gaussgan.report.run_record import changed_settings
from gaussgan.report.write import write_report
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import LAST
from gaussgan.setup.assemble import assemble
from gaussgan.train import fit, train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=80", "trainer.max_epochs=3", "logger=none", "~callbacks.pictures")  # 30 iterations


def page_of(cfg: DictConfig) -> tuple[str, dict[str, Any]]:
    """The page of a run, and the numbers in it."""
    directory = Path(cfg.run_dir)
    page = write_report([directory], directory).page
    assert page == directory / "report.html"
    text = page.read_text()
    return text, json.loads(re.search(r'id="run-data">(.*?)</script>', text)[1])  # type: ignore[index]


def change(cfg: DictConfig, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Change the last checkpoint of a run."""
    path = Path(cfg.run_dir) / LAST
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, path)
    return checkpoint


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_arrays_keep_every_bit(kind: type) -> None:
    values = np.array([[0, 1, -3], [7, 2**20, 5]], dtype=kind)
    if kind is not np.int64:
        values[0] = [np.nan, np.inf, np.pi]
    assert np.array_equal(unpack(json.loads(json.dumps(pack(values)))), values, equal_nan=kind is not np.int64)


def test_the_numbers_are_those_of_the_frames_and_of_the_history(compose: Compose) -> None:
    cfg = compose(*SMALL)
    train(cfg)
    text, data = page_of(cfg)
    frames = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)["frames"]
    assert data["iterations"] == frames["iterations"].tolist()
    picture = data["picture"]
    for name in ("samples", "logits", "real"):
        assert np.array_equal(unpack(picture[name]), frames[name].numpy())
    assert np.array_equal(unpack(picture["learned"]["mean"]), frames["means"].numpy())
    assert np.array_equal(unpack(picture["true"]["cov"]), frames["true_cov"].numpy())
    lines = [*csv.DictReader((Path(cfg.run_dir) / "history.csv").open())]
    losses, distance = data["charts"][:2]
    assert losses["title"] == "losses"
    for series, tag in zip(losses["series"], ("train/loss_d", "train/loss_g"), strict=True):
        assert unpack(series["y"]).tolist() == [float(line[tag]) for line in lines]
        assert unpack(series["x"]).tolist() == [10, 20, 30]
    own, moments = distance["series"]
    assert unpack(own["y"]).tolist() == [float(line["val/w2"]) for line in lines]
    exact = gaussian_w2(frames["true_mean"], frames["true_cov"], frames["means"], frames["covs"])
    assert np.array_equal(unpack(moments["y"]), exact.numpy())
    assert unpack(moments["y"])[-1] == pytest.approx(unpack(own["y"])[-1])
    assert distance["level"]["value"] == json.loads((Path(cfg.run_dir) / "metrics.json").read_text())["mle/w2"]
    assert {tag["title"] for tag in data["charts"][2:]} >= {"kl", "js", "logit error", "d gap"}
    assert (Path(cfg.run_dir) / "sweep.csv").exists()
    assert len(text) < 3_000_000
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (["data=affine_gaussian"], (40, 40)),
        (["data=random_gaussian", "data.distribution.dim=3", "generator.in_features=3"], (40, 40)),
        (["data.distribution.A=[[0.5]]", "data.distribution.b=[1.0]"], (200,)),
    ],
)
def test_log_densities_are_those_of_the_two_distributions(
    compose: Compose, data: list[str], shape: tuple[int, ...]
) -> None:
    cfg = compose(*SMALL, *data)
    gan, module, trainer = assemble(cfg)
    fit(gan, module, trainer)
    checkpoint = read_checkpoint(Path(cfg.run_dir) / LAST)
    frames = read_frames(checkpoint)
    assert frames is not None
    log_p, log_q = log_density(checkpoint, frames, Path(cfg.run_dir))  # type: ignore[misc]
    grid = frames.grid()
    assert log_p.shape == shape
    torch.testing.assert_close(log_p, module.distribution.log_prob(grid).double())
    u = grid @ frames.axes
    x, y = u[..., 0], u[..., 1] if len(shape) == 2 else torch.zeros(shape, dtype=torch.float64)
    for mean, cov, f in zip(frames.means, frames.covs, log_q, strict=True):
        exact = torch.distributions.MultivariateNormal(mean, cov).log_prob(grid)
        ours = f[0] + f[1] * x + f[2] * y + f[3] * x * x + f[4] * x * y + f[5] * y * y
        torch.testing.assert_close(ours, exact, rtol=1e-7, atol=1e-6)
    logits = gan.discriminator(grid.float()).squeeze(-1)
    torch.testing.assert_close(frames.logits[-1], logits.detach())


@pytest.mark.parametrize(
    "game",
    [
        [],
        ["latents=balanced", "penalty=dragan"],
        pytest.param(["penalty=r1", "objective=wasserstein", "update=optimistic"], marks=pytest.mark.extra),
        pytest.param(
            ["optimizer@optimizer_d=sgd", "optimizer_d.momentum=0.5", "schedule=cosine", "update=simultaneous"],
            marks=pytest.mark.extra,
        ),
        pytest.param(
            ["update=consensus", "optimizer@optimizer_g=rmsprop", "player_d.clip_gradient=0.1"],
            marks=pytest.mark.extra,
        ),
    ],
)
def test_eigenvalues_are_those_of_the_picture_during_the_run(compose: Compose, game: list[str]) -> None:
    cfg = compose(*SMALL, *game, "discriminator.widths=[2]")
    gan, data, trainer = assemble(cfg)
    fit(gan, data, trainer)
    snapshot = Snapshot(gan, data, None, 30)  # type: ignore[arg-type]
    exact = torch.linalg.eigvals(update_jacobian(gan.update, *linearised(gan), snapshot.batch()))
    checkpoint = read_checkpoint(Path(cfg.run_dir) / LAST)
    frames = read_frames(checkpoint)
    assert frames is not None
    found = spectra(checkpoint, frames, Path(cfg.run_dir))
    assert found is not None
    assert found.frames == [*range(len(frames.iterations))]
    assert not found.exact
    # An eigenvalue 0 of multiplicity k moves by the k-th root of rounding errors, so only the others are compared.
    ours, theirs = (np.sort_complex(each[each.abs() > 0.1].numpy()) for each in (found.eigenvalues[-1], exact))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
    _, numbers = page_of(cfg)
    packed = torch.view_as_complex(torch.tensor(unpack(numbers["spectrum"]["values"])))
    assert packed[-1].equal(found.eigenvalues[-1])


def test_many_parameters_give_fewer_spectra(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose(*SMALL, "discriminator.widths=[2]")
    train(cfg)
    monkeypatch.setattr("gaussgan.report.run_game.MOST_ITERATIONS", 100)  # 15 parameters: three moments
    _, data = page_of(cfg)
    assert data["spectrum"]["frames"][0] == 0
    assert data["spectrum"]["frames"][-1] == len(data["iterations"]) - 1
    assert len(data["spectrum"]["frames"]) == 3


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_nothing_of_a_run_can_run_in_a_browser(compose: Compose) -> None:
    cfg = compose(*SMALL, f"tags=['{EVIL}']")
    train(cfg)
    directory = Path(cfg.run_dir)
    record = json.loads((directory / "metrics.json").read_text())
    record |= {"status": "failed", "error": EVIL, "settings": {**record["settings"], EVIL: EVIL}, f"val/{EVIL}": 1.0}
    (directory / "metrics.json").write_text(json.dumps(record))
    history = (directory / "history.csv").read_text().replace("val/kl", f"val/{EVIL}")
    (directory / "history.csv").write_text(history)
    (directory / ".hydra").mkdir(exist_ok=True)
    (directory / ".hydra" / "overrides.yaml").write_text(json.dumps([f"+note={EVIL}"]))
    text, data = page_of(cfg)
    assert any(EVIL in chart["title"] for chart in data["charts"])
    assert text.count("alert(1)") > 4
    assert "<img src=x" not in text
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.S)
    assert len(scripts) == 2
    assert "alert" not in scripts[1]
    allowed = re.search(r"script-src '(sha256-[^']*)'", text)[1]  # type: ignore[index]
    assert allowed == f"sha256-{b64encode(sha256(scripts[1].encode()).digest()).decode()}"


def test_unknown_code_of_a_game_is_not_run(compose: Compose) -> None:
    cfg = compose(*SMALL)
    train(cfg)

    def forge(checkpoint: dict[str, Any]) -> None:
        checkpoint["config"]["objective"] = {"_target_": "os.mkdir", "path": f"{cfg.run_dir}/forged"}

    change(cfg, forge)
    text, data = page_of(cfg)
    assert "The spectrum cannot be computed" in text
    assert "may run unknown code" in text
    assert "spectrum" not in data
    assert data["picture"]["samples"]
    assert not (Path(cfg.run_dir) / "forged").exists()


def test_without_frames_the_page_says_what_records_them(compose: Compose) -> None:
    cfg = compose("callbacks=lean", *SMALL[:-1])
    train(cfg)
    text, data = page_of(cfg)
    assert "This run recorded no moments" in text
    assert 'id="slider"' not in text
    assert "iterations" not in data
    assert unpack(data["charts"][0]["series"][0]["x"]).tolist() == [10, 20, 30]  # from the checkpoint


@pytest.mark.parametrize("content", [b"PK", None])
def test_a_missing_or_damaged_checkpoint_leaves_the_record(compose: Compose, content: bytes | None) -> None:
    cfg = compose(*SMALL)
    train(cfg)
    path = Path(cfg.run_dir) / LAST
    path.unlink() if content is None else path.write_bytes(content)
    text, data = page_of(cfg)
    assert "iterations" not in data
    assert len(data["charts"]) > 2
    assert ("The last checkpoint cannot be used" in text) == (content is not None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("logits", torch.zeros(5, 3)), ("window", torch.full((2, 2), torch.nan)), ("covs", torch.zeros(3, 1, 1))],
)
def test_frames_of_another_form_are_not_drawn(compose: Compose, name: str, value: torch.Tensor) -> None:
    cfg = compose(*SMALL)
    train(cfg)
    change(cfg, lambda checkpoint: checkpoint["frames"].update({name: value}))
    text, data = page_of(cfg)
    assert "picture" not in data
    assert "cannot be" in text


def test_replicas_show_all_that_they_learned_and_how_they_compare(compose: Compose) -> None:
    cfg = compose(*SMALL, "replicas=4", "seed=[0,1,0,1]", "optimizer_d.lr=[0.01,0.01,0.1,0.1]")
    train(cfg)
    text, data = page_of(cfg)
    assert data["picture"]["learned"]["cov"]["shape"][1:] == [4, 2, 2]
    assert "spectrum" not in data
    band = data["charts"][1]["series"][0]
    lines = [*csv.DictReader((Path(cfg.run_dir) / "history.csv").open())]
    for key, tag in (("y", "val/w2_median"), ("low", "val/w2_p10"), ("high", "val/w2_p90")):
        assert unpack(band[key]).tolist() == [float(line[tag]) for line in lines]
    assert 'href="./replicas.html"' in text
    assert "optimizer_d.lr" in (Path(cfg.run_dir) / "replicas.html").read_text()
    other = Path(cfg.run_dir).parent / "other"
    page = write_report([Path(cfg.run_dir)], other, where=["optimizer_d.lr=0.1"]).page
    assert page == other / "report.html"
    assert "Plotly" in page.read_text()


def test_a_run_that_diverged_is_drawn(compose: Compose) -> None:
    cfg = compose(*SMALL, "objective=wasserstein", "optimizer@optimizer_d=sgd", "optimizer_d.lr=1e38")
    train(cfg)
    change(cfg, lambda checkpoint: checkpoint["frames"]["samples"].fill_(torch.nan))
    change(cfg, lambda checkpoint: checkpoint["frames"]["covs"].fill_(torch.nan))
    change(cfg, lambda checkpoint: checkpoint["frames"]["theta"].fill_(torch.nan))
    text, data = page_of(cfg)
    assert "It diverged" in text
    assert np.isnan(unpack(data["picture"]["samples"])).all()
    assert np.isnan(unpack(data["densities"]["log_q"])).all()
    assert "NaN" not in json.dumps(data)


def test_a_game_of_two_parameters_has_a_path(compose: Compose) -> None:
    cfg = compose("experiment=dirac", "trainer.max_epochs=1", "logger=none")
    train(cfg)
    _, data = page_of(cfg)
    points = unpack(data["path"]["points"])
    checkpoint = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)
    assert np.array_equal(points, checkpoint["trajectory"].numpy())
    assert np.array_equal(points[data["iterations"]], checkpoint["frames"]["theta"].numpy())
    assert data["picture"]["kind"] == "line"
    assert data["spectrum"]["exact"]


def test_settings_are_compared_with_the_default(compose: Compose) -> None:
    from gaussgan.report.collect import find_runs

    cfg = compose(*SMALL, "optimizer_d.lr=0.1", "seed=3")
    train(cfg)
    (run,) = find_runs([Path(cfg.run_dir)]).runs
    found = {setting.key: (setting.value, setting.default) for setting in changed_settings(run) or []}
    assert found["optimizer_d.lr"] == ("0.1", "0.05")
    assert found["data.num_examples"] == ("80", "1000")
    assert found["seed"] == ("3", "0")
    assert "data.batch_size" not in found


def test_a_file_of_points_is_drawn_in_its_own_units(compose: Compose, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal([100, -5], [20, 0.1], (200, 2))
    (tmp_path / "points.csv").write_text("height,width\n" + "\n".join(f"{a},{b}" for a, b in rows))
    cfg = compose("data=file", f"data.path={tmp_path}/points.csv", "trainer.max_epochs=2", "logger=none")
    train(cfg)
    text, data = page_of(cfg)
    frames = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)["frames"]
    assert [axis["name"] for axis in data["picture"]["axes"]] == ["height", "width"]
    for i, (axis, spread) in enumerate(zip(data["picture"]["axes"], (20, 0.1), strict=True)):
        values = frames["real"][:, i].numpy() * axis["scale"] + axis["shift"]
        assert values.mean() == pytest.approx(rows[:, i].mean(), abs=0.2 * spread)
        assert values.std() == pytest.approx(spread, rel=0.2)
    assert "Sliced W₂ to held-out examples" in text
    assert data["charts"][1]["level"]["name"] == "baseline"
    assert "spectrum" not in data


@pytest.mark.parametrize(
    "more, name, by",
    [
        ([], "samples", "the generator"),
        (["ema_half_life=50"], "samples_ema", "the moving average"),
    ],
)
def test_images_are_drawn_as_sheets(compose: Compose, tmp_path: Path, more: list[str], name: str, by: str) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (60, 12)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    given = ("data=file", f"data.path={tmp_path}/images.npy", "data.shape=[3,2,2]", "data.standardize=false")
    cfg = compose(*given, *more, "generator=mlp", "trainer.max_epochs=1", "logger=none")
    train(cfg)
    _, data = page_of(cfg)
    picture = data["picture"]
    assert picture["by"] == by
    assert picture["kind"] == "images"
    assert len(picture["sheets"]) == len(data["iterations"])
    checkpoint = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)
    frames, layout = checkpoint["frames"], Layout.from_state(checkpoint["DataModule"]["layout"])
    side = picture["columns"]
    for drawn, x in ((picture["real"], frames["real"][0]), (picture["sheets"][-1], frames[name][-1, 0])):
        sheet = np.asarray(Image.open(BytesIO(b64decode(drawn.split(",")[1]))))
        assert sheet.shape == (3 * side - 1, 3 * side - 1, 3)
        np.testing.assert_allclose(sheet[:2, :2] / 255, layout.pixels(x.float()).numpy(), atol=0.5 / 255 + 1e-6)
