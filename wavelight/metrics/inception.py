"""FID, precision and recall by the Inception network of the published numbers."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.metrics.features import FeatureExtractor, FeatureMetrics


class InceptionFeatures(FeatureExtractor):
    """The last pooling layer of FID's Inception, with torch-fidelity's copy of the weights.

    The resize in front of it is TensorFlow 1's, that of the literature (torchmetrics'
    ``antialias=False``), not pytorch-fid's: at 32 pixels the two differ by 18 grey levels, and the
    FIDs differ too.

    Args:
        weights: torch-fidelity's file of weights. Without it, the file is looked for where
            torch-fidelity keeps it, and else downloaded there.
    """

    num_features = 2048

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.network: nn.Module | None = None
        self._checksum = ""

    @property
    @override
    def identity(self) -> str:
        return f"torch-fidelity's Inception, pool3, TensorFlow 1's resize, weights {self._checksum}"

    @override
    def prepare(self) -> None:
        if self.network is not None:
            return
        path = find_weights(self.weights)
        self.network = _inception(path)
        self._checksum = hashlib.sha256(path.read_bytes()).hexdigest()

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, 2048)`` float32, of ``(N, 1 or 3, H, W)`` uint8 images.

        Raises:
            ValueError: If images have another number of channels.
        """
        if self.network is None:
            raise RuntimeError(
                "call InceptionFeatures.prepare() before the first images: it loads the weights"
            )
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"images must have 1 or 3 channels for Inception, got {images.shape[1]}; take another metric"
            )
        return self.network(images.expand(-1, 3, -1, -1))


class InceptionMetrics(FeatureMetrics):
    """FID (Heusel et al., 2017), and improved precision and recall, by Inception features.

    Args:
        weights: torch-fidelity's file of weights (weights-inception-2015-12-05-6726825d.pth).
            Without it, the file is looked for where torch-fidelity keeps it, and else downloaded
            there.
        precision_recall: Whether to measure improved precision and recall too; they keep the
            features of all images.
        neighbours: k of precision and recall.
    """

    def __init__(
        self, weights: Path | None = None, precision_recall: bool = True, neighbours: int = 3
    ) -> None:
        super().__init__(InceptionFeatures(weights), "fid", precision_recall, neighbours)


def find_weights(path: Path | None = None) -> Path:
    """Return the file of Inception's weights: the given one, torch-fidelity's, or a download.

    Raises:
        FileNotFoundError: If there is none, and none can be downloaded.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"there are no Inception weights at {path}: fetch {URL_INCEPTION_V3} and give the "
                "path of that file as `weights`"
            )
        return Path(path)
    kept = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[-1]
    if not kept.is_file():
        _download(URL_INCEPTION_V3, kept)
    return kept


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix="6726825d", progress=False)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"FID needs torch-fidelity's Inception weights, which are not at {path} and could not "
            f"be downloaded ({error}): fetch {url} where there is a network, and put it there "
            "(TORCH_HOME moves the folder) or give its path as `weights` of InceptionMetrics; "
            "or remove InceptionMetrics from evaluation.metrics: FrechetWaveletDistance needs no weights"
        ) from error


def _inception(weights: Path) -> nn.Module:
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        # torch-fidelity unpickles whatever the file holds, which could run code; this refuses all but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights), antialias=False)
    except Exception as error:  # torch.load and load_state_dict raise many kinds
        raise ValueError(
            f"{weights} does not hold torch-fidelity's Inception weights "
            f"({str(error).splitlines()[0]}): fetch torch-fidelity's file again"
        ) from error
