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
    if given.exists() or given.parent.name != _FOLDER:
        return path
    # In the wheel the experiments lie in the package, in a checkout beside it.
    shipped = (folder / _FOLDER / given.name for folder in (_HERE, _HERE.parent))
    return next((str(file) for file in shipped if file.exists()), path)
