"""Features come from any module, and bad ones are refused in one line."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from conftest import ROOT
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.evaluation.features import ExportedFeatures, Inception, extract
from gaussgan.rng import normal, stream


def sample(*shape: int) -> Tensor:
    return normal(*shape, generator=stream(0, "x"))


def config(name: str, **values: Any) -> Any:
    return instantiate(OmegaConf.load(ROOT / "conf" / "features" / f"{name}.yaml"), **values)


class Convolution(nn.Module):
    """A network of images, with a layer that is random in training."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.dropout = nn.Conv2d(3, 5, 2), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.convolution(x)).mean((-2, -1))


def test_chunks_replicas_and_the_training_mode_do_not_matter() -> None:
    network, x = Convolution(), sample(2, 150, 48)
    features = extract(network, x, (3, 4, 4))
    assert (features.shape, features.dtype, features.requires_grad) == ((2, 150, 5), torch.float32, False)
    torch.testing.assert_close(features[1], network.eval()(x[1].reshape(-1, 3, 4, 4)))
    assert extract(lambda rows: rows[:, :7], x).equal(x[..., :7])


def test_an_example_that_is_not_finite_has_no_features() -> None:
    x = sample(200, 3)
    x[5, 1], x[100] = torch.nan, torch.inf
    features = extract(nn.Linear(3, 2), x)
    assert features.isnan().any(-1).nonzero()[:, 0].tolist() == [5, 100]
    assert extract(nn.Linear(3, 2), torch.full((4, 3), torch.nan)).shape == (4, 2)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 2), r"features: Linear fails for \[64, 3\]: mat1 and mat2 shapes cannot be multiplied"),
        (lambda x: (x, x), r"features: function must return one tensor \[64, f\] for \[64, 3\], not a tuple"),
        (lambda x: x.mean(0), r"features: function must return one tensor \[64, f\] for \[64, 3\], not \[3\]"),
        (lambda x: x[1:], r"features: function must return one tensor \[64, f\] for \[64, 3\], not \[63, 3\]"),
        (lambda x: x.long(), "features: function must return finite floats, but its output has torch.int64"),
        (lambda x: x / 0, "features: function must return finite floats, but its output has NaN or infinity"),
    ],
)
def test_what_is_not_features_is_refused(module: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}.*$"):
        extract(module, sample(100, 3))


def test_an_exported_file(tmp_path: Path) -> None:
    network, x, path = Convolution().eval(), sample(150, 48), str(tmp_path / "features.pt2")
    images = x.reshape(-1, 3, 4, 4)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    torch.testing.assert_close(extract(config("export", path=path), x, (3, 4, 4)), network(images))
    with pytest.raises(ConfigError, match="features: ExportedFeatures fails for"):
        extract(ExportedFeatures(path), x)


def test_files_that_are_no_exported_programs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "features.pt2"
    with pytest.raises(ConfigError, match=r"^features.path: there is no file .*features.pt2$"):
        ExportedFeatures(str(path))
    path.write_text("no program")
    with pytest.raises(ConfigError, match=r"^features.path: .*features.pt2 is no exported program: .+$"):
        ExportedFeatures(str(path))
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ConfigError, match=r"^features.path: .*features.pt2 is no exported program: .+$"):
        ExportedFeatures(str(path))
    assert not caplog.records


def test_without_torch_fidelity_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(InstantiationException) as stop:
        config("inception")
    assert re.match(r"features=inception needs the package torch-fidelity: .*\[inception\]", one_line(stop.value))


@pytest.fixture
def fidelity(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The library torch-fidelity. It imports torchvision, which its Inception network does not use."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: torchvision was built for another torch
        for name in (
            "torchvision",
            "torchvision.datasets",
            "torchvision.transforms",
            "torchvision.transforms.functional",
        ):
            module: Any = ModuleType(name)
            module.CIFAR10 = module.CIFAR100 = module.STL10 = object
            monkeypatch.setitem(sys.modules, name, module)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)
    yield pytest.importorskip("torch_fidelity")
    for name in [name for name in sys.modules if name.split(".")[0] == "torch_fidelity"]:
        del sys.modules[name]


@pytest.mark.extra
def test_inception_with_random_weights(fidelity: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = str(tmp_path / "weights.pth")
    kind = fidelity.FeatureExtractorInceptionV3
    with monkeypatch.context() as patch:  # the library makes this network only from weights
        patch.setattr(kind, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *args, **kwargs: {})
        network = kind("inception", ["2048"], feature_extractor_weights_path="none")
    torch.save(network.state_dict(), weights)
    x = sample(3, 3 * 8 * 8).clamp(-1, 1)
    features = extract(config("inception", weights=weights), x, (3, 8, 8))
    pixels = (127.5 * x + 127.5).round().to(torch.uint8).reshape(-1, 3, 8, 8)
    assert features.shape == (3, 2048)
    assert features.equal(network(pixels)[0])
    gray = extract(Inception(weights), x[:, :64], (1, 8, 8))
    torch.testing.assert_close(gray, network(pixels[:, :1].repeat(1, 3, 1, 1))[0])
    with pytest.raises(ConfigError, match=r"features: Inception fails for .*: expected images with 1 or 3 channels"):
        extract(Inception(weights), x)


@pytest.mark.extra
def test_inception_weights_that_cannot_be_loaded(fidelity: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "weights.pth")
    torch.save(nn.Linear(2, 2), path)  # a pickled object, which could run any code
    with pytest.raises(ConfigError, match=r"^features.weights: cannot load .*weights.pth: Weights only load failed"):
        Inception(path)
    torch.save({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=r"^features.weights: cannot load .*weights.pth: Error\(s\) in loading"):
        Inception(path)
