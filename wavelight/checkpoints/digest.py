"""A short text that tells one set of weights from another."""

import hashlib
from typing import TYPE_CHECKING

from wavelight.systems import ImageGenerator

if TYPE_CHECKING:
    pass


def digest(system: ImageGenerator) -> str:
    """Return a short text that tells one set of sampling weights from another."""
    hasher = hashlib.sha256()
    for part in system.sampling_parts().values():
        for name, tensor in part.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]
