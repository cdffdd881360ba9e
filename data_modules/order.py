"""Random order without memory: permutations and bits that are functions of key and number alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Bits = NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_ROUNDS = 8


def hash_numbers(numbers: Any, *key: int) -> Bits:
    """Hash each of an array of whole numbers into 64 random bits.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014).

    Args:
        numbers: In [0, 2**63).
        key: Number on which the bits depend beside the number; another key gives unrelated bits.
    """
    return _mix(np.array(numbers, dtype=np.uint64, ndmin=1) * np.uint64(_GOLDEN) + hash_key(*key))


def hash_key(*key: int) -> np.uint64:
    """Hash a few whole numbers, in this order, into 64 random bits."""
    state = len(key)
    for word in key:
        state = int(_mix(np.array([(state * _GOLDEN + word) % 2**64], dtype=np.uint64))[0])
    return np.uint64(state)


class Permutation:
    """A random order of ``count`` things that takes no memory: any element is computed when asked.

    A Feistel network over a grid of ``rows * columns >= count`` cells (Black and Rogaway 2002,
    «Ciphers with arbitrary finite domains»); what falls outside is sent through the network again
    until it falls inside.

    >>> sorted(Permutation(5, 0)(range(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, count: int, *key: int) -> None:
        self.count = count
        self._rows = max(1, int(np.ceil(np.sqrt(count))))
        self._columns = max(1, -(-count // self._rows))
        self._round_keys = [hash_key(*key, step) for step in range(_ROUNDS)]

    def __call__(self, places: Any) -> Numbers:
        """Return which thing stands at each place.

        Raises:
            ValueError: If a place is not in [0, count), where things would stand twice or none at all.
        """
        places = np.array(places, dtype=np.int64, ndmin=1)
        if places.size and not 0 <= places.min() <= places.max() < self.count:
            raise ValueError(
                f"places must be 0 to {self.count - 1}, got {places.min()} to {places.max()}: "
                "ask for places within the number of things"
            )
        things = self._scramble(places)
        while (outside := things >= self.count).any():
            things[outside] = self._scramble(things[outside])
        return things

    def _scramble(self, cells: Numbers) -> Numbers:
        rows, columns = np.uint64(self._rows), np.uint64(self._columns)
        row, column = np.divmod(cells.astype(np.uint64), columns)
        for even, odd in zip(self._round_keys[::2], self._round_keys[1::2], strict=True):
            row = (row + _mix(column * np.uint64(_GOLDEN) + even) % rows) % rows
            column = (column + _mix(row * np.uint64(_GOLDEN) + odd) % columns) % columns
        return (row * columns + column).astype(np.int64)


def _mix(bits: Bits) -> Bits:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
