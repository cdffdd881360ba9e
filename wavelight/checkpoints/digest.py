"""The digest of a set of weights."""

import hashlib

from wavelight.systems import ImageGenerator


def digest(system: ImageGenerator) -> str:
    """Return a short text that tells one set of sampling weights from another."""
    hasher = hashlib.sha256()
    for part in system.sampling_parts().values():
        for name, tensor in part.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]
