"""Checkpoints written without a run: the sections of their configuration, and the file."""

import copy

import torch
import yaml
from jsonargparse import ArgumentParser

from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.writing import write_start
from wavelight.systems import ImageGenerator


def score_model():
    return {
        "class_path": "wavelight.models.ScoreModel",
        "init_args": {
            "network": {
                "class_path": "wavelight.networks.ImprovedUNet",
                "init_args": {
                    "width": 16,
                    "multipliers": [1],
                    "attention_resolutions": [],
                    "blocks": 1,
                    "heads": 1,
                },
            },
            "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}},
            "process": {
                "class_path": "wavelight.diffusion.processes.OrnsteinUhlenbeck",
                "init_args": {"end": 5.0},
            },
            "parameterization": {
                "class_path": "wavelight.diffusion.parameterizations.EpsPrediction"
            },
            "noise_level_sampling": {
                "class_path": "wavelight.diffusion.noise_level_sampling.QuadraticTimes",
            },
            "sampler": "wavelight.diffusion.samplers.ancestral",
            "schedule": {"class_path": "wavelight.diffusion.schedules.Uniform"},
            "steps": 2,
        },
    }


SEED = 3


IMAGES = 12


def data(folder):
    return {
        "source": {"class_path": "data_modules.Scenes", "init_args": {"images": 64}},
        "image_size": 16,
        "batch_size": 4,
        "num_workers": 0,
        "held_out": 16,
        "val_images": IMAGES,
        "eval_batch_size": 5,
        "cache_dir": str(folder / "cache"),
    }


def wsgm():
    options = {
        "coarse": score_model(),
        "details": [score_model()],
        "levels": 1,
    }
    return {"class_path": "wavelight.systems.WSGM", "init_args": options}


def sgm():
    return {"class_path": "wavelight.systems.SGM", "init_args": {"model": score_model()}}


def wavediff():
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
    generator = {
        "class_path": "wavelight.networks.NCSNpp",
        "init_args": {
            "width": 16,
            "multipliers": [1],
            "attention_resolutions": [],
            "mapping_layers": 1,
            "blocks": 1,
        },
    }
    options = {
        "generator": generator,
        "discriminator": {
            "class_path": "wavelight.networks.SmallDiscriminator",
            "init_args": {"width": 4, "blocks": 3},
        },
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "steps": 3,
        "r1_gamma": 0.1,
        "r1_every": 3,
    }
    return {"class_path": "wavelight.systems.WaveDiff", "init_args": options}


def written(path, model, section):
    """Write a checkpoint of a system that has learnt nothing, as a run would."""
    model = copy.deepcopy(model)
    model["init_args"] |= {"image_size": 16, "seed": SEED}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageGenerator, "model")
    resolved = parser.dump(parser.parse_object({"model": model}), skip_unset=False)
    config = yaml.safe_dump({**yaml.safe_load(resolved), "data": section})
    torch.manual_seed(0)
    write_start(path, system_from_config(config), config)
    return path
