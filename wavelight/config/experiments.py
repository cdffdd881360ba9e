"""The experiments that come with the package, found from any folder."""

from pathlib import Path

DEFAULTS = Path(__file__).parent / "defaults.yaml"
"""The options that all experiments share; the command line reads them first."""

_HERE = Path(__file__).parents[1]
_FOLDER = "experiments"


def find_experiment(path: str) -> str:
    """Return the path of a configuration, or of a part of one: the file of that name, or else the one that ships.

    Args:
        path: Such as ``experiments/demo.yaml`` or ``experiments/models/regression.yaml``.
    """
    given = Path(path)
    if given.suffix != ".yaml" or _FOLDER not in given.parts or given.exists():
        return path
    *_, start = (i for i, part in enumerate(given.parts) if part == _FOLDER)
    shipped = _shipped_folder().joinpath(*given.parts[start + 1 :])
    return str(shipped) if shipped.is_file() else path


def shipped_experiments() -> dict[str, Path]:
    """Return the configurations that come with the package, by their names: ``cifar10``, ``demo``."""
    return {path.stem: path for path in sorted(_shipped_folder().glob("*.yaml"))}


def _shipped_folder() -> Path:
    # In the wheel the experiments lie in the package, in a checkout beside it.
    folders = [folder / _FOLDER for folder in (_HERE, _HERE.parent)]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def shipped_experiment(name: str) -> Path:
    """Return the configuration that comes with the package under a name.

    Args:
        name: Such as ``celeba256``.

    Raises:
        ValueError: If there is none of that name.
    """
    shipped = shipped_experiments()
    if name not in shipped:
        raise ValueError(f"experiment must be one of {', '.join(shipped)}, got {name!r}")
    return shipped[name]
