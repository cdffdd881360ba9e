"""The resolved configuration in the run's folder and in its loggers."""

import subprocess
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from typing_extensions import override

from wavelight.support.faults import GoingOn
from wavelight.support.files import write_text
from wavelight.systems import ImageGenerator
from wavelight.systems.base import CONFIG_KEY


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder as ``config.yaml``, into W&B and into TensorBoard."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"save_to_log_dir": False}))

    @override
    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Write nothing when the run is set up: it may yet be refused."""

    @override
    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        text = self.parser.dump(self.config, skip_unset=False)
        write_text(Path(trainer.default_root_dir) / self.config_filename, text)
        going_on = GoingOn("logging the configuration", f"it is in {self.config_filename}")
        for logger in trainer.loggers:
            with going_on.despite_faults():
                if isinstance(logger, WandbLogger):
                    logger.experiment.config.update(
                        yaml.safe_load(pl_module.config_text), allow_val_change=True
                    )
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_text("configuration", f"```yaml\n{text}```")

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Print the options that differ from those that the checkpoint was trained with; the new ones are in force."""
        assert isinstance(pl_module, ImageGenerator)
        trained, now = (
            _flat(yaml.safe_load(text))
            for text in (checkpoint.get(CONFIG_KEY) or "{}", pl_module.config_text)
        )
        for name in sorted(trained.keys() & now.keys()):
            if trained[name] != now[name] and name.startswith(
                ("seed_everything", "model.", "data.")
            ):
                rank_zero_info(
                    f"{name} is {now[name]}, but the checkpoint was trained with {trained[name]}"
                )


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix.removesuffix("."): config}
    return {
        name: value
        for key, part in config.items()
        for name, value in _flat(part, f"{prefix}{key}.").items()
    }


def git_revision() -> str | None:
    """Return the git revision of the code, ending in ``-dirty`` where files were changed; None outside a checkout."""
    here = Path(__file__).parent
    command = [
        "git",
        "-C",
        str(here),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
