import multiprocessing
from functools import partial

import pytest
import torch

from data_modules import statistics
from data_modules.statistics import BandMoments, Moments, measure
from tests.sources import Numbered, Physical, module
from wavelight.wavelets import dwt2


@pytest.fixture
def images():
    return torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 + 3


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_they_equal_a_direct_computation(images, wavelet):
    found = measure(images.split(7), 3, partial(dwt2, wavelet=wavelet), levels=2)

    bands = [(images, images.new_zeros(40, 0, 16, 16))]
    bands.append(dwt2(images, wavelet))
    bands.append(dwt2(bands[1][0], wavelet))
    assert len(found) == 3
    for level, pair in zip(found, bands, strict=True):
        for band, expected in zip(level, pair, strict=True):
            values = expected.double().transpose(0, 1).flatten(1)
            std = (values - values.mean(1, keepdim=True)).square().mean(1).sqrt()
            assert torch.allclose(band.mean.double(), values.mean(1), atol=1e-6)
            assert torch.allclose(band.std.double(), std, atol=1e-6)
            covariance = values.cov(correction=0).reshape(len(values), len(values))
            assert torch.allclose(band.covariance.double(), covariance, atol=1e-5)
            assert torch.equal(
                band.peak, expected.abs().amax((0, 2, 3)) if len(values) else torch.empty(0)
            )


def test_a_small_deviation_beside_a_large_mean_keeps_its_digits():
    images = 1e6 + torch.randn(64, 1, 8, 8, dtype=torch.float64)

    found = measure(images.split(5), 1, dwt2, 0)[0].coarse

    assert torch.allclose(found.std.double(), images.std(correction=0).reshape(1), rtol=1e-6)


def test_parts_measured_apart_are_merged(images):
    whole, first, second = (BandMoments(3, 1) for _ in range(3))
    whole.update(images, dwt2)
    first.update(images[:13], dwt2)
    second.update(images[13:], dwt2)
    first.merge(second)

    for mine, theirs in zip(
        first.coarse + first.details, whole.coarse + whole.details, strict=True
    ):
        assert mine.count == theirs.count
        assert torch.allclose(mine.mean, theirs.mean)
        assert torch.allclose(mine.products, theirs.products)


def test_a_process_without_images_adds_nothing():
    moments = Moments.of(torch.ones(1, 2, 2, 2))
    moments.merge(Moments(2))

    assert moments.statistics().mean.tolist() == [1, 1]


def test_they_are_measured_once_and_kept(tmp_path, monkeypatch):
    data = module(Numbered(), cache_dir=tmp_path)
    first = data.band_statistics("haar", 2)
    monkeypatch.setattr(statistics, "measure", lambda *_: pytest.fail("measured again"))

    second = module(Numbered(), cache_dir=tmp_path).band_statistics("haar", 2)

    for mine, theirs in zip(first, second, strict=True):
        for band, other in zip(mine, theirs, strict=True):
            assert all(torch.equal(value, again) for value, again in zip(band, other, strict=True))
    with pytest.raises(pytest.fail.Exception):
        module(Numbered(), cache_dir=tmp_path).band_statistics("haar", 1)
    with pytest.raises(pytest.fail.Exception):
        module(Numbered(), cache_dir=tmp_path, held_out=2).band_statistics("haar", 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content[:8] + b"junk" + content[12:],
        lambda content: content.replace(b"0.coarse.mean", b"9.coarse.mean"),
        lambda content: content[:-4] + b"\x00\x00\xc0\x7f",
    ],
    ids=["empty", "cut", "length", "header", "name", "no number"],
)
def test_damaged_ones_are_measured_again(tmp_path, caplog, damage):
    first = module(Numbered(), cache_dir=tmp_path).band_statistics("haar", 1)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))

    again = module(Numbered(), cache_dir=tmp_path).band_statistics("haar", 1)

    assert str(path) in caplog.text
    assert "measured again" in caplog.text
    assert torch.equal(again[1].details.std, first[1].details.std)
    assert path.read_bytes() == whole


def test_bands_that_are_no_wavelet_s_are_measured_and_kept_under_their_own_name(tmp_path):
    data = module(Numbered(), cache_dir=tmp_path)
    wavelet = data.band_statistics("haar", 1)

    def split(image):
        return image[..., ::2, ::2], image

    (_, found) = data.band_statistics("every second pixel", 1, split)

    images = torch.cat([batch["image"] for batch in data.reference_dataloader()])
    assert torch.allclose(found.details.mean, images.mean((0, 2, 3)))
    assert torch.allclose(found.coarse.mean, images[..., ::2, ::2].mean((0, 2, 3)))
    for mine, theirs in zip(wavelet, data.band_statistics("haar", 1), strict=True):
        assert torch.equal(mine.coarse.mean, theirs.coarse.mean)


def test_they_are_in_the_units_of_a_batch(tmp_path):
    (pixels,) = module(Physical(), cache_dir=tmp_path).band_statistics("haar", 0)

    assert pixels.coarse.mean.item() == pytest.approx(1004.5)
    assert pixels.coarse.peak.item() == 1009
    assert pixels.details.mean.shape == (0,)


def test_they_leave_out_what_is_held_out(tmp_path):
    data = module(Physical(), cache_dir=tmp_path, held_out=4)
    kept = torch.cat([batch["image"] for batch in data.reference_dataloader()])

    assert data.band_statistics("haar", 0)[0].coarse.mean.item() == pytest.approx(
        kept.mean().item()
    )


def save_and_load(path):
    """Save the same statistics as others do at this time, and load whatever is there."""
    found = measure([torch.ones(2, 3, 4, 4)], 3, dwt2, 1)
    for _ in range(20):
        statistics.save(path, found)
        assert statistics.load(path) is not None
    return path.stat().st_size


def test_eight_processes_that_save_the_same_statistics_never_fail(tmp_path):
    path = tmp_path / "bands.safetensors"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        sizes = pool.map(save_and_load, [path] * 8)

    assert len(set(sizes)) == 1
    assert list(tmp_path.iterdir()) == [path]


def measure_share(rank, folder, images):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    statistics.save(folder / f"{rank}.safetensors", statistics.load(folder / "none") or [])
    found = measure([images[:13], images[13:]][rank].split(5), 3, dwt2, 1)
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_measure_what_one_does(images, tmp_path):
    torch.multiprocessing.start_processes(
        measure_share, (tmp_path, images), nprocs=2, start_method="fork"
    )

    whole = measure([images], 3, dwt2, 1)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        for level, expected in zip(found, whole, strict=True):
            for band, same in zip(level, expected, strict=True):
                assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(band, same, strict=True))
    assert (tmp_path / "0.safetensors").exists()
    assert not (tmp_path / "1.safetensors").exists(), "rank 0 alone writes"
