"""``wavelight export``: the networks that generate images, as safetensors."""

from pathlib import Path
from typing import TYPE_CHECKING

from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import (
    sampling_state,
    write_safetensors,
)

if TYPE_CHECKING:
    pass
from wavelight.checkpoints.loading import config_text, load


def export(checkpoint: Path, out: Path, ema: bool = True) -> None:
    """Write the networks that sample images, and nothing else, as safetensors.

    A single generator's tensors have its own names, so that they load into the bare network; the
    file's header keeps the configuration, so that ``wavelight sample`` and ``wavelight.load`` read
    the file, too.

    Args:
        checkpoint: A checkpoint of a run.
        out: The file to write, ending in .safetensors.
        ema: Whether the EMA weights are written, not those that were learning.
    """
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the output file must end in .safetensors, got {out}")
    system = load(checkpoint, ema=ema)
    write_safetensors(
        Path(out), sampling_state(system), {CONFIG_KEY: config_text(Path(checkpoint))}
    )
