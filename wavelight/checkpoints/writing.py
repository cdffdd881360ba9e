"""Checkpoints of weights alone, from which a run can start."""

from pathlib import Path

import lightning as L

from wavelight.systems import ImageGenerator
from wavelight.weights import write_checkpoint


def check_name(out: Path) -> None:
    """Refuse a name for a checkpoint that does not end in .ckpt, before any work is done for it."""
    if Path(out).suffix != ".ckpt":
        raise ValueError(f"the output file must end in .ckpt, got {out}")


def write_start(out: Path, system: ImageGenerator, config: str) -> None:
    """Write the weights of a system as a checkpoint from which a new run can start.

    Args:
        out: The file to write, ending in .ckpt.
        system: The system.
        config: YAML from which :func:`system_from_config` builds it.
    """
    system.config_text = config
    checkpoint = {
        "state_dict": system.state_dict(),
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": L.__version__,
        # Without it, Lightning shows the file to no callback.
        "callbacks": {},
    }
    system.on_save_checkpoint(checkpoint)
    write_checkpoint(out, checkpoint)
