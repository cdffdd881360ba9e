"""SGM: a score model of pixels."""

from typing import Unpack

from wavelight.factorizations import Pixels
from wavelight.models import ModelFactory
from wavelight.systems.base import ImageGenerator, SystemOptions


class SGM(ImageGenerator):
    """A score-based generative model of whole images (Song et al., 2021), with which WSGM is compared.

    Args:
        model: The score model.
        **options: Those of every system.
    """

    def __init__(self, model: ModelFactory, **options: Unpack[SystemOptions]) -> None:
        super().__init__(factorization=Pixels(), models=[model], **options)
