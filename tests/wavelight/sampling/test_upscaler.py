"""A pyramid doubles a user's own image: true details give the true image, and tiles do not show."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.checkpoints import data, written
from tests.checkpoints import score_model as model_section
from tests.systems import detail_gan, regression, score_model, tiny_hybrid, tiny_wsgm
from tests.tiny import tiny_system
from wavelight.__main__ import main
from wavelight.commands.upscale import read_image, upscale
from wavelight.evaluation.upscaling import measure_upscaling, smaller
from wavelight.factorizations.pyramids import LaplacianPyramid, Pyramid
from wavelight.factorizations.scaling import Half
from wavelight.factors import Condition, FactorShape
from wavelight.models import GenerativeModel
from wavelight.networks import AttentionGateUNet, DetailGenerator
from wavelight.sampling import upscaler as upscaling
from wavelight.sampling.tiles import Tiles
from wavelight.sampling.upscaler import Upscaler, multiple
from wavelight.systems.base import ImageGenerator


class TrueDetails(GenerativeModel):
    """Samples the details of known images."""

    def __init__(self, shape, details):
        super().__init__()
        self.details = details

    def players(self):
        return {}

    def losses(self, player, factor, turn, noise):
        return {}

    def sample(self, shape, condition, noise):
        if condition.ll.is_meta:
            return torch.empty(1, *shape, device="meta")
        return self.details[noise.index].expand(-1, *shape)


class Convolutions(DetailGenerator):
    """Two 3x3 convolutions: reads two pixels around each."""

    def __init__(self, noise_channels=3):
        super().__init__(9, 3, noise_channels, halvings=0)
        self.layers = nn.Sequential(
            nn.Conv2d(3 + noise_channels, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 9, 3, padding=1)
        )
        self.seen = []

    def forward(self, noise, condition):
        self.seen.append(tuple(condition.ll.shape[2:]))
        return self.layers(self.conditioned(noise, condition))


class OneSide(Convolutions):
    """Takes coarse bands of 8 pixels only."""

    def forward(self, noise, condition):
        if condition.ll.shape[2:] != (8, 8):
            raise ValueError("another side")
        return super().forward(noise, condition)


def convolutional(levels=1, network=Convolutions):
    torch.manual_seed(0)
    details = detail_gan(generator=lambda shape: network())
    return tiny_hybrid(details=details, levels=levels)


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def number(n=1):
    return torch.arange(n)


PYRAMIDS = [Pyramid(2), Pyramid(2, "db2", Half()), LaplacianPyramid(2, Half())]


@pytest.mark.parametrize("pyramid", PYRAMIDS, ids=lambda pyramid: pyramid.bands)
@pytest.mark.parametrize("doublings", [1, 2])
def test_true_details_give_the_true_image(pyramid, doublings):
    true = images(2, 3, 16, 24)
    factors = pyramid.encode(true)
    models = [partial(TrueDetails, details=factor.target) for factor in factors]
    system = ImageGenerator(pyramid, models, 16, seed=0)
    small = smaller(true, pyramid, doublings)
    assert small.shape == (2, 3, 16 >> doublings, 24 >> doublings)
    generated = Upscaler(system, doublings=doublings)(small, number(2))
    assert (generated - true).abs().max() < 1e-5


@pytest.mark.parametrize("build", [tiny_wsgm, tiny_hybrid])
def test_means_of_blocks_are_the_image_again(build):
    system, small = build(), images(2, 3, 4, 6) / 2
    for band in system.factorization.details:
        # So that nothing is clamped.
        band.scale.mul_(0.01)
    generated = Upscaler(system)(small, number(2))
    assert generated.shape == (2, 3, 16, 24)
    assert generated.abs().max() < 1
    assert (smaller(generated, system.factorization, 2) - small).abs().max() < 1e-5


def test_an_image_of_a_system_is_doubled_as_the_system_does():
    """The noise of the details is that of an image of this number."""
    system, generated = tiny_hybrid().eval(), []
    expected = system.factorization.decode(
        lambda factor, ll: generated.append(target(system, factor, ll)) or generated[-1]
    ).clamp(-1, 1)
    coarsest = generated[0] * system.factorization.coarse[1].scale
    found = Upscaler(system, seed=5)(coarsest / 4, number(2))
    assert (found - expected).abs().max() < 1e-5


@torch.no_grad()
def target(system, factor, ll):
    noise = upscaling.Noise(5, number(2), stream=factor << 8)
    return system.factor_models()[factor].sample(system.target_shapes[factor], Condition(ll), noise)


def test_an_image_depends_on_seed_and_number_alone():
    upscaler, small = Upscaler(tiny_wsgm(), seed=1), images(1, 3, 4, 4).expand(3, -1, -1, -1)
    together = upscaler(small, torch.tensor([7, 8, 2**55]))
    alone = upscaler(small[:1], torch.tensor([8]))
    assert (together[1:2] - alone).abs().max() < 1e-5
    assert (together[0] - together[1]).abs().max() > 0.01
    other_seed = Upscaler(tiny_wsgm(), seed=2)(small[:1], torch.tensor([8]))
    assert (other_seed - alone).abs().max() > 0.01


def test_sides_that_cannot_be_halved_are_continued_and_cut():
    system = tiny_hybrid()
    assert multiple(system.factor_models()[1], (9, 4, 4), 3) == 2
    upscaler = Upscaler(system)
    small = images(1, 3, 5, 7)
    odd = upscaler(small, number())
    even = upscaler(small[:, :, [0, 1, 2, 3, 4, 4]][..., [0, 1, 2, 3, 4, 5, 6, 6]], number())
    assert odd.shape == (1, 3, 20, 28)
    assert torch.equal(odd, even[..., :20, :28])


def test_a_laplacian_pyramid_needs_half_as_much_of_the_sides():
    generator = partial(AttentionGateUNet, width=4, noise_channels=3, pools=2)
    system = tiny_hybrid(details=detail_gan(generator=generator), pyramid=LaplacianPyramid)
    upscaler = Upscaler(system)
    assert upscaler._multiples == {2: 4, 1: 4}
    for side, continued in [(5, 6), (6, 6)]:
        small = images(1, 3, side, 8)
        assert upscaler._continued(small).shape[2:] == (continued, 8)
        assert upscaler(small, number()).shape == (1, 3, 4 * side, 32)
    alone = Upscaler(system, doublings=1)
    assert alone._continued(images(1, 3, 5, 8)).shape[2:] == (6, 8)


def test_what_divides_the_sides_is_found_by_trial():
    shape = FactorShape.square(9, 8, condition_channels=3)
    model = regression()(shape)
    assert multiple(score_model()(shape), (9, 8, 8), 3) == 1
    assert multiple(model, (9, 8, 8), 3) == 2
    one_side = detail_gan(generator=lambda shape: OneSide())
    assert multiple(one_side(shape), (9, 8, 8), 3) is None
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_tiles_are_the_whole_image_where_a_network_reads_less_than_a_quarter_of_the_overlap():
    whole = Upscaler(convolutional(2), seed=4)
    small = images(1, 3, 37, 30)
    expected = whole(small, number())
    for tiles in (Tiles(16, 8), Tiles(16, 12), Tiles(33, 8), Tiles(64, 8)):
        system = convolutional(2)
        generator = system.factor_models()[1].generator
        found = Upscaler(system, seed=4, tiles=tiles)(small, number())
        assert (found - expected).abs().max() < 1e-5
        sides = [shape for shape in generator.seen if shape != (3, 5)]
        assert max(max(shape) for shape in sides) <= max(tiles.side, 16)
        assert "forward" not in vars(generator)
    apart = Upscaler(convolutional(2), seed=4, tiles=Tiles(16, 0))(small, number())
    assert (apart - expected).abs().max() > 1e-3


class ConvolutionalDenoiser(nn.Module):
    """Two 3x3 convolutions, conditioned on the noise level and on LL."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(12, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 9, 3, padding=1)
        )

    def forward(self, x, c_noise, condition):
        return self.layers(torch.cat([x, condition.ll], dim=1)) + c_noise[:, None, None, None] / 10


def test_tiles_of_a_denoiser_are_blended_at_every_evaluation():
    """Whatever the steps, a denoiser needs no more overlap than one evaluation reads."""
    torch.manual_seed(0)
    details = score_model(steps=8, network=lambda shape: ConvolutionalDenoiser())
    system = tiny_hybrid(details=details, levels=1)
    small = images(1, 3, 24, 30)
    whole = Upscaler(system)(small, number())
    tiled = Upscaler(system, tiles=Tiles(16, 8))(small, number())
    assert (tiled - whole).abs().max() < 1e-5


def test_normalization_sees_a_tile():
    system, small = tiny_wsgm(), images(1, 3, 24, 24)
    nn.init.normal_(system.models[2].score.head.weight, std=0.02)
    whole = Upscaler(system, doublings=1)(small, number())
    tiled = Upscaler(system, doublings=1, tiles=Tiles(16, 8))(small, number())
    assert 1e-4 < (tiled - whole).abs().mean() < 0.1


def test_a_tile_is_blended_by_weights_that_sum_to_one():
    tiles, total = Tiles(8, 4), torch.zeros(20)
    starts = tiles._starts(20)
    assert starts == [0, 4, 8, 12]
    for start in starts:
        total[start : start + 8] += tiles._weight(start, 20)
    assert torch.allclose(total, torch.ones(20))
    assert tiles._weight(4, 20).tolist() == [0, 0.25, 0.75, 1, 1, 0.75, 0.25, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Upscaler(tiny_system()), r"only a pyramid \(WSGM, Hybrid\) can upscale images"),
        (
            lambda: Upscaler(tiny_wsgm(), doublings=3),
            "doublings must be from 1 to the pyramid's 2 levels, got 3",
        ),
        (
            lambda: Upscaler(tiny_wsgm(), doublings=0),
            "doublings must be from 1 to the pyramid's 2 levels, got 0",
        ),
        (
            lambda: Upscaler(tiny_wsgm(bounded=False)),
            r"upscaling needs a system of bounded images \(pictures\), got one of unbounded fields",
        ),
        (
            lambda: Upscaler(tiny_wsgm(), tiles=Tiles(8, 8)),
            "overlap must be from 0 to less than the side of a tile, 8, got 8",
        ),
        (
            lambda: Upscaler(tiny_hybrid(), tiles=Tiles(8, 3)),
            "tile and overlap must be multiples of 2 for the model of level 2, got 8 and 3",
        ),
        (
            lambda: Upscaler(convolutional(network=OneSide), tiles=Tiles(8, 2)),
            "the model of level 1 takes images of one size only: leave out tile",
        ),
        (
            lambda: Upscaler(convolutional(network=OneSide))(images(1, 3, 8, 9), number()),
            "doubling 1 times needs an image of another size",
        ),
        (
            lambda: Upscaler(tiny_wsgm())(images(1, 1, 4, 4), number()),
            "the images must have 3 channels, as the system samples, got 1",
        ),
        (
            lambda: Upscaler(tiny_wsgm(wavelet="db2"))(images(1, 3, 1, 4), number()),
            "the image must have sides of at least 2 for wavelet 'db2', got 4x1",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- the command ---


@pytest.fixture
def loads(monkeypatch):
    """The command samples with a system that needs no checkpoint."""
    system = tiny_hybrid()
    monkeypatch.setattr("wavelight.checkpoints.loading.load", lambda path, ema, trust_code: system)
    return system


def picture(path, mode="RGB", size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def pixels(path):
    return np.asarray(Image.open(path))


def run(image, out, **options):
    upscale(Path("x.ckpt"), image, out, device="cpu", **options)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "LA", "I;16"])
def test_pictures_of_all_kinds_are_taken(tmp_path, mode):
    read = read_image(picture(tmp_path / "a.png", mode), 3)
    assert (read.dtype, read.shape) == (torch.uint8, (3, 5, 6))
    grey = read_image(tmp_path / "a.png", 1)
    assert (grey.dtype, grey.shape) == (torch.uint8, (1, 5, 6))


def test_a_picture_becomes_a_larger_one(tmp_path, loads):
    out = tmp_path / "deep" / "out.png"
    image = picture(tmp_path / "in.jpg")
    run(image, out)
    assert pixels(out).shape == (20, 24, 3)
    generated = out.read_bytes()
    run(image, out)
    assert out.read_bytes() == generated
    with pytest.raises(
        ValueError, match="exists, made from another image, weights, seed or options than"
    ):
        run(image, out, seed=1)
    with pytest.raises(ValueError, match="remove it, or name another"):
        run(image, picture(tmp_path / "own.png"))
    run(image, tmp_path / "once.png", doublings=1, tile=8, overlap=4)
    assert pixels(tmp_path / "once.png").shape == (10, 12, 3)


def test_a_folder_goes_on_where_it_stopped(tmp_path, loads, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    picture(source / "b.jpg", size=(8, 4))
    picture(source / "more" / "a.png")
    run(source, out)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert names == ["b.png", "more/a.png"]
    first = (out / "b.png").read_bytes()
    (out / "more" / "a.png").unlink()
    # Another image beside it changes nothing.
    picture(source / "a.png", "L")
    run(source, out)
    assert (out / "b.png").read_bytes() == first
    assert len(list(out.rglob("*.png"))) == 3
    assert "b.png is there already" in capsys.readouterr().err
    run(source / "b.jpg", tmp_path / "alone.png")
    assert (tmp_path / "alone.png").read_bytes() == first


def test_files_that_cannot_be_written_are_refused_first(tmp_path, loads):
    image = picture(tmp_path / "in" / "a.png")
    for source, out, message in [
        (image, tmp_path / "a.jpg", r"the output file must end in \.png, got"),
        (tmp_path / "none.png", tmp_path / "a.png", "there is no"),
        (image.parent, image, "out must be a folder because"),
        (image.parent, image.parent / "out", r"\(the next run would upscale its own output\), got"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(source, out)
    picture(tmp_path / "in" / "a.jpg")
    with pytest.raises(ValueError, match="would both be written to"):
        run(image.parent, tmp_path / "out")
    with pytest.raises(
        ValueError,
        match="overlap must come with tile, got overlap 4 alone: give the side of the tiles",
    ):
        run(image, tmp_path / "a.png", overlap=4)
    with pytest.raises(ValueError, match="tile must be at least 1 pixel, got 0"):
        run(image, tmp_path / "a.png", tile=0)


# --- its quality ---


@pytest.mark.filterwarnings("ignore:fwd of")
def test_quality_is_that_of_the_formulas():
    """Equal images have a distance of 0; a shift by 0.2 of a range of 2 has a PSNR of 20 dB."""
    true = images(4, 3, 16, 16) * 0.5
    same = measure_upscaling(true, true)
    assert same.fwd == pytest.approx(0, abs=1e-6)
    assert same.ssim == pytest.approx(1)
    shifted = measure_upscaling(true + 0.2, true, batch_size=3)
    assert shifted.psnr == pytest.approx(20, abs=1e-3)
    assert shifted == pytest.approx(measure_upscaling(true + 0.2, true), rel=1e-5)


def test_smaller_is_the_mean_of_blocks():
    true = images(1, 3, 8, 12)
    expected = torch.nn.functional.avg_pool2d(true, 4)
    assert torch.allclose(smaller(true, Pyramid(2), 2), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:fwd of")
def test_a_checkpoint_is_measured_on_its_data_and_upscales(tmp_path, capsys):
    options = {"coarse": model_section(), "details": model_section(), "levels": 1}
    wsgm = {"class_path": "wavelight.systems.WSGM", "init_args": options}
    path = written(tmp_path / "x.ckpt", wsgm, data(tmp_path))
    main(["upscaling_quality", str(path), "--images", "12", "--batch_size", "5", "--device=cpu"])
    caption, _, _, _, *lines = capsys.readouterr().out.splitlines()
    assert caption.startswith("12 held-out images, made smaller by haar")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["pixels", "enlarged by", "psnr", "ssim", "fwd"]
    assert [row[:2] for row in cells[2:]] == [
        ["8 to 16", name] for name in ("WSGM", "bicubic", "bicubic, antialias", "no details")
    ]
    other = ["--source=data_modules.Scenes", "--image_size"]
    main(["upscaling_quality", str(path), "--images=4", *other, "32"])
    assert "| 16 to 32 |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["upscaling_quality", str(path), *other, "33"])
    assert "image_size must be divisible by 2**levels = 2, got 33" in capsys.readouterr().err
    main(
        [
            "upscale",
            str(path),
            str(picture(tmp_path / "in.gif")),
            "--out",
            str(tmp_path / "out.png"),
        ]
    )
    assert pixels(tmp_path / "out.png").shape == (10, 12, 3)
