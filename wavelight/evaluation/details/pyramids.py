"""The systems whose details are measured, which sample them given LL."""

from pathlib import Path
from typing import NamedTuple

from wavelight.checkpoints.loading import load
from wavelight.evaluation.comparison.runs import ComparedRun
from wavelight.factorizations.pyramids import LevelByLevel
from wavelight.systems import ImageGenerator


class PyramidSystem(NamedTuple):
    """A checkpoint's system, in evaluation mode, whose factorization is a pyramid."""

    name: str
    path: Path
    generator: ImageGenerator
    pyramid: LevelByLevel


def pyramid_system(run: ComparedRun) -> PyramidSystem:
    """Return the system of a checkpoint.

    Raises:
        ValueError: If its factorization is no pyramid.
    """
    generator = load(run.path, trust_code=run.trust_code)
    if not isinstance(generator.factorization, LevelByLevel):
        raise ValueError(
            f"only a pyramid (WSGM, Hybrid) samples details conditioned on LL: {run.path} holds "
            f"a {type(generator).__name__}"
        )
    return PyramidSystem(run.name, run.path, generator, generator.factorization)
