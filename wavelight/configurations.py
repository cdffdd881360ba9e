"""The experiments that come with the package, found from any folder."""

from pathlib import Path

DEFAULTS = Path(__file__).parent / "defaults.yaml"
"""What all experiments share; the command line reads it first."""

_HERE = Path(__file__).parent
_FOLDER = "experiments"


def find_experiment(path: str) -> str:
    """Return the path of a configuration: the file of that name, or else the one that ships under it.

    Args:
        path: Such as ``experiments/demo.yaml``.
    """
    given = Path(path)
    if given.exists() or given.parent.name != _FOLDER or given.suffix != ".yaml":
        return path
    return str(shipped_experiments().get(given.stem, path))


def shipped_experiments() -> dict[str, Path]:
    """Return the configurations that come with the package, by their names: ``cifar10``, ``demo``."""
    # In the wheel the experiments lie in the package, in a checkout beside it.
    folders = [folder / _FOLDER for folder in (_HERE, _HERE.parent)]
    found = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.stem: path for path in sorted(found.glob("*.yaml"))}


def shipped_experiment(name: str) -> Path:
    """Return the configuration that comes with the package under a name.

    Args:
        name: Such as ``celeba256``.

    Raises:
        ValueError: If there is none of that name.
    """
    shipped = shipped_experiments()
    if name not in shipped:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(shipped)}")
    return shipped[name]
