"""Every published generator is, module by module, the one that its experiment builds."""

import re

import pytest
import torch
from torch import nn

from tests.golden import golden_file
from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.networks.attention import PixelAttention
from wavelight.networks.frequency import FrequencyDownBlock, FrequencyUpBlock, WaveletDown
from wavelight.networks.published import published_name
from wavelight.networks.resampling import FilteredConvolutionDown
from wavelight.networks.residual import DownBlock, Residual, ResidualBlock, UpBlock

EXPERIMENTS = {
    "wavediff cifar10": "cifar10",
    "wavediff stl10": "stl10",
    "wavediff celeba_256": "celeba256",
    "wavediff celeba_512": "celeba512",
    "wavediff celeba_1024": "celeba1024",
    "wavediff lsun": "church",
    "ddgan cifar10": "cifar10_ddgan",
    "ddgan stl10": "stl10_ddgan",
    "ddgan celeba_256": "celeba256_ddgan",
    "ddgan celeba_512": "celeba512_ddgan",
    "ddgan lsun": "church_ddgan",
}
FILTERED, WAVELET = "ResnetBlockBigGANpp_Adagn", "WaveletResnetBlockBigGANpp_Adagn"
KINDS: dict[type[nn.Module], tuple[str, str]] = {
    nn.Linear: ("Linear", ""),
    nn.Conv2d: ("Conv2d", ""),
    nn.GroupNorm: ("GroupNorm", ""),
    PixelAttention: ("AttnBlockpp", ""),
    FilteredConvolutionDown: ("Downsample", ""),
    WaveletDown: ("WaveletDownsample", ""),
    DownBlock: (FILTERED, "down"),
    UpBlock: (FILTERED, "up"),
    FrequencyDownBlock: (WAVELET, "down"),
    FrequencyUpBlock: (WAVELET, "up"),
}


def published_table(title: str) -> list[str]:
    sections = golden_file("wavediff_modules.txt").read_text().split("## ")
    (table,) = (part for part in sections if part.startswith(f"{title} "))
    return [" ".join(line.split()) for line in table.splitlines()[1:] if line.strip()]


def own_table(generator: nn.Module) -> list[str]:
    """Run a generator on one image without values, and note what comes in and goes out of its modules."""
    modules = dict(generator.named_modules())
    wavelet = any(isinstance(module, FrequencyDownBlock) for module in modules.values())
    numbered: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, module in modules.items():
        weight = next((key for key, _ in module.named_parameters()), None)
        if not name or weight is None:
            continue
        published = published_name(generator, f"{name}.{weight}")
        inner = published_name(module, weight)
        number = re.fullmatch(rf"all_modules\.(\d+)\.{re.escape(inner)}", published)
        if number is None:
            continue
        shapes: list[str] = []
        module.register_forward_hook(_noting(shapes))
        numbered[int(number[1])] = (module, shapes)
    side, channels = generator.resolution, generator.channels
    with torch.no_grad():
        inputs = torch.zeros(1, channels, side, side), torch.zeros(1).long(), torch.zeros(1, 100)
        generator(*(value.to("meta") for value in inputs))
    return [_line(number, *numbered[number], wavelet) for number in sorted(numbered)]


def _noting(shapes: list[str]):
    def note(module, inputs, output):
        features = getattr(output, "features", output)
        pair = f"{tuple(inputs[0].shape[1:])}->{tuple(features.shape[1:])}"
        shapes.append(pair)

    return note


def _line(number: int, module: nn.Module, shapes: list[str], wavelet: bool) -> str:
    kinds = (kind for known, kind in KINDS.items() if isinstance(module, known))
    in_level = (WAVELET if wavelet else FILTERED, "")
    kind, direction = in_level if isinstance(module, ResidualBlock) else next(kinds)
    words = [str(number), kind, direction, " ; ".join(shapes)]
    if isinstance(module, FrequencyUpBlock):
        words.append(f"convH_0{tuple(module.details.weight.shape)}")
    if isinstance(module, Residual):
        words.append(f"groups=({module.norm_in.groups},{module.norm_out.groups})")
    return " ".join(" ".join(words).split())


@pytest.mark.parametrize("title", EXPERIMENTS)
def test_modules_are_the_published_ones(title: str) -> None:
    with torch.device("meta"):
        system = system_from_config(experiment_config(EXPERIMENTS[title]))
    assert own_table(system.models[0].generator) == published_table(title)
