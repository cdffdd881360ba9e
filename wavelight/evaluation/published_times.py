"""Sampling times that papers print."""

PUBLISHED_SECONDS: dict[str, tuple[float | None, float]] = {
    "cifar10": (0.07, 0.08),
    "stl10": (0.12, 0.38),
    "celeba256": (0.08, 0.79),
    "celeba512": (0.10, 0.59),
    "celeba1024": (0.12, 0.59),
    "church": (0.16, 1.54),
    "cifar10_ddgan": (None, 0.21),
    "stl10_ddgan": (None, 0.58),
    "celeba256_ddgan": (None, 1.73),
    "celeba512_ddgan": (None, 1.49),
    "church_ddgan": (None, 3.42),
    "celeba256_plain": (None, 0.60),
    "celeba256_no_residual": (None, 0.78),
    "celeba256_no_updown": (None, 0.61),
    "celeba256_no_bottleneck": (None, 0.78),
}
"""Seconds of one image and of a batch on one A100 (the poster of WaveDiff, CVPR 2023, WED-AM-188)."""


def published_batch(image_size: int) -> int:
    """Return the batch of published times: 100 images, but 25 of 512 pixels and more."""
    return 25 if image_size >= 512 else 100
