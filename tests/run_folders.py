"""Folders as runs leave them, without a training."""

import csv
import json

import torch
import yaml

from wavelight.support.pictures import write_png

HELD_OUT = {"val/fid10k": 1.9, "val/recall10k": 0.71}


def config_of(seed, steps=4, **data):
    """Return a resolved configuration, as far as reports read it."""
    source = {"class_path": "data_modules.CIFAR10", "init_args": {"root": "data"}}
    return {
        "seed_everything": seed,
        "trainer": {"max_epochs": 3},
        "model": {
            "class_path": "wavelight.systems.WaveDiff",
            "init_args": {"steps": steps, "seed": seed},
        },
        "data": {"source": source, "image_size": 32, "held_out": 0, "flip": True} | data,
        "evaluation": {"metrics": [], "reference_images": None},
        "best": {"monitor": "val/fid"},
    }


def record_of(name, seed):
    """Return what run.json says."""
    return {
        "id": "a1b2c3d4",
        "name": name,
        "group": f"{name.partition('/')[0]} on cifar10",
        "system": "WaveDiff",
        "dataset": "cifar10",
        "seed": seed,
        "published": {},
        "cost": {"nfe": 4, "gmacs": 12.3, "parameters": 33_000_000},
        "command": "python -m wavelight fit --config experiments/cifar10.yaml",
        "revision": "0123456789abcdef0123",
        "device_hours": 1.25,
        "devices": 4,
        "device": "NVIDIA A100",
        "held_out": HELD_OUT,
    }


def curve(final, evaluations=4, images=100_000, hours=1.25):
    """Return rows of metrics.csv in which FID falls to a value, and losses between them."""
    for number in range(1, evaluations + 1):
        seen = images * number // evaluations
        progress = {
            "images_seen": seen,
            "step": seen // 100,
            "device_hours": hours * number / evaluations,
        }
        yield progress | {"train/generator/adversarial": 1 / number}
        fid = final * evaluations / number
        yield progress | {
            "val/fid10k": fid,
            "val/recall10k": 0.6 / (1 + final / 10) * number / evaluations,
        }


def write_run(
    folder, seed, final=4.0, tested=None, config=None, picture=(16, 16), evaluations=4, **facts
):
    """Write a run's folder.

    Args:
        folder: Where.
        seed: The seed of its training.
        final: Its last FID.
        tested: Its FID in a test; none without one.
        config: Its configuration, by default that of :func:`config_of`.
        picture: The sides of its grid of samples.
        evaluations: How many validations it has made.
        facts: Facts of run.json that are to be others.
    """
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config or config_of(seed)))
    name = "/".join(folder.parts[-2:])
    (folder / "run.json").write_text(json.dumps(record_of(name, seed) | facts))
    rows = list(curve(final, evaluations))
    if tested is not None:
        rows.append(
            {"images_seen": 100_000, "step": 1000, "test/fid50k": tested, "test/recall50k": 0.5}
        )
    header = sorted({key for row in rows for key in row})
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (3, *picture), dtype=torch.uint8, generator=generator)
    write_png(folder / "samples" / "images_0000100000.png", pixels)
    return folder
