"""What this trainer can train with: precisions and strategies of Lightning that it refuses before the start."""

from typing import Any

from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    SingleDeviceStrategy,
    Strategy,
    XLAStrategy,
)

from wavelight.support.errors import OptionError

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_SHORT = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
_SCALED = "16-mixed"
_STRATEGIES = ("auto", "ddp", "single_device")


def check_precision(precision: str | int) -> str:
    """Return a precision by its full name, and refuse precisions in which neither wavelets nor noise keep their digits.

    Weights, transforms and noise are float32; networks may round inside, by autocast.

    Args:
        precision: By Lightning's name.

    Raises:
        OptionError: If it is another.
    """
    name = _SHORT.get(str(precision), str(precision))
    if name not in _PRECISIONS:
        raise OptionError(
            "trainer.precision must be 32-true or bf16-mixed (16-mixed where nothing is trained), as weights, wavelets "
            f"and noise are float32, got {precision}: give --trainer.precision bf16-mixed"
        )
    return name


def check_precision_of_training(precision: str) -> None:
    """Refuse to train in float16.

    Lightning has one scale of gradients for all optimizers, which each network's step moves, and clips gradients while
    they are still scaled.

    Args:
        precision: By Lightning's full name.

    Raises:
        OptionError: If it is ``16-mixed``.
    """
    if precision == _SCALED:
        raise OptionError(
            "trainer.precision must be 32-true or bf16-mixed for training, as networks that take turns would share one "
            f"scale of their gradients, got {precision}: give --trainer.precision bf16-mixed"
        )


def check_devices(devices: Any) -> None:
    """Refuse devices that Lightning takes for a fault of the program.

    Args:
        devices: How many, -1 for all, or their numbers, in a list or with commas between; or ``auto``.

    Raises:
        OptionError: If it is something else.
    """
    listed = isinstance(devices, list) or "," in str(devices)
    words = devices.rstrip(", ").split(",") if isinstance(devices, str) else devices
    try:
        numbers = [int(each) for each in (words if isinstance(words, list) else [words])]
    except (ValueError, TypeError):
        numbers = []
    lowest = min(numbers, default=None)
    known = lowest is not None and (numbers == [-1] or lowest >= (0 if listed else 1))
    if not known and devices != "auto":
        raise OptionError(
            f"trainer.devices must be a number from 1, -1 for all, or numbers of devices, got {devices!r}: give "
            "--trainer.devices auto"
        )


def check_strategy(strategy: str | Strategy) -> None:
    """Refuse strategies that cut networks or optimizers into shards: several networks take turns here.

    Args:
        strategy: By Lightning's name, or the object.

    Raises:
        OptionError: If it is another than one device or DDP.
    """
    if isinstance(strategy, str):
        known = strategy.startswith(_STRATEGIES)
        name = strategy
    else:
        # Lightning's others are made of its DDP.
        known = isinstance(strategy, DDPStrategy | SingleDeviceStrategy) and not isinstance(
            strategy, DeepSpeedStrategy | XLAStrategy
        )
        name = type(strategy).__name__
    if not known:
        raise OptionError(
            "trainer.strategy must be auto or ddp, which keep all weights on each device, as networks take turns, got "
            f"{name}: give --trainer.strategy ddp, and for networks that do not fit bf16-mixed or "
            "--model.init_args.accumulate_grad_batches"
        )
