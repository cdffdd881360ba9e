"""Systems: LightningModules that train and sample whole images."""

from wavelight.systems.base import ImageGenerator
from wavelight.systems.ddgan import DDGAN
from wavelight.systems.wavediff import WaveDiff

__all__ = ["DDGAN", "ImageGenerator", "WaveDiff"]
