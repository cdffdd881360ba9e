"""Factors that were trained apart, on different machines, become one checkpoint."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wavelight.checkpoints import check_name, system_from_config, write_start
from wavelight.differences import first_difference
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import read_checkpoint, state_of

_HOW_TRAINED = ("train", "scheduler", "accumulate", "clip_gradients", "start_from")
"""What runs of one system may do differently, beside their optimizers: it shapes no image by itself."""

_SAME_STATISTICS = 1e-6


class _Run(NamedTuple):
    """What a checkpoint says of the run that wrote it."""

    path: Path
    config: dict[str, Any]
    state: dict[str, Tensor]

    @property
    def models(self) -> list[dict[str, Any]]:
        """The configurations of the models, one a factor."""
        options = self.config["model"]["init_args"]
        return (
            options["models"] if "models" in options else [options["coarse"], *options["details"]]
        )

    @property
    def trained(self) -> list[int]:
        """The factors that it trained; those that share a model count as the first of them."""
        named = self.config["model"]["init_args"]["train"]
        last = len(self.models) - 1
        return sorted({min(factor, last) for factor in named or range(last + 1)})


def join(checkpoints: list[Path], out: Path) -> None:
    """Join factors that were trained apart (``train: [k]``) into a checkpoint of the whole system.

    The file is for test, predict, sample, export and fit --ckpt_path; a training that is given it
    starts anew from its weights, those of all factors. Each factor's averaged weights, and its
    optimizer's options, are those of the run that trained it; other options of training, such as
    the scheduler, are the first run's.

    Args:
        checkpoints: Checkpoints of runs of one system, such as '[coarse.ckpt,details.ckpt]', which
            together trained each factor once.
        out: The file to write, ending in .ckpt.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If the runs are of different systems or data, or if a factor was trained in none
            or in two of them; in one sentence that says which.
    """
    import yaml

    check_name(out)
    if not checkpoints:
        raise ValueError("there are no checkpoints to join")
    runs = [_read(Path(path)) for path in checkpoints]
    for other in runs[1:]:
        _check_same_system(runs[0], other)
        _check_same_statistics(runs[0], other)
    owners = _owners(runs)
    config = yaml.safe_dump(_joined_config(runs[0], owners), sort_keys=False)
    # The weights that it begins with are replaced, so that whoever called keeps his random numbers.
    with torch.random.fork_rng(devices=[]):
        system = system_from_config(config)
    state = {
        name: tensor for name, tensor in runs[0].state.items() if name.startswith("factorization.")
    }
    for factor, run in enumerate(owners):
        state |= {
            name: tensor
            for name, tensor in run.state.items()
            if name.startswith(f"models.{factor}.")
        }
    system.load_state_dict(state)
    write_start(Path(out), system, config)


def _read(path: Path) -> _Run:
    import yaml

    checkpoint = read_checkpoint(path)
    state = state_of(checkpoint)
    text = checkpoint.get(CONFIG_KEY, "")
    if not text:
        raise ValueError(
            f"{path} holds no configuration, as checkpoints of the command line do, so that nothing tells which "
            "factors it trained"
        )
    config = yaml.safe_load(text)
    if "train" not in config["model"]["init_args"]:
        raise ValueError(
            f"{path} is of {config['model']['class_path']}, which does not train its factors apart"
        )
    return _Run(path, config, state)


def _check_same_system(first: _Run, other: _Run) -> None:
    difference = first_difference(
        first.config["model"], other.config["model"], "model", matters=_tells_the_system
    )
    if difference is not None:
        raise ValueError(f"{first.path} and {other.path} are not of one system: {difference}")


def _tells_the_system(option: str) -> bool:
    """Tell options of the system from those that only say how to train."""
    return not any(part in _HOW_TRAINED or part.endswith("optimizer") for part in option.split("."))


def _check_same_statistics(first: _Run, other: _Run) -> None:
    for name, tensor in first.state.items():
        if name.startswith("factorization.") and not torch.allclose(
            tensor, other.state[name], rtol=_SAME_STATISTICS, atol=_SAME_STATISTICS
        ):
            raise ValueError(
                f"{first.path} and {other.path} were trained on different data: {name} is not the same"
            )


def _owners(runs: list[_Run]) -> list[_Run]:
    """Return for each factor the run that trained it."""
    owners: dict[int, _Run] = {}
    for run in runs:
        for factor in run.trained:
            if factor in owners:
                raise ValueError(
                    f"factor {factor} was trained in {owners[factor].path} and again in {run.path}"
                )
            owners[factor] = run
    factors = range(len(runs[0].models))
    for factor in factors:
        if factor not in owners:
            raise ValueError(f"factor {factor} was trained in none of the checkpoints")
    return [owners[factor] for factor in factors]


def _joined_config(first: _Run, owners: list[_Run]) -> dict[str, Any]:
    """Return the first run's configuration, all factors learning, each with the optimizer it learnt with."""
    models = [run.models[factor] for factor, run in enumerate(owners)]
    # What the first run started from is in its weights by now.
    options = first.config["model"]["init_args"] | {"train": None, "start_from": None}
    if "models" in options:
        options["models"] = models
    else:
        options["coarse"], *options["details"] = models
    return first.config | {"model": first.config["model"] | {"init_args": options}}
