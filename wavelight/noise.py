"""Random numbers that belong to an image: the same on any device, number of processes and batch size."""

import math

import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 0xFFFFFFFF
_WORDS_A_BLOCK = 4
_STREAMS = 2**16
_SAMPLES = 2**16


class Noise:
    """Samples random numbers for each image of a batch from the image's own stream.

    A number depends on the seed, the index of its image, the stream, and how many samples came
    before; not on the rank, the batch or the device. So a run that is resumed, or that goes on with
    another number of processes, sees the noise that it would have seen, and image ``i`` of a seed
    is one image for ever.

    Args:
        seed: The seed of the run, 0 to 2^32 - 1.
        index: ``(N,)`` int64: the index of each image, from 0.
        stream: Tells apart the uses of one image's noise (the turns of a batch's players, say), 0
            to 2^16 - 1. It has 2^16 samples.

    Raises:
        ValueError: If the seed or the stream is out of range.
    """

    def __init__(self, seed: int, index: Tensor, stream: int = 0) -> None:
        if not 0 <= seed <= _WORD:
            raise ValueError(f"seed must be 0 to 2^32 - 1, got {seed}: take another")
        if not 0 <= stream < _STREAMS:
            raise ValueError(
                f"stream must be 0 to {_STREAMS - 1}, got {stream}: number fewer uses of an image's noise"
            )
        self.seed = seed
        self.index = index
        self.stream = stream
        self._draws = 0

    def normal(self, *shape: int) -> Tensor:
        """Sample standard normal numbers, ``(N, *shape)`` float32 (Box and Muller, 1958)."""
        words = self._words(math.prod(shape))
        # The radius takes values of (0, 1], so that its logarithm exists; float32 keeps 24 bits of
        # a word.
        radius = (-2 * torch.log((_top_bits(words[:, 0::2]) + 1) / 2**24)).sqrt()
        angle = 2 * math.pi * _top_bits(words[:, 1::2]) / 2**24
        pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        # Not -1 for the images, which PyTorch cannot tell where the shape is empty.
        return pairs[:, : math.prod(shape)].reshape(len(self.index), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Sample uniform numbers of [0, 1), ``(N, *shape)`` float32."""
        words = self._words(math.prod(shape))[:, : math.prod(shape)]
        return (_top_bits(words) / 2**24).reshape(len(self.index), *shape)

    def integers(self, high: int) -> Tensor:
        """Sample one integer of 0 to ``high`` - 1 for each image, ``(N,)`` int64.

        Raises:
            ValueError: If ``high`` is not of 1 to 2^31: a word times more would overflow.
        """
        if not 1 <= high <= 2**31:
            raise ValueError(
                f"high must be 1 to 2^31, got {high}: name how many integers there are"
            )
        return self._words(1)[:, 0] * high >> 32

    def bits(self) -> Tensor:
        """Sample 64 random bits for each image, ``(N,)`` int64."""
        words = self._words(2)
        return words[:, 0] | words[:, 1] << 32

    def part(self, start: int, stop: int) -> "Noise":
        """Return the noise of the images ``start`` to ``stop`` - 1 of this batch, from its first sample."""
        return Noise(self.seed, self.index[start:stop], self.stream)

    def _words(self, count: int) -> Tensor:
        """Return at least ``count`` random 32-bit words for each image, ``(N, ...)`` int64."""
        blocks = -(-count // _WORDS_A_BLOCK)
        block = torch.arange(blocks, device=self.index.device)
        image = self.index[:, None]
        # 64 bits of image index, 32 of block and 32 of (stream, sample) make the counter; the seed is
        # the key.
        if self._draws >= _SAMPLES:
            # The next number would be the first sample of the next stream.
            raise ValueError(
                f"stream {self.stream} must give at most {_SAMPLES} samples, got asked for one more: "
                "sample larger tensors, in fewer steps, or take another stream"
            )
        draw = self.stream * _SAMPLES + self._draws
        self._draws += 1
        counter = [
            (image & _WORD).expand(-1, blocks),
            (image >> 32 & _WORD).expand(-1, blocks),
            block.expand(len(image), -1),
            torch.full_like(block, draw).expand(len(image), -1),
        ]
        return torch.cat(philox(counter, (self.seed & _WORD, self.seed >> 32 & _WORD)), dim=1)


def philox(counter: list[Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Scramble counters into random words: Philox-4x32-10 (Salmon et al., 2011, section 3.3).

    Args:
        counter: Four int64 tensors of one shape, of 32-bit words.
        key: Two 32-bit words.

    Returns:
        Four int64 tensors of that shape, of 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # A product of two words can pass 2^63; int64 wraps, and the masks take the right bits all
        # the same.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (p1 >> 32 & _WORD) ^ c1 ^ k0,
            p1 & _WORD,
            (p0 >> 32 & _WORD) ^ c3 ^ k1,
            p0 & _WORD,
        )
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return [c0, c1, c2, c3]


def _top_bits(words: Tensor) -> Tensor:
    return (words >> 8).float()
