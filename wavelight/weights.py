"""Weights in checkpoints and safetensors files: reading, checking and writing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint

from wavelight.networks.published import load_published
from wavelight.support.files import draft_of

TRAINING_KEY = "wavelight_training_weights"
"""Key of a checkpoint's training weights, which optimizers step; its ``state_dict`` holds the EMA weights."""


def read_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, unpickling nothing but tensors and plain values.

    Args:
        path: The file.
        mapped: Whether tensors stay in the file until they are used, and their checksums unread, which is
            fast where only names are wanted.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged, or holds other objects.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    # Files of before PyTorch 1.6 are no archives: they have no checksums, and cannot be mapped.
    archive = is_zipfile(path)
    mapped = mapped and archive
    if archive and not mapped:
        check_whole(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        raise ValueError(_why_unreadable(path)) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"{path} must hold a dictionary, as a checkpoint does, got a "
            f"{type(checkpoint).__name__}"
        )
    return checkpoint


def check_whole(path: Path) -> None:
    """Check that all that was written into a checkpoint can be read back.

    PyTorch writes a CRC-32 of each tensor and of the rest into the archive, and does not look at them when it
    loads: a flipped bit would be another weight.

    Args:
        path: The file, an archive as ``torch.save`` writes it.

    Raises:
        ValueError: If the file is cut short, or a part of it does not have its checksum.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:
        # Flipped bits in its tables let zipfile raise errors of a dozen kinds.
        raise ValueError(_why_unreadable(path)) from error
    if damaged is not None:
        raise ValueError(
            f"{path} is damaged: {damaged} in it does not have the checksum it was written with"
        )


def _why_unreadable(path: Path) -> str:
    try:
        objects = get_unsafe_globals_in_checkpoint(path)
    except Exception:
        objects = []
    if objects:
        return (
            f"Refusing to unpickle {objects[0]} from {path} (it could run code): export the "
            "state dict alone, e.g. netG_<epoch>.pth rather than content.pth"
        )
    return f"{path} cannot be read as a checkpoint: it is damaged or of another format"


def holds_run(path: Path) -> bool:
    """Return whether a file holds a run to continue, rather than weights alone, from which a new run can start.

    Args:
        path: Any file that :func:`load_weights` takes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or is cut short.
    """
    return path.suffix != ".safetensors" and "optimizer_states" in read_checkpoint(
        path, mapped=True
    )


def write_checkpoint(
    path: Path, checkpoint: Mapping[str, Any], keep_before: Path | None = None
) -> None:
    """Write a checkpoint beside the file, read it back, and only then replace what the file holds.

    Args:
        path: The file.
        checkpoint: Its parts: tensors and plain values.
        keep_before: Where what the file holds now is kept, once the new one is whole; None keeps it nowhere.

    Raises:
        OSError: If the disk is full or fails; the file is then as it was.
        ValueError: If what was written cannot be read back; the file is then as it was.
    """
    with draft_of(path) as draft:
        # Into an open file: by its name alone, PyTorch would call the archive after the draft.
        with draft.open("wb") as file:
            torch.save(dict(checkpoint), file)
        check_whole(draft)
        if keep_before is not None and path.exists():
            _give_second_name(path, keep_before)


def _give_second_name(path: Path, name: Path) -> None:
    with draft_of(name, flushed=False) as draft:
        try:
            draft.hardlink_to(path)
        except OSError:
            # A file system without hard links: for a moment the file is under the second name alone.
            path.rename(draft)


def state_of(checkpoint: Mapping[str, Any], ema: bool = True) -> dict[str, Tensor]:
    """Return the state dict of a wavelight checkpoint.

    Args:
        checkpoint: As :func:`read_checkpoint` returns it.
        ema: Whether the networks that sample images get their EMA weights, rather than those that
            optimizers step.

    Raises:
        ValueError: If it is no checkpoint of wavelight.
    """
    if "state_dict" not in checkpoint:
        raise ValueError(
            "the file must be a checkpoint of wavelight, got one without a state_dict: `wavelight convert` "
            "makes one from published weights"
        )
    state = dict(checkpoint["state_dict"])
    return state if ema else state | checkpoint.get(TRAINING_KEY, {})


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights, and the texts of the header, from a safetensors file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path} cannot be read as safetensors: it is damaged or of another format"
        ) from error


class SamplingModule(Protocol):
    """Interface of a module, some of whose parts sample images."""

    def sampling_networks(self) -> dict[str, nn.Module]:
        """Return the networks by the names that their parameters have in a state dict."""

    def sampling_parts(self) -> dict[str, nn.Module]:
        """Return these networks, and the other modules that sampling needs, by the names in a state dict."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return all weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Load weights by name."""


def load_weights(system: SamplingModule, path: Path, ema: bool = True) -> list[str]:
    """Load weights from a file into a system.

    Args:
        system: The system.
        path: A checkpoint of wavelight, an exported ``.safetensors`` file, or a published
            generator.
        ema: Whether to take the EMA weights where a file has both.

    Returns:
        The names of the parameters that the file does not have, such as a discriminator's; their values
        are unchanged.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the weights are not those of the system's networks.
    """
    if path.suffix == ".safetensors":
        return _load_named(system, _with_full_names(system, read_safetensors(path)[0]), path)
    networks = system.sampling_networks()
    checkpoint = read_checkpoint(path)
    if "state_dict" in checkpoint:
        return _load_named(system, state_of(checkpoint, ema), path)
    if len(networks) > 1:
        raise ValueError(
            f"{path} must hold {len(networks)} networks, with which the system samples, got one: load a "
            "file that `wavelight export` made of the system"
        )
    ((prefix, network),) = networks.items()
    load_published(network, checkpoint)
    return _weights_among(
        system, [name for name in system.state_dict() if not name.startswith(f"{prefix}.")]
    )


def check_same_tensors(system: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Check that a state dict fits a system, before PyTorch lists every tensor that does not.

    Args:
        system: The system.
        state: The ``state_dict`` of a checkpoint.

    Raises:
        ValueError: If a name or a shape differs, in one sentence with the first that does.
    """
    here = {name: tuple(tensor.shape) for name, tensor in system.state_dict().items()}
    there = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in [*here, *there]:
        if here.get(name) != there.get(name):
            said = [
                f"has shape {shapes[name]} in the {where}"
                if name in shapes
                else f"is not in the {where}"
                for where, shapes in (("file", there), ("model", here))
            ]
            raise ValueError(f"the checkpoint does not fit the model: {name} {' and '.join(said)}")


def sampling_state(system: SamplingModule) -> dict[str, Tensor]:
    """Return the weights that sampling needs; those of a single network under its own names."""
    parts = system.sampling_parts()
    return {
        f"{prefix}.{name}" if len(parts) > 1 else name: tensor
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }


def _with_full_names(system: SamplingModule, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = list(system.sampling_parts())
    return {
        f"{parts[0]}.{name}" if len(parts) == 1 else name: tensor for name, tensor in state.items()
    }


def _load_named(system: SamplingModule, state: Mapping[str, Tensor], path: Path) -> list[str]:
    try:
        result = system.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"the weights of {path} do not fit the model: {_first(error)}") from error
    needed = tuple(f"{name}." for name in system.sampling_parts())
    wrong = [
        *result.unexpected_keys,
        *(name for name in result.missing_keys if name.startswith(needed)),
    ]
    if wrong:
        raise ValueError(
            f"the weights of {path} do not fit the model: {wrong[0]!r} is missing or unknown"
        )
    return _weights_among(system, result.missing_keys)


def _weights_among(system: SamplingModule, names: list[str]) -> list[str]:
    # The scale of a band that needs no statistics is no weight.
    if "factorization" in system.sampling_parts():
        return names
    return [name for name in names if not name.startswith("factorization.")]


def _first(error: RuntimeError) -> str:
    return str(error).splitlines()[1].strip()


def write_safetensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write weights as safetensors, under a temporary name first, so that no half-written file is left.

    Args:
        path: The file.
        state: The weights.
        metadata: Texts of the file's header.
    """
    from safetensors.torch import save_file

    with draft_of(path) as draft:
        save_file(
            {name: tensor.contiguous() for name, tensor in state.items()}, draft, dict(metadata)
        )
