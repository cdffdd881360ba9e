"""How fast the networks of WaveDiff's CIFAR-10 run, next to the convolutions of this machine.

Run it with ``python -m wavelight benchmark``. All that is compared is measured in turns, so that
what else the machine does falls on all alike. In its turn each runs twice. The first call finds the
caches full of others' numbers, as a layer of a network does; the second finds its own there, which
a single convolution gains much more from than a network of 130 MB, so that it is the stricter limit.
Of the turns the least time is taken, that of the quietest moment; of training, the median of five.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations import Subbands
from wavelight.models import DenoisingGAN
from wavelight.networks.compiled import Compiled
from wavelight.networks.discriminators import SmallDiscriminator
from wavelight.networks.ncsnpp import NCSNpp
from wavelight.noise import Noise

RATE_SHAPE = (16, 128, 16, 16)
RATE_GFLOP = 2 * 16 * 16**2 * 128**2 * 9 / 1e9
"""The convolution that sets the limit: 3x3, from 128 to 128 channels."""

DRAWN_IMAGES = 4
DRAWN_GFLOP = 13.3
"""Convolutions of the published generator for four images; saving some counts as speed."""

TRAINED_IMAGES = 16
TRAINING_TURNS = 5


class Row(NamedTuple):
    """A line of the table."""

    name: str
    run: Callable[[], object]
    gflop: float | None
    rate: str | None
    """The row whose rate is this one's limit."""


def main(threads: int = 2, turns: int = 15, compiled: bool = True) -> None:
    """Measure, and print a table.

    Args:
        threads: Processor threads to use.
        turns: How often each thing is measured; the training iteration, five times.
        compiled: Whether to measure drawing with the compiled generator too, which takes a minute
            or two to build.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows = [
        _product(),
        *_drawing(torch.float32, "float32", compiled),
        *_drawing(torch.bfloat16, "bfloat16", compiled),
    ]
    times = measure({row.name: row.run for row in rows}, turns)
    train = training_iteration()
    iteration = Row("training iteration, float32", train, _counted_gflop(train), rows[1].name)
    # The convolution and the matrix product are measured again beside it, in the same turns.
    few = [rows[0], rows[1], iteration]
    beside = measure({row.name: row.run for row in few}, TRAINING_TURNS)
    for call, which in enumerate(("first call", "second call, in cache")):
        least = {name: min(each[call]) for name, each in times.items()}
        print(f"{threads} threads, least of {turns}, {which}\n{table(rows, least)}\n")
    medians = {name: median(each[0]) for name, each in beside.items()}
    print(f"{threads} threads, median of {TRAINING_TURNS}\n{table(few, medians)}")


def measure(
    runs: dict[str, Callable[[], object]], turns: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds of each run's first call in each turn, and of its second."""
    for run in runs.values():
        run()
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            for times in seconds[name]:
                start = perf_counter()
                run()
                times.append(perf_counter() - start)
    return seconds


def table(rows: list[Row], seconds: dict[str, float]) -> str:
    """Return milliseconds, matrix products (mm), GFLOP/s and fractions of the limit as text."""
    speed = {row.name: row.gflop / seconds[row.name] for row in rows if row.gflop}
    product = seconds[rows[0].name]
    lines = [f"{'':34}{'ms':>9}{'mm':>9}{'GFLOP/s':>10}{'of limit':>10}"]
    for row in rows:
        fast = f"{speed[row.name]:10.0f}" if row.name in speed else f"{'':10}"
        limit = f"{speed[row.name] / speed[row.rate]:10.0%}" if row.rate else ""
        time = seconds[row.name]
        lines.append(f"{row.name:34}{1e3 * time:9.2f}{time / product:9.3f}{fast}{limit}")
    return "\n".join(lines)


def training_iteration() -> Callable[[], None]:
    """Return a turn of the discriminator, without R1, followed by a turn of the generator."""
    adam = partial(torch.optim.Adam, betas=(0.5, 0.9), fused=True)
    model = DenoisingGAN(
        _generator(),
        SmallDiscriminator(channels=12, width=64, blocks=3),
        partial(adam, lr=1.6e-4),
        partial(adam, lr=1.25e-4),
        FewStepDiffusion(steps=4),
        r1_gamma=0,
        r1_every=1,
        reconstruction_weight=1,
    )
    players = model.players()
    optimizers = {
        name: player.optimizer(player.network.parameters()) for name, player in players.items()
    }
    images, subbands = torch.rand(TRAINED_IMAGES, 3, 32, 32) * 2 - 1, Subbands()

    def iteration() -> None:
        (factor,) = subbands.encode(images)
        for stream, (name, optimizer) in enumerate(optimizers.items()):
            for other, player in players.items():
                player.network.requires_grad_(other == name)
            optimizer.zero_grad()
            noise = Noise(0, torch.arange(TRAINED_IMAGES), stream)
            sum(
                model.losses(name, factor, turn=0, noise=noise).values(), torch.zeros(())
            ).backward()
            optimizer.step()

    return iteration


def _counted_gflop(run: Callable[[], object]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9


def _product() -> Row:
    a, b = torch.randn(2, 2048, 2048)
    return Row("matrix product 2048^3, float32", lambda: a @ b, 2 * 2048**3 / 1e9, None)


def _drawing(dtype: torch.dtype, name: str, compiled: bool) -> list[Row]:
    """Return what is measured in one precision: the rate of convolutions, the generator."""
    image = torch.randn(RATE_SHAPE, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    generator = _generator().to(dtype).requires_grad_(False).eval()
    inputs = (
        torch.randn(DRAWN_IMAGES, 12, 16, 16, dtype=dtype),
        torch.arange(DRAWN_IMAGES),
        torch.randn(4, 100, dtype=dtype),
    )
    rate = f"convolution, {name}"
    rows = [
        Row(rate, lambda: functional.conv2d(image, weight, padding=1), RATE_GFLOP, None),
        Row(f"generator, {name}, eager", _call(generator, inputs), DRAWN_GFLOP, rate),
    ]
    if compiled:
        rows.append(
            Row(
                f"generator, {name}, compiled",
                _call(Compiled(generator), inputs),
                DRAWN_GFLOP,
                rate,
            )
        )
    return rows


def _call(network: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return network(*inputs)

    return run


def _generator() -> NCSNpp:
    return NCSNpp(
        resolution=16,
        channels=12,
        width=128,
        multipliers=[1, 2, 2],
        attention_resolutions=[],
        mapping_layers=4,
    )
