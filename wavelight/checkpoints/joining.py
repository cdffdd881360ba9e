"""Checkpoints of one system whose factors were trained apart: their parts, and the checks that they fit together."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wavelight.checkpoints.configuration import check_stored, stored_config, stored_model
from wavelight.checkpoints.without_training import is_optimizer
from wavelight.config.differences import first_difference
from wavelight.weights import read_checkpoint, state_of

_HOW_TRAINED = ("train", "scheduler", "accumulate_grad_batches", "gradient_clip_val", "start_from")
"""Options in which runs of one system may differ, beside their optimizers: they shape no image by themselves."""


_SAME_STATISTICS = 1e-6


class TrainedRun(NamedTuple):
    """The run that wrote a checkpoint, as its configuration has it."""

    path: Path
    config: dict[str, Any]
    state: dict[str, Tensor]

    @property
    def models(self) -> list[dict[str, Any]]:
        """The configurations of the models: one a factor, and where the levels share one, that once."""
        options = self.config["model"]["init_args"]
        if "models" in options:
            return options["models"]
        details = options["details"]
        if not isinstance(details, list):
            details = [details]
        if len(details) == 1 and not options.get("share_details"):
            details = details * options["levels"]
        return [options["coarse"], *details]

    @property
    def trained(self) -> list[int]:
        """The factors that it trained; those that share a model count as the first of them."""
        named = self.config["model"]["init_args"]["train"]
        last = len(self.models) - 1
        return sorted({min(factor, last) for factor in named or range(last + 1)})


def read_run(path: Path, trust_code: bool) -> TrainedRun:
    """Read a checkpoint whose run trained some of its factors.

    Args:
        path: The checkpoint.
        trust_code: Whether its configuration may name any class.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it names a class from elsewhere, or its factors are not trained apart.
    """
    config = stored_config(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, so that the factors it trained are unknown: use a "
            "checkpoint written by `wavelight fit`"
        )
    model = stored_model(config, path)
    check_stored({"model": model}, path, trust_code)
    if "train" not in model.get("init_args", {}):
        raise ValueError(
            f"{path} holds a {model.get('class_path')}, whose factors are not trained "
            "separately: join WSGM or Hybrid checkpoints"
        )
    run = TrainedRun(path, config, state_of(read_checkpoint(path)))
    try:
        _ = run.trained
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"the configuration in {path} must have the models of its factors, and train a list of their numbers: use "
            "a checkpoint written by `wavelight fit`"
        ) from error
    return run


def check_same_system(first: TrainedRun, other: TrainedRun) -> None:
    """Refuse checkpoints whose options differ in more than how they were trained."""
    one, another = first.config["model"], other.config["model"]
    if _listed(one) != _listed(another):
        # One model for all levels says the same as a list of it for each.
        one, another = _a_level_each(first), _a_level_each(other)
    difference = first_difference(one, another, "model", matters=_tells_the_system)
    if difference is not None:
        raise ValueError(f"{first.path} and {other.path} hold different systems: {difference}")


def _listed(model: dict[str, Any]) -> int:
    """Return how many models of the details a system's configuration lists, 0 for one alone."""
    details = model["init_args"].get("details")
    return len(details) if isinstance(details, list) else 0


def _a_level_each(run: TrainedRun) -> dict[str, Any]:
    """Return the configuration of the system with one model of the details for each level."""
    options = run.config["model"]["init_args"] | {"details": run.models[1:]}
    return run.config["model"] | {"init_args": options}


def _tells_the_system(option: str) -> bool:
    """Return whether an option belongs to the system itself, rather than to its training alone."""
    return not any(part in _HOW_TRAINED or is_optimizer(part) for part in option.split("."))


def check_same_statistics(first: TrainedRun, other: TrainedRun) -> None:
    """Refuse checkpoints whose bands were scaled by other statistics."""
    for name, tensor in first.state.items():
        if name.startswith("factorization.") and not torch.allclose(
            tensor, other.state[name], rtol=_SAME_STATISTICS, atol=_SAME_STATISTICS
        ):
            raise ValueError(
                f"{first.path} and {other.path} were trained on different data: {name} differs"
            )


def owners(runs: list[TrainedRun]) -> list[TrainedRun]:
    """Return for each factor the run that trained it."""
    owners: dict[int, TrainedRun] = {}
    for run in runs:
        for factor in run.trained:
            if factor in owners:
                raise ValueError(
                    f"factor {factor} was trained in both {owners[factor].path} and {run.path}: name "
                    "only one of them"
                )
            owners[factor] = run
    factors = range(len(runs[0].models))
    for factor in factors:
        if factor not in owners:
            raise ValueError(
                f"factor {factor} was trained in none of the checkpoints: name the one that trained "
                "it, too"
            )
    return [owners[factor] for factor in factors]


def joined_config(first: TrainedRun, owners: list[TrainedRun]) -> dict[str, Any]:
    """Return the first run's configuration, all factors learning, each with the optimizer it learnt with."""
    models = [run.models[factor] for factor, run in enumerate(owners)]
    # Weights that the first run started from are part of its own by now.
    options = first.config["model"]["init_args"] | {"train": None, "start_from": None}
    if "models" in options:
        options["models"] = models
    else:
        options["coarse"], *details = models
        options["details"] = details[0] if options.get("share_details") else details
    return first.config | {"model": first.config["model"] | {"init_args": options}}
