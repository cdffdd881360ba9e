"""Sampling images some of whose bands are those of real images."""

from torch import Tensor

from wavelight.factors import Condition
from wavelight.systems import ImageGenerator


def given_true_bands(
    system: ImageGenerator, images: Tensor, known: int, index: Tensor, seed: int
) -> Tensor:
    """Sample images whose first factors are true.

    Args:
        system: The system.
        images: ``(N, C, H, W)`` floats, whose factors are taken.
        known: How many, from the coarsest; with 0 these are the images of :meth:`ImageGenerator.sample`,
            with all of them the true ones.
        index: ``(N,)`` int64: the numbers of the images, to which their noise belongs.
        seed: The seed of the set of images.

    Returns:
        ``(N, C, H, W)`` float32, in [-1, 1] where the range is bounded.
    """
    factors = system.factorization.encode(images)

    def target(factor: int, ll: Tensor | None) -> Tensor:
        if factor < known:
            return factors[factor].target
        return system.sample_factor(factor, Condition(ll), index, seed)

    generated = system.factorization.decode(target)
    return generated.clamp(-1, 1) if system.bounded else generated


def numbers_of_sample(index: Tensor, draw: int) -> Tensor:
    """Return the numbers of one of several samples: the first is the image's own, and none depends on how many."""
    return index + (draw << 32)
