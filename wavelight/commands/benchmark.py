"""``wavelight benchmark``: the speed of networks and training."""

import sys
from collections.abc import Iterator

import torch

from wavelight.evaluation.benchmark import (
    DEFAULT_EXPERIMENTS,
    DEFAULT_EXPERIMENTS_ON_GPU,
    SAMPLED_GFLOP,
    benchmark_experiment,
)
from wavelight.evaluation.rates import EAGER, WAYS, rates
from wavelight.support.devices import find_device


def benchmark(
    experiments: str | list[str] | None = None,
    threads: int = 2,
    repetitions: int = 15,
    compiled: bool = True,
    device: str | None = None,
) -> None:
    """Measure how fast networks sample and learn, on a CPU or a GPU, whose tables differ; no data are needed.

    Args:
        experiments: Names of experiments that come with the package, one or several, like
            [cifar10,celeba256_ddgan]; by default four on a CPU (cifar10, stl10, celeba256,
            celeba256_ddgan), three on a GPU (cifar10, celeba256, celeba1024).
        threads: Processor threads to use.
        repetitions: How often each network is timed; on a CPU at most ten times where it is large, and
            training at most five times.
        compiled: Whether to measure the compiled networks too, which take minutes to build; on a
            GPU also with CUDA graphs.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
    """
    where = find_device(device)
    default = DEFAULT_EXPERIMENTS if where.type == "cpu" else DEFAULT_EXPERIMENTS_ON_GPU
    names = [experiments] if isinstance(experiments, str) else experiments or default
    if min(threads, repetitions) < 1:
        raise ValueError(
            f"threads and repetitions must be at least 1, got {threads} and {repetitions}"
        )
    torch.set_num_threads(threads)
    lines: Iterator[str]
    if where.type == "cpu":
        _check_known(names)
        lines = (
            text for name in names for text in benchmark_experiment(name, repetitions, compiled)
        )
    else:
        torch.backends.cudnn.benchmark = True  # as the experiments have it
        lines = rates(names, where, repetitions, WAYS if compiled else EAGER)
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _check_known(names: list[str]) -> None:
    for name in names:
        if name not in SAMPLED_GFLOP:
            raise ValueError(
                f"the published cost of {name!r} is unknown: choose from {', '.join(SAMPLED_GFLOP)}"
            )
