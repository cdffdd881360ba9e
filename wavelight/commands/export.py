"""``wavelight export``: the networks that generate images, as safetensors."""

from pathlib import Path

from wavelight.checkpoints.configuration import config_text
from wavelight.checkpoints.loading import load
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import sampling_state, write_safetensors


def export(checkpoint: Path, out: Path, ema: bool = True, trust_code: bool = False) -> None:
    """Write the networks that sample images, without optimizers and discriminators, as safetensors.

    A single generator's tensors have its own names, so that they load into the bare network; the
    file's header keeps the configuration, so that ``wavelight sample`` and ``wavelight.load`` read
    the file, too.

    Args:
        checkpoint: A checkpoint of a run.
        out: The file to write, ending in .safetensors.
        ema: Whether to use the EMA weights; false takes the trained weights themselves.
        trust_code: Whether the checkpoint may name any class, and so run code of its own.
    """
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the output file must end in .safetensors, got {out}")
    system = load(checkpoint, ema, trust_code)
    write_safetensors(
        Path(out), sampling_state(system), {CONFIG_KEY: config_text(Path(checkpoint))}
    )
