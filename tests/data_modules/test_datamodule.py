import logging
import zipfile
from itertools import chain

import pytest
import torch

from data_modules import DataError, ImageFolder, ImageZip, Lmdb, Sample, Shards
from data_modules.prepare import prepare
from tests.pictures import encoded, picture
from tests.sources import Numbered, Physical, module, write_lmdb


def take(data, images):
    """The first images of this process in training: position, number, whether mirrored, label."""
    seen = []
    for batch in data.train_dataloader():
        pixels = batch["image"][:, 0, 0].int()
        mirrored = pixels[:, -1] == 255
        number = torch.where(mirrored, pixels[:, 0], pixels[:, -1])
        seen += zip(
            *(values.tolist() for values in (batch["index"], number, mirrored, batch["label"])),
            strict=True,
        )
        if len(seen) >= images:
            return seen[:images]
    return seen


def numbers_of(loader):
    """The numbers of the images of a pass."""
    return [
        round(float(pixel + 1) * 127.5) for batch in loader for pixel in batch["image"][:, 0, 0, -1]
    ]


def test_positions_count_on_and_each_epoch_is_another_permutation():
    seen = take(module(), 30)

    assert [position for position, *_ in seen] == list(range(30))
    epochs = [[number for _, number, *_ in seen[start : start + 10]] for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert all(label == number % 3 for _, number, _, label in seen)


def test_the_stream_is_the_same_at_any_batch_size():
    assert take(module(batch_size=4), 30) == take(module(batch_size=6), 30)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_together_read_the_stream_of_one(ranks):
    shares = [iter(take(module(rank=rank, ranks=ranks), 32 // ranks)) for rank in range(ranks)]
    local = 4 // ranks

    together = [next(share) for _ in range(32 // 4) for share in shares for _ in range(local)]

    assert together == take(module(), 32)


def test_another_seed_is_another_order():
    assert take(module(seed=1), 10) != take(module(seed=2), 10)


def test_flips_differ_between_epochs_and_can_be_turned_off():
    seen = take(module(), 200)
    flips = {
        number: {flip for _, other, flip, _ in seen if other == number} for number in range(10)
    }

    assert all(found == {True, False} for found in flips.values())
    assert not any(flip for _, _, flip, _ in take(module(flip=False), 200))


@pytest.mark.parametrize("images_seen", [4, 8, 12, 6])
def test_a_run_goes_on_from_the_images_seen(images_seen):
    assert (
        take(module(images_seen=images_seen), 20)
        == take(module(), 40)[images_seen : images_seen + 20]
    )


def test_each_virtual_epoch_goes_on_where_training_stands():
    data = module()
    loader = data.train_dataloader()
    seen = []
    for _ in range(3):
        # As Lightning does: an iterator that is thrown away, and a batch more than is trained on.
        next(iter(loader))
        batches = iter(loader)
        for _ in range(2):
            seen += next(batches)["index"].tolist()
            data.trainer.lightning_module.images_seen += 4
        next(batches)

    assert seen == list(range(24))


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_workers_read_the_same_stream(start_method, make_shards):
    shards = Shards(make_shards(20), window=2)

    def stream(**options):
        batches = iter(module(shards, image_size=8, seed=3, **options).train_dataloader())
        return torch.cat([next(batches)["image"] for _ in range(12)])

    assert torch.equal(stream(num_workers=2, start_method=start_method), stream())


@pytest.mark.slow
def test_workers_are_kept_between_virtual_epochs():
    data = module(num_workers=1)
    loader = data.train_dataloader()
    first = iter(loader)
    assert next(first)["index"][0] == 0
    workers = data._training_loader._iterator._workers
    data.trainer.lightning_module.images_seen = 400
    assert next(iter(loader))["index"][0] == 400

    assert data._training_loader._iterator._workers is workers


@pytest.mark.slow
def test_a_worker_s_error_is_one_sentence():
    data = module(Numbered(broken=(3,)), num_workers=1)

    with pytest.raises(DataError, match=r"^image 3 is broken \(set max_unreadable"):
        take(data, 10)


def test_images_become_numbers_after_the_transfer():
    data = module()
    batch = next(iter(data.train_dataloader()))

    moved = data.on_after_batch_transfer(batch, 0)

    assert batch["image"].dtype == torch.uint8
    assert moved["image"].dtype == torch.float32
    assert torch.allclose(moved["image"], batch["image"].float() / 127.5 - 1)
    assert moved["image"].max() == 1
    assert set(moved) == {"image", "index", "label"}


def test_physical_fields_stay_as_they_are():
    data = module(Physical())
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)

    assert (data.channels, data.value_range) == (1, None)
    assert batch["image"].min() >= 1000
    assert batch["label"].tolist() == [-1] * 4


def test_a_batch_that_cannot_be_divided_is_an_error():
    with pytest.raises(
        ValueError, match="the global batch_size must be a multiple of the 3 processes, got 4"
    ):
        module(ranks=3).train_dataloader()


@pytest.mark.parametrize("name", ["image_size", "batch_size", "eval_batch_size"])
def test_sizes_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        module(**{name: 0})


@pytest.mark.parametrize(
    ("ranks", "images", "batch"), [(1, 7, 3), (2, 7, 3), (3, 10, 2), (4, 4, 64)]
)
def test_numbers_to_draw_are_divided_among_ranks(ranks, images, batch):
    shares = [
        [
            batch["index"]
            for batch in module(
                rank=rank, ranks=ranks, val_images=images, eval_batch_size=batch
            ).val_dataloader()
        ]
        for rank in range(ranks)
    ]

    flat = [torch.cat(share).tolist() for share in shares]
    assert sorted(list(chain(*flat))) == list(range(images))
    assert max(map(len, flat)) - min(map(len, flat)) <= 1
    assert all(len(index) <= batch for share in shares for index in share)


def test_no_images_to_draw_is_no_loader():
    assert module(val_images=0).val_dataloader() == []
    assert len(module(test_images=7).test_dataloader()) == 3


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_reference_images_come_once_over_all_ranks(ranks):
    shares = [
        numbers_of(module(rank=rank, ranks=ranks).reference_dataloader()) for rank in range(ranks)
    ]

    assert list(chain(*shares)) == list(range(10))


def test_a_few_reference_images_are_the_first_of_one_random_order():
    whole = numbers_of(module().reference_dataloader(10))

    assert sorted(whole) == list(range(10))
    assert whole != list(range(10))
    assert numbers_of(module(seed=5).reference_dataloader(4)) == whole[:4]
    halves = [numbers_of(module(rank=rank, ranks=2).reference_dataloader(4)) for rank in range(2)]
    assert halves[0] + halves[1] == whole[:4]


def test_reference_images_are_numbers_and_not_mirrored():
    for batch in module().reference_dataloader():
        assert batch["image"].dtype == torch.float32
        assert (batch["image"][..., 0] == 1).all()
        assert set(batch) == {"image", "index", "label"}


def test_held_out_images_are_never_trained_on():
    data = module(held_out=3)
    held_out = set(numbers_of(data.held_out_dataloader()))

    assert len(held_out) == 3
    assert {number for _, number, *_ in take(data, 70)} == set(range(10)) - held_out
    assert set(numbers_of(data.reference_dataloader())) == set(range(10)) - held_out
    assert held_out == set(numbers_of(module(held_out=3, seed=9).held_out_dataloader()))


def test_prepared_held_out_images_are_never_trained_on(make_shards):
    data = module(Shards(make_shards(12, held_out=4)), image_size=8, flip=False)

    def first_pixels(loader, images):
        seen = [
            pixel.item()
            for batch in loader
            for pixel in data.on_after_batch_transfer(batch, 0)["image"][:, 0, 0, 0]
        ]
        return {round((pixel + 1) * 127.5) for pixel in seen[:images]}

    held_out = first_pixels(data.held_out_dataloader(), 99)
    trained = set()
    for batch in data.train_dataloader():
        trained |= set(batch["image"][:, 0, 0, 0].tolist())
        if batch["index"][0] > 40:
            break

    assert len(held_out) == 4
    assert trained == set(range(12)) - held_out


def test_without_held_out_images_asking_for_them_is_an_error():
    with pytest.raises(DataError, match="there is no held-out split"):
        module().held_out_dataloader()


def test_an_unusable_image_is_an_error_by_default():
    data = module(Numbered(broken=(3,)))

    with pytest.raises(DataError, match=r"image 3 is broken .*max_unreadable"):
        take(data, 10)
    with pytest.raises(DataError, match="image 3 is broken"):
        list(data.reference_dataloader())


def test_unusable_images_are_replaced_alike_on_all_ranks_and_reported_once(caplog):
    broken = Numbered(broken=(3, 4))
    with caplog.at_level(logging.WARNING):
        alone = module(broken, max_unreadable=2)
        whole = take(alone, 40)

    replaced = {position: number for position, number, *_ in whole}
    intact = {position: number for position, number, *_ in take(module(), 40)}
    assert all(
        number == (5 if intact[position] in (3, 4) else intact[position])
        for position, number in replaced.items()
    )
    assert list(alone.unusable.found) == ["image 3", "image 4"] or list(alone.unusable.found) == [
        "image 4",
        "image 3",
    ]
    assert len(caplog.records) == 2
    halves = [take(module(broken, rank, 2, max_unreadable=2), 20) for rank in range(2)]
    assert sorted(halves[0] + halves[1]) == whole


def test_unusable_images_are_left_out_of_a_pass():
    data = module(Numbered(broken=(0, 1, 2)), max_unreadable=3)

    assert numbers_of(data.reference_dataloader()) == list(range(3, 10))


def test_more_unusable_images_than_allowed_are_an_error():
    for use in (lambda data: take(data, 40), lambda data: list(data.reference_dataloader())):
        with pytest.raises(DataError, match=r"more than max_unreadable = 2 images .* is broken"):
            use(module(Numbered(broken=(1, 5, 7)), max_unreadable=2))


def test_nothing_usable_is_an_error_however_many_are_allowed():
    with pytest.raises(DataError, match="none of the images can be used; image"):
        take(module(Numbered(broken=range(10)), max_unreadable=99), 4)


def test_the_fingerprint_names_source_size_and_split_alone(make_folder):
    folder = make_folder(6)
    base = module(ImageFolder(folder), image_size=8).fingerprint

    assert (
        base
        == module(
            ImageFolder(folder), image_size=8, seed=4, batch_size=8, rank=1, ranks=2
        ).fingerprint
    )
    assert base != module(ImageFolder(folder), image_size=4).fingerprint
    assert base != module(ImageFolder(folder), image_size=8, held_out=1).fingerprint
    picture(50).save(folder / "cat" / "050.png")
    assert base != module(ImageFolder(folder), image_size=8).fingerprint


def test_what_is_computed_is_kept_beside_the_data_or_where_asked(
    make_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = make_folder(2)

    assert module(ImageFolder(folder)).cache_dir == folder / ".wavelight"
    assert module(Numbered()).cache_dir == tmp_path / "home" / "wavelight"
    assert module(cache_dir=tmp_path / "here").cache_dir.is_dir()
    assert len(ImageFolder(folder)) == 2


def test_a_size_that_cannot_be_had_is_refused_at_setup(make_shards):
    with pytest.raises(
        DataError, match="was prepared, got 16: prepare it again at that size, or set upscale"
    ):
        module(Shards(make_shards(3)), image_size=16).setup("fit")


@pytest.mark.slow
def test_importing_the_sources_does_not_import_lightning():
    import subprocess
    import sys

    heavy = "{'lightning', 'torchvision', 'webdataset', 'lmdb'} & set(sys.modules)"
    program = (
        f"import sys, data_modules; data_modules.Shards, data_modules.Lmdb; sys.exit(bool({heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class Terse(Numbered):
    """A source of one's own whose description says too little."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def read(self, index, size):
        return Sample(torch.full((3, size, size), self.first + index, dtype=torch.uint8))


def test_other_pictures_of_the_same_names_and_sizes_have_another_fingerprint(tmp_path):
    def fingerprint():
        return module(ImageFolder(tmp_path), image_size=8).fingerprint

    for number in range(20):
        picture(number).save(tmp_path / f"{number:02d}.bmp")
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.bmp"))]
    before = fingerprint()
    picture(99).save(tmp_path / "11.bmp")

    assert [path.stat().st_size for path in sorted(tmp_path.glob("*.bmp"))] == sizes
    assert fingerprint() != before


def test_a_source_that_describes_itself_badly_is_told_by_its_images():
    assert module(Terse(0)).fingerprint == module(Terse(0)).fingerprint
    assert module(Terse(0)).fingerprint != module(Terse(1)).fingerprint


@pytest.mark.parametrize("kind", ["zip", "lmdb", "shards"])
def test_other_pictures_in_an_archive_have_another_fingerprint(tmp_path, kind):
    one, same, other = (
        archive(tmp_path / name, kind, changed)
        for name, changed in (("one", False), ("same", False), ("other", True))
    )
    fingerprints = [module(source, image_size=8).fingerprint for source in (one, same, other)]

    assert len({source.path.stat().st_size for source in (one, other)}) == 1
    assert fingerprints[0] != fingerprints[2]
    # The time of a database is all there is to tell it from another.
    assert fingerprints[0] == fingerprints[1] or kind == "lmdb"


def archive(folder, kind, changed):
    """Twenty pictures, of which the twelfth may be another one of as many bytes."""
    numbers = [99 if changed and number == 11 else number for number in range(20)]
    data = [encoded(picture(number), "BMP") for number in numbers]
    folder.mkdir()
    if kind == "lmdb":
        return Lmdb(write_lmdb(folder / "l", data))
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        for number, content in enumerate(data):
            file.writestr(zipfile.ZipInfo(f"{number:02d}.bmp"), content)
    if kind == "zip":
        return ImageZip(folder / "a.zip")
    prepare(folder / "a.zip", folder / "shards", 8, workers=0)
    return Shards(folder / "shards")
