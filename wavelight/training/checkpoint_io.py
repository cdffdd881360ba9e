"""How a trainer's checkpoints come to the disk and back: whole, or not at all."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO
from typing_extensions import override

from wavelight.checkpoints.run_files import LAST, PREVIOUS
from wavelight.weights import read_checkpoint, write_checkpoint


class UnsavedError(OSError):
    """A checkpoint could not be written; the file is as it was."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside their files, reads them back, and only then replaces the files.

    Lightning's own goes through ``$TMPDIR``, from where a file on another file system is copied over the good
    one: a run that is killed meanwhile has lost both. The ``last.ckpt`` before is kept as ``previous.ckpt``.

    Attributes:
        failure: Why the newest could not be written. The trainer raises it, on all processes together: here the
            others would wait for the one that writes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: str | None = None

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        keep_before = path.with_name(PREVIOUS) if path.name == LAST else None
        try:
            write_checkpoint(path, checkpoint, keep_before)
        except (OSError, ValueError) as error:
            self.failure = f"{path} could not be written: {error}"

    def take_failure(self) -> str | None:
        """Return why the newest could not be written, and forget it."""
        failure, self.failure = self.failure, None
        return failure

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))
