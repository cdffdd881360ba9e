"""Networks: tensors to tensors. They know neither what a wavelet is for, nor a loss, nor a configuration."""

from wavelight.networks.discriminators import LargeDiscriminator, SmallDiscriminator
from wavelight.networks.ncsnpp import NCSNpp

__all__ = ["LargeDiscriminator", "NCSNpp", "SmallDiscriminator"]
