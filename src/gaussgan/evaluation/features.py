"""Features of examples: the output of a fixed network, in which distances mean more than between pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from gaussgan.compile.errors import first_line
from gaussgan.config.errors import ConfigError
from gaussgan.config.extras import import_extra

CHUNK = 64  # number of examples that a network gets at once


@torch.no_grad()
def extract(module: Callable[[Tensor], Tensor], x: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return the features of examples, in float32 on the CPU.

    The module gets chunks of at most 64 examples, without gradients, and in evaluation mode if it is an `nn.Module`. An
    example with NaN or infinity is not given to it, and its features are NaN.

    Args:
        module: maps n examples, [n, d], or images, [n, C, H, W], to features, [n, f].
        x: the examples, [..., n, d].
        shape: (C, H, W) if the examples are images, which the module then gets as [n, C, H, W].

    Returns:
        The features, [..., n, f].

    Raises:
        ConfigError: the module fails, or its output is not one tensor [n, f] of finite floats.
    """
    device = None
    if isinstance(module, nn.Module):
        module.eval()
        device = next((parameter.device for parameter in module.parameters()), None)
    rows = x.reshape(-1, x.shape[-1]).float()
    finite = rows.isfinite().all(-1)
    chunks = rows[finite].split(CHUNK) if finite.any() else (torch.zeros_like(rows[:1]),)
    features = torch.cat([_checked(module, chunk.reshape(-1, *(shape or x.shape[-1:])).to(device)) for chunk in chunks])
    result = features.new_full((len(rows), features.shape[-1]), torch.nan)
    result[finite] = features[: int(finite.sum())]
    return result.reshape(*x.shape[:-1], -1)


class ExportedFeatures(nn.Module):
    """The network in a file of `torch.export.save` (.pt2).

    Export the network in evaluation mode and with a dynamic number of examples:

        batch = torch.export.Dim("batch")
        torch.export.save(torch.export.export(network.eval(), (x,), dynamic_shapes=({0: batch},)), "features.pt2")

    Such a file is a program, and PyTorch unpickles parts of it. Load only files whose author you trust.

    Args:
        path: the file.

    Raises:
        ConfigError: there is no such file, or it is not an exported program.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        if not Path(path).is_file():
            raise ConfigError(f"features.path: there is no file {path}")
        log = logging.getLogger("torch.export")
        level = log.level
        try:
            log.setLevel(logging.ERROR)  # otherwise a traceback of many lines comes before the error
            program = torch.export.load(path).module()
        except Exception as error:
            raise ConfigError(f"features.path: {path} is no exported program: {first_line(error)}") from error
        finally:
            log.setLevel(level)
        self.program = [program]  # a list, because an exported module refuses train() and eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.program[0](x)


class Inception(nn.Module):
    """The Inception network of torch-fidelity: 2,048 features of an image. Their squared Fréchet distance is the FID.

    The network and its weights are those of Heusel et al. 2017, arXiv 1706.08500, as torch-fidelity converted them.
    Images are rounded to the 256 values of a pixel and resized to 299 × 299. Gray images become three equal channels.

    Args:
        weights: the file of weights, pt_inception-2015-12-05 of torch-fidelity. None downloads it at the first use.

    Raises:
        ConfigError: torch-fidelity is not installed, or the weights cannot be loaded.

    Shapes: images [n, 1 or 3, H, W] with values from −1 to 1 → features [n, 2048]. Values outside are clamped.
    """

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        try:
            fidelity = import_extra("torch_fidelity", "features=inception", "torch-fidelity", "inception")
            if weights is not None:
                torch.load(weights, map_location="cpu", weights_only=True)  # torch-fidelity itself would unpickle
            self.network = fidelity.FeatureExtractorInceptionV3(
                "inception", ["2048"], feature_extractor_weights_path=weights
            )
        except ConfigError:
            raise
        except Exception as error:
            source = "the download of torch-fidelity" if weights is None else weights
            raise ConfigError(f"features.weights: cannot load {source}: {first_line(error)}") from error

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ConfigError(f"expected images with 1 or 3 channels, not {list(x.shape)}")
        pixels = x.mul(127.5).add(127.5).round().clamp(0, 255).to(torch.uint8)
        return self.network(pixels.expand(-1, 3, -1, -1))[0]


def _checked(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return a module's output for a chunk of examples. Raise an error of one line if the output is wrong."""
    name, given = type(module).__name__, f"for {list(x.shape)}"
    try:
        features = module(x)
    except Exception as error:
        raise ConfigError(f"features: {name} fails {given}: {first_line(error)}") from error
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(x):
        what = list(features.shape) if isinstance(features, Tensor) else f"a {type(features).__name__}"
        raise ConfigError(f"features: {name} must return one tensor [{len(x)}, f] {given}, not {what}")
    if not features.is_floating_point() or not features.isfinite().all():
        bad = "NaN or infinity" if features.is_floating_point() else features.dtype
        raise ConfigError(f"features: {name} must return finite floats, but its output has {bad}")
    return features.float().cpu()
