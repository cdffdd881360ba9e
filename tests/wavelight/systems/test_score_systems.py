"""SGM and WSGM learn, resume and sample like every other system."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from data_modules import Scenes, WaveletDataModule
from tests.runs import StopAt, assert_same_run, fit, last
from tests.systems import (
    denoising_gan,
    detail_gan,
    field_data,
    score_model,
    tiny_fields,
    tiny_sgm,
    tiny_wsgm,
)
from tests.tiny import tiny_trainer
from wavelight.factorizations.scaling import PerChannel, Scalar
from wavelight.systems.cost import cost


def data(folder):
    return WaveletDataModule(
        Scenes(images=64), 16, batch_size=8, seed=3, num_workers=0, cache_dir=folder / "cache"
    )


@pytest.mark.parametrize("build", [tiny_sgm, tiny_wsgm])
def test_every_model_learns_and_images_are_drawn(tmp_path, build):
    before, system = build().state_dict(), build()
    fit(tmp_path, system=system, data=data(tmp_path), max_epochs=1)
    after = system.state_dict()
    for index in range(len(system.models)):
        name = f"models.{index}.score.head.weight"
        assert not torch.equal(before[name], after[name])
    images = system.sample(3, batch_size=2)
    assert images.shape == (3, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(system.sample(1, start=2), images[2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [tiny_sgm, tiny_wsgm])
def test_resuming_inside_an_epoch_changes_nothing(tmp_path, build):
    fit(tmp_path / "whole", system=build(), data=data(tmp_path), max_epochs=2)
    with pytest.raises(BaseException):  # noqa: B017, PT011 Lightning's, at the signal
        fit(tmp_path / "part", StopAt(6, 15), system=build(), data=data(tmp_path), max_epochs=2)
    path = tmp_path / "part" / "checkpoints" / "last.ckpt"
    fit(tmp_path / "part", system=build(), data=data(tmp_path), max_epochs=2, ckpt_path=path)
    assert_same_run(last(tmp_path / "whole"), last(tmp_path / "part"))


def test_scales_are_trained_apart(tmp_path):
    before, system = tiny_wsgm().state_dict(), tiny_wsgm(train=[1])
    fit(tmp_path, system=system, data=data(tmp_path), max_epochs=1)
    learnt = {
        index
        for index in range(3)
        if not torch.equal(
            before[f"models.{index}.score.head.weight"],
            system.state_dict()[f"models.{index}.score.head.weight"],
        )
    }
    assert learnt == {1}


def test_evaluations_are_counted_scale_by_scale():
    """Heun takes two evaluations a step but the last, and steps differ between the scales."""
    assert [network.evaluations for network in cost(tiny_wsgm())] == [7, 3, 5]
    assert [network.evaluations for network in cost(tiny_sgm())] == [5]


@pytest.mark.parametrize("scaling", [PerChannel(), Scalar()])
def test_bands_are_scaled_by_what_the_data_measure(tmp_path, scaling):
    system = tiny_wsgm(scaling=scaling, wavelet="db2")
    trainer = tiny_trainer(tmp_path, max_epochs=1, limit_train_batches=1)
    trainer.fit(system, datamodule=data(tmp_path))
    for band in (*system.factorization.coarse, *system.factorization.details):
        assert not (band.scale == 1).any()


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        ({}, [(3, 4, 4, 0), (9, 4, 4, 3), (9, 8, 8, 3)]),
        ({"image_size": 32}, [(3, 8, 8, 0), (9, 8, 8, 3), (9, 16, 16, 3)]),
        ({"channels": 1}, [(1, 4, 4, 0), (3, 4, 4, 1), (3, 8, 8, 1)]),
        ({"wavelet": "db2"}, [(3, 4, 4, 0), (9, 4, 4, 3), (9, 8, 8, 3)]),
        ({"levels": 1}, [(3, 8, 8, 0), (9, 8, 8, 3)]),
    ],
    ids=["haar", "32 pixels", "grey", "db2", "one level"],
)
def test_models_are_built_for_their_factors(changes, shapes):
    built = []

    def model(shape):
        built.append(shape)
        return score_model(steps=2)(shape)

    system = tiny_wsgm(coarse=model, details=model, **changes)
    assert built == shapes
    assert len(system.models) == len(shapes)
    images = system.sample(1)
    assert images.shape == (1, system.channels, system.image_size, system.image_size)
    assert images.isfinite().all()


@pytest.mark.parametrize("changes", [{"image_size": 32}, {"channels": 1}])
def test_the_model_of_sgm_is_built_for_the_pixels(changes):
    system = tiny_sgm(**changes)
    images = system.sample(1)
    assert images.shape == (1, system.channels, system.image_size, system.image_size)
    assert images.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_size": 18}, r"image_size must be divisible by 2\*\*levels = 4, got 18"),
        ({"levels": 0}, "levels must be at least 1, got 0"),
        (
            {"details": [score_model()] * 3},
            "details must be one model for all levels or a list of one a level, got 3 for levels 2",
        ),
        ({"details": []}, "a list of one a level, got 0 for levels 2"),
        ({"coarse": detail_gan()}, "DetailGAN models details given LL, which this factor has not"),
        ({"details": denoising_gan()}, "DenoisingGAN is unconditional and cannot model detail"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        tiny_wsgm(**changes)


@pytest.mark.parametrize(
    ("system", "make_data", "sentence"),
    [
        (
            lambda: tiny_fields(bounded=True),
            field_data,
            "bounded of SGM must be false for data without bounds, .* give --model.init_args.bounded false",
        ),
        (
            lambda: tiny_sgm(bounded=False),
            data,
            r"bounded of SGM must be true for data in \[-1, 1\], got false: give --model.init_args.bounded true",
        ),
        (
            lambda: tiny_fields(channels=3),
            field_data,
            "channels of SGM must be those of the data, 1, got 3: give --data.channels 1",
        ),
    ],
)
@pytest.mark.parametrize("method", ["fit", "validate", "test"])
def test_data_of_another_kind_are_refused(tmp_path, system, make_data, sentence, method):
    model = system()
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    with pytest.raises(ValueError, match=sentence):
        getattr(trainer, method)(model, datamodule=make_data(tmp_path))
    assert model.images_seen == 0


def test_data_modules_that_say_nothing_of_their_images_will_do(tmp_path):
    class Plain(L.LightningDataModule):
        def train_dataloader(self):
            images = [{"image": torch.zeros(1, 8, 8), "index": number} for number in range(32)]
            return DataLoader(images, batch_size=8)

    model = tiny_fields()
    tiny_trainer(tmp_path, max_epochs=1).fit(model, datamodule=Plain())
    assert model.images_seen == 32
