"""wavelight: train, compare and extend wavelet generative models of images.

``wavelight.load("x.ckpt").sample(64, seed=0)`` samples images from a checkpoint; everything else is
in the modules.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavelight.checkpoints.loading import load as load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Late, because they take time, Lightning's import seconds.
    if name == "load":
        from wavelight.checkpoints.loading import load

        return load
    if name == "theory":
        from importlib import import_module

        return import_module("wavelight.theory")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
