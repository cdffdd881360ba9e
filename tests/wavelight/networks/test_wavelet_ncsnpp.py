"""The wavelet-embedded generator equals the published one, and each of its parts does what the paper says."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden import NARROW, filled, golden_file, normal
from wavelight.factors import FactorShape
from wavelight.networks import NCSNpp, WaveletNCSNpp
from wavelight.networks.compiled import Compiled
from wavelight.networks.frequency import FrequencyDownBlock, FrequencyUpBlock, WaveletDown
from wavelight.networks.published import published_state
from wavelight.networks.resampling import FilteredConvolutionDown
from wavelight.networks.residual import DownBlock, UpBlock

STL10: dict[str, Any] = {
    "shape": FactorShape.square(12, 32),
    "width": 128,
    "multipliers": [1, 2, 2, 2],
    "attention_resolutions": [16],
    "mapping_layers": 4,
}
CELEBA256: dict[str, Any] = {
    "shape": FactorShape.square(12, 128),
    "width": 64,
    "multipliers": [1, 2, 2, 2, 4],
    "attention_resolutions": [16],
    "mapping_layers": 3,
}
CELEBA512: dict[str, Any] = CELEBA256 | {
    "shape": FactorShape.square(12, 256),
    "multipliers": [1, 1, 2, 2, 4, 4],
}
CELEBA1024: dict[str, Any] = CELEBA512 | {
    "shape": FactorShape.square(12, 512),
    "attention_resolutions": [],
    "patch": 2,
}
ABLATIONS = ("frequency_resampling", "frequency_bottleneck", "wavelet_pyramid")

EVERYTHING_OFF = dict.fromkeys(ABLATIONS, False)


def narrow(**changes: Any) -> tuple[WaveletNCSNpp, tuple[Tensor, Tensor, Tensor]]:
    """Return a small generator with weights that leave nothing silent, and inputs for it."""
    torch.manual_seed(0)
    network = filled(WaveletNCSNpp(**({"shape": FactorShape.square(12, 8), **NARROW} | changes)))
    side = network.resolution
    return network, (normal(1, 3, 12, side, side), torch.arange(3), normal(2, 3, 100))


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.slow
def test_output_is_the_published_one(threads: int) -> None:
    network = filled(WaveletNCSNpp(**CELEBA256))
    with torch.no_grad():
        generated = network(normal(1, 1, 12, 128, 128), torch.arange(1), normal(2, 1, 100))
    first = torch.tensor([-0.0513469, -0.394831, -0.278926, 0.437089])
    torch.testing.assert_close(generated.flatten()[:4], first, atol=5e-6, rtol=0)
    assert generated.mean().item() == pytest.approx(0.0249561, abs=1e-6)
    assert generated.std().item() == pytest.approx(0.469899, abs=1e-5)
    expected = np.load(golden_file("wavediff_golden.npz"))["G_wavediff_celeba_256"]
    torch.testing.assert_close(
        generated[..., ::8, ::8], torch.from_numpy(expected), atol=5e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("values", "parameters", "tensors"),
    [
        (STL10, 55_585_292, 390),
        (CELEBA256, 31_485_452, 474),
        (CELEBA512, 44_853_004, 558),
        (CELEBA1024, 44_186_416, 528),
        (CELEBA256 | {"frequency_bottleneck": False}, 31_485_452, 474),
        (CELEBA256 | {"frequency_resampling": False}, 29_492_876, None),
        (CELEBA256 | {"wavelet_pyramid": False}, 30_358_796, None),
    ],
)
def test_size_is_the_published_one(
    values: dict[str, Any], parameters: int, tensors: int | None
) -> None:
    with torch.device("meta"):
        network = WaveletNCSNpp(**values)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert tensors is None or len(network.state_dict()) == tensors


def test_published_names_are_the_published_ones() -> None:
    lines = golden_file("wavediff_keys_celeba256.txt").read_text().splitlines()
    expected = dict(line[2:].split(" ", 1) for line in lines if line.startswith("G "))
    with torch.device("meta"):
        network = WaveletNCSNpp(**CELEBA256)
    assert {
        name: str(tuple(value.shape)) for name, value in published_state(network).items()
    } == expected


def test_without_its_parts_it_is_the_plain_generator() -> None:
    network, inputs = narrow(**EVERYTHING_OFF)
    plain = filled(NCSNpp(FactorShape.square(12, 8), **NARROW))
    assert torch.equal(network(*inputs), plain(*inputs))


@pytest.mark.parametrize("part", ABLATIONS)
def test_each_part_is_switched_alone(part: str) -> None:
    kinds = {
        "frequency_resampling": (FrequencyDownBlock, FrequencyUpBlock, DownBlock, UpBlock),
        "wavelet_pyramid": (WaveletDown, FilteredConvolutionDown),
    }
    whole, inputs = narrow()
    without, _ = narrow(**{part: False})
    assert not torch.allclose(whole(*inputs), without(*inputs), atol=1e-3)
    for name, classes in kinds.items():
        half = len(classes) // 2
        absent = classes[:half] if name == part else classes[half:]
        assert not any(isinstance(module, absent) for module in without.modules())


def test_details_go_by_the_bottleneck() -> None:
    """Where everything between the way down and the way up is the same, what was taken comes back."""
    down, up = (
        next(module for module in narrow()[0].modules() if isinstance(module, kind))
        for kind in (FrequencyDownBlock, FrequencyUpBlock)
    )
    assert up.details.weight.shape[1] == down.conv_in.out_channels
    network, inputs = narrow()
    generated = network(*inputs)
    with torch.no_grad():
        up = next(module for module in network.modules() if isinstance(module, FrequencyUpBlock))
        up.details.weight.zero_()
    assert not torch.allclose(network(*inputs), generated, atol=1e-3)


def test_patches_are_cut_colour_by_colour_and_joined_pixel_by_pixel() -> None:
    from wavelight.networks.wavelet_ncsnpp import _patches

    image = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    cut = _patches(image, 2)
    for row in range(2):
        for column in range(2):
            for colour in range(3):
                expected = image[:, colour, row::2, column::2]
                assert torch.equal(cut[:, (2 * row + column) * 3 + colour], expected)
    network, (x, t, z) = narrow(shape=FactorShape.square(12, 16), patch=2)
    assert network(x, t, z).shape == x.shape
    assert network.stem.in_channels == network.head.out_channels == 48


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ValueError, match="patch must divide the side of the generated bands, 10, got 4"
    ):
        WaveletNCSNpp(FactorShape.square(12, 10), **NARROW, patch=4)


def test_a_factor_with_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="WaveletNCSNpp is unconditional and cannot model detail"):
        WaveletNCSNpp(FactorShape.square(9, 8, 3), **NARROW)


def test_without_bound_it_leaves_the_range() -> None:
    network, inputs = narrow(bounded=False)
    bounded, _ = narrow()
    torch.testing.assert_close(network(*inputs).tanh(), bounded(*inputs))
    assert network(*inputs).abs().max() > 1


def test_every_parameter_learns() -> None:
    network, inputs = narrow()
    network(*inputs).square().sum().backward()
    assert [
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()
    ] == []


def test_images_of_a_batch_do_not_meet() -> None:
    network, (x, t, z) = narrow()
    together = network(x, t, z)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], z[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_matter(layout: torch.memory_format) -> None:
    network, (x, t, z) = narrow()
    expected = network(x, t, z)
    generated = network.to(memory_format=layout)(x.to(memory_format=layout), t, z)
    torch.testing.assert_close(generated, expected, atol=1e-5, rtol=0)


def test_runs_in_bfloat16_under_autocast() -> None:
    network, inputs = narrow()
    expected = network(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        generated = network(*inputs)
    generated.float().sum().backward()
    assert (generated - expected).square().mean().sqrt() < 0.05 * expected.std()


def test_a_network_of_bfloat16_draws_nearly_the_same() -> None:
    network, (x, t, z) = narrow()
    expected = network(x, t, z)
    generated = network.bfloat16()(x.bfloat16(), t, z.bfloat16())
    assert (generated - expected).square().mean().sqrt() < 0.05 * expected.std()


@pytest.mark.slow
def test_compiled_draws_the_same() -> None:
    network, inputs = narrow()
    with torch.no_grad():
        generated = torch.compile(network, fullgraph=True)(*inputs)
        torch.testing.assert_close(generated, network(*inputs), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_compiled_for_drawing_draws_the_same() -> None:
    network, inputs = narrow()
    expected = network(*inputs)
    torch.testing.assert_close(Compiled(network)(*inputs), expected.detach(), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_exported_draws_the_same() -> None:
    network, inputs = narrow()
    exported = torch.export.export(network, inputs).module()
    torch.testing.assert_close(exported(*inputs), network(*inputs), atol=1e-5, rtol=0)
