"""``wavelight join``: factors that were trained apart, in one checkpoint."""

from pathlib import Path

import torch

from wavelight.checkpoints.joining import (
    check_same_statistics,
    check_same_system,
    joined_config,
    owners,
    read_run,
)
from wavelight.checkpoints.loading import stored_system
from wavelight.checkpoints.writing import check_name, write_start


def join(checkpoints: list[Path], out: Path, trust_code: bool = False) -> None:
    """Join factors that were trained apart (``train: [k]``) into a checkpoint of the whole system.

    The file is for test, predict, sample, export and fit --ckpt_path; a training that is given it
    starts anew from its weights, those of all factors. Each factor's EMA weights, and its
    optimizer's options, are those of the run that trained it; other options of training, such as
    the scheduler, are the first run's.

    Args:
        checkpoints: Checkpoints of runs of one system that together trained each factor once, such as
            coarse.ckpt details.ckpt.
        out: The file to write, ending in .ckpt.
        trust_code: Whether the checkpoints may name any class, and so run code of their own.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If the runs are of different systems or data, or if a factor was trained in none
            or in two of them; in one sentence that says which.
    """
    import yaml

    check_name(out)
    if not checkpoints:
        raise ValueError("checkpoints is empty: name at least one checkpoint to join")
    runs = [read_run(Path(path), trust_code) for path in checkpoints]
    for other in runs[1:]:
        check_same_system(runs[0], other)
        check_same_statistics(runs[0], other)
    owner_of_factor = owners(runs)
    config = joined_config(runs[0], owner_of_factor)
    # The weights that it begins with are replaced, so that whoever called keeps his random numbers.
    with torch.random.fork_rng(devices=[]):
        system = stored_system(config, runs[0].path, trust_code)
    state = {
        name: tensor for name, tensor in runs[0].state.items() if name.startswith("factorization.")
    }
    for factor, run in enumerate(owner_of_factor):
        state |= {
            name: tensor
            for name, tensor in run.state.items()
            if name.startswith(f"models.{factor}.")
        }
    system.load_state_dict(state)
    write_start(Path(out), system, yaml.safe_dump(config, sort_keys=False))
