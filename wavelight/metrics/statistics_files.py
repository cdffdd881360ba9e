"""Statistics of real images that others computed: the mean and the covariance of Inception's features, from a file."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.frechet import Gaussian
from wavelight.support.errors import OptionError

SUFFIXES = (".npz", ".npy")
"""Of pytorch-fid and EDM, and of WaveDiff and DDGAN."""

_NAMES = ("mu", "sigma")
_ASYMMETRY = 1e-6
"""Of the largest covariance: what float32 leaves."""


def read_statistics(path: Path, dimension: int) -> Gaussian:
    """Read a mean and a covariance, float64, from a file of ``mu`` and ``sigma``.

    An ``.npz`` (pytorch-fid, EDM), or an ``.npy`` that holds a pickled dictionary (WaveDiff, DDGAN), of which nothing
    but arrays is built. EDM's later ``.pkl`` are not taken: they are pickles of any classes.

    Args:
        path: The file.
        dimension: The number of features that the mean must have.

    Raises:
        FileNotFoundError: If there is none.
        OptionError: If it holds no such statistics; in one sentence.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise OptionError(
            f"reference must end in .npz or .npy and hold mu and sigma, got {path}; write another kind of file anew "
            "with numpy.savez(path, mu=..., sigma=...)"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there are no statistics at {path}: give the path of the file")
    try:
        found = _archive(path) if path.suffix == ".npz" else _pickled_dictionary(path)
    except OptionError:
        raise
    # Damaged files raise many kinds: BadZipFile, ValueError, EOFError, UnpicklingError, MemoryError, KeyError ...
    except Exception as error:
        raise OptionError(
            f"reference must hold mu and sigma, but {path} cannot be read ({_line(error)}): fetch it again"
        ) from error
    missing = [name for name in _NAMES if name not in found]
    if missing:
        raise OptionError(
            f"reference must hold mu and sigma, got {', '.join(found) or 'nothing'} in {path}: {missing[0]} is missing"
        )
    mean, covariance = (_floats(found[name], name, path) for name in _NAMES)
    _check(mean, covariance, dimension, path)
    return Gaussian(mean, covariance)


def _archive(path: Path) -> dict[str, object]:
    with np.load(path, allow_pickle=False) as archive:
        # Others keep images beside them, which nobody needs here.
        return {name: archive[name] if name in _NAMES else None for name in archive.files}


def _pickled_dictionary(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        _, _, dtype = header(file)
        if not dtype.hasobject:
            raise ValueError("it is a plain array")
        outer = _ArraysOnly(file, path).load()
    held = outer.content if isinstance(outer, _Array) else outer
    if not (isinstance(held, list) and len(held) == 1 and isinstance(held[0], dict)):
        raise ValueError("it holds no dictionary")
    return {
        str(name): value.content if isinstance(value, _Array) else value
        for name, value in held[0].items()
    }


class _Type:
    """Stands in a pickle for the type of an array's numbers: NumPy's own follows a file's state wherever it leads."""

    def __init__(self, code: str, *rest: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = str(state[1])


class _Array:
    """Stands in a pickle for an array: numbers, or objects in a list."""

    def __init__(self, *rest: object) -> None:
        self.content: object = None

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, kind, is_fortran, content = state
        if not isinstance(kind, _Type):
            raise ValueError("an array has no type")
        if isinstance(content, list):
            self.content = content
            return
        if not _NUMBERS.fullmatch(kind.code) or kind.order not in _ORDERS:
            raise ValueError(f"an array is of type {kind.code}")
        # Python 2 wrote bytes as text.
        data = content.encode("latin1") if isinstance(content, str) else content
        numbers = np.frombuffer(cast(bytes, data), np.dtype(kind.order + kind.code))
        self.content = numbers.reshape(
            cast(tuple[int, ...], shape), order="F" if is_fortran else "C"
        )


_NUMBERS = re.compile("[fiu][1248]")
_ORDERS = {"<", ">", "=", "|"}
_BUILDS: dict[str, Callable[..., object]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    # NumPy 1 and 2 know it by different names.
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays of numbers, and the lists and dictionaries round them; refuses all else before it runs."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    @override
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        found = _BUILDS.get(f"{module}.{name}")
        if found is None:
            self._refuse(f"{module}.{name}")
        return found

    def _refuse(self, name: str) -> NoReturn:
        raise OptionError(
            f"Refusing to unpickle {name} from {self._path} (it could run code): write the statistics anew with "
            "numpy.savez(path, mu=..., sigma=...), where you trust them"
        )


def _floats(value: object, name: str, path: Path) -> Tensor:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise OptionError(f"{name} in {path} must be numbers, got {array.dtype}")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))


def _check(mean: Tensor, covariance: Tensor, dimension: int, path: Path) -> None:
    expected = (dimension,), (dimension, dimension)
    if (mean.shape, covariance.shape) != expected:
        raise OptionError(
            f"reference must hold mu of {expected[0]} and sigma of {expected[1]}, got {tuple(mean.shape)} and "
            f"{tuple(covariance.shape)} in {path}: take statistics of the same network's features"
        )
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise OptionError(
            f"reference must hold finite numbers, got others in {path}: compute it anew"
        )
    difference = (covariance - covariance.T).abs().max()
    if difference > _ASYMMETRY * covariance.abs().max():
        raise OptionError(
            f"reference must hold a covariance, which is symmetric, got a sigma in {path} that differs from its "
            f"transpose by {float(difference):.3g}: compute it anew"
        )


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
