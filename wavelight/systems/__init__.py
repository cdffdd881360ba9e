"""Systems: LightningModules that train and sample whole images."""

from wavelight.systems.base import ImageGenerator
from wavelight.systems.ddgan import DDGAN
from wavelight.systems.hybrid import Hybrid
from wavelight.systems.ldm import LDM
from wavelight.systems.sgm import SGM
from wavelight.systems.wavediff import WaveDiff
from wavelight.systems.wavelet_diffusion import WaveletDiffusion
from wavelight.systems.wsgm import WSGM

__all__ = [
    "DDGAN",
    "LDM",
    "SGM",
    "WSGM",
    "Hybrid",
    "ImageGenerator",
    "WaveDiff",
    "WaveletDiffusion",
]
