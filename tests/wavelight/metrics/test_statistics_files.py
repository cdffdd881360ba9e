import pickle
import re

import numpy as np
import pytest
import torch

from tests.wavelight.metrics.test_frechet import random_gaussian
from wavelight.metrics import gaussian_from_sums
from wavelight.metrics.frechet import sums_of_gaussian
from wavelight.metrics.statistics_files import read_statistics
from wavelight.support.errors import OptionError

DIMENSION = 5


def statistics(**changed):
    gaussian = random_gaussian(DIMENSION, 1)
    return {"mu": gaussian.mean.numpy(), "sigma": gaussian.covariance.numpy()} | changed


def write(path, content):
    if path.suffix == ".npz":
        np.savez(path, **content)
    else:
        np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize("name", ["theirs.npz", "theirs.npy"])
def test_reads_what_others_write(tmp_path, name):
    found = read_statistics(write(tmp_path / name, statistics()), DIMENSION)
    torch.testing.assert_close(found, random_gaussian(DIMENSION, 1), rtol=0, atol=0)


def test_reads_float32_and_files_with_images_beside(tmp_path):
    content = statistics(arr_0=np.zeros((2, 8, 8, 3), np.uint8))
    content["mu"] = content["mu"].astype(np.float32)
    found = read_statistics(write(tmp_path / "theirs.npz", content), DIMENSION)
    assert found.mean.dtype == torch.float64
    torch.testing.assert_close(found.mean, random_gaussian(DIMENSION, 1).mean, rtol=1e-6, atol=0)


def test_reads_pickles_of_the_first_numpy(tmp_path):
    path = write(tmp_path / "theirs.npy", statistics())
    # Text of protocol 3, in which WaveDiff's files are, with the module's name of NumPy 1.
    array = np.array(statistics(), dtype=object)
    header = path.read_bytes()[: path.read_bytes().index(b"\n") + 1]
    old = pickle.dumps(array, protocol=3).replace(
        b"numpy._core.multiarray", b"numpy.core.multiarray"
    )
    assert b"numpy.core.multiarray" in old
    path.write_bytes(header + old)
    torch.testing.assert_close(read_statistics(path, DIMENSION), random_gaussian(DIMENSION, 1))


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return type(self.mark).touch, (self.mark,)


def test_a_pickle_runs_nothing(tmp_path):
    mark = tmp_path / "ran"
    path = write(tmp_path / "theirs.npy", statistics(extra=Payload(mark)))
    with pytest.raises(ValueError, match=r"^Refusing to unpickle .*from .*theirs\.npy \(it could"):
        read_statistics(path, DIMENSION)
    assert not mark.exists()
    np.load(path, allow_pickle=True)
    assert mark.exists()


@pytest.mark.parametrize(
    "word", ["builtins.eval", "os.system", "numpy.load", "numpy.core.multiarray.scalar"]
)
def test_nothing_but_arrays_is_built(tmp_path, word):
    module, _, name = word.rpartition(".")
    path = write(tmp_path / "theirs.npy", statistics())
    header = path.read_bytes()[: path.read_bytes().index(b"\n") + 1]
    path.write_bytes(header + f"c{module}\n{name}\n.".encode())
    with pytest.raises(ValueError, match=f"Refusing to unpickle {re.escape(word)} from"):
        read_statistics(path, DIMENSION)


@pytest.mark.parametrize("name", ["theirs.npz", "theirs.npy"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"mu": np.zeros(5)}, r"must hold mu and sigma, got mu in .*: sigma is missing"),
        (statistics(mu=np.zeros(4)), r"got \(4,\) and \(5, 5\) in"),
        (statistics(sigma=np.eye(6)), r"got \(5,\) and \(6, 6\) in"),
        (statistics(mu=np.full(5, np.nan)), "must hold finite numbers"),
        (statistics(sigma=np.triu(np.ones((5, 5)))), "differs from its transpose by 1: "),
        (
            statistics(mu=np.array(["a"] * 5)),
            "mu in .* must be numbers, got <U1|an array is of type U1",
        ),
    ],
)
def test_other_content_is_a_sentence(tmp_path, name, content, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_statistics(write(tmp_path / name, content), DIMENSION)


@pytest.mark.parametrize("name", ["cut.npz", "cut.npy"])
def test_damaged_files_are_a_sentence(tmp_path, name):
    path = write(tmp_path / name, statistics())
    whole = path.read_bytes()
    for size in (0, 5, 100, 200, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cannot be read \(.*\): fetch it again"):
            read_statistics(path, DIMENSION)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(ValueError, match="it is a plain array"):
        read_statistics(tmp_path / "plain.npy", DIMENSION)


def test_missing_files_and_other_endings_are_sentences(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no statistics at .*none\.npz"):
        read_statistics(tmp_path / "none.npz", DIMENSION)
    with pytest.raises(ValueError, match=r"must end in \.npz or \.npy .*edm\.pkl; write another"):
        read_statistics(tmp_path / "edm.pkl", DIMENSION)


def test_sums_of_a_gaussian_are_those_of_its_samples():
    gaussian = random_gaussian(DIMENSION, 1)
    torch.testing.assert_close(gaussian_from_sums(**sums_of_gaussian(gaussian)), gaussian)


class Forged:
    """Pickles as a call of NumPy's own ``_reconstruct`` with a state of the forger's."""

    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        make = np.empty(0).__reduce__()[0]
        return make, (np.ndarray, (0,), b"b"), self.state


class ForgedType:
    """Pickles as a type of objects that says that it has none, so that bytes would pass for pointers."""

    def __reduce__(self):
        flags = (3, "|", None, None, None, -1, -1, 0)
        return np.dtype, ("O8", False, True), flags


def test_bytes_of_a_file_never_pass_for_objects(tmp_path):
    forged = Forged((1, (), ForgedType(), False, b"\x10" * 8))
    path = tmp_path / "forged.npy"
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(forged, file, protocol=4)
    with pytest.raises(OptionError, match=r"cannot be read .*an array is of type O8"):
        read_statistics(path, 3)
