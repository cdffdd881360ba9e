"""FID, and further metrics, by the Inception network of the published numbers."""

import hashlib
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.features import FeatureMetrics
from wavelight.metrics.kept_features import FeatureMeasure


class InceptionFeatures(FeatureExtractor):
    """The last pooling layer of FID's Inception, with torch-fidelity's copy of the weights.

    The resize in front of it is TensorFlow 1's, that of the literature (torchmetrics'
    ``antialias=False``), not pytorch-fid's: at 32 pixels the two differ by 18 grey levels, and the
    FIDs differ too. Logits are without biases, as in the published Inception score.

    Args:
        weights: torch-fidelity's file of weights. Without it, the file is looked for where
            torch-fidelity keeps it, and else downloaded there.
    """

    num_features = 2048
    has_classes = True

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.body: nn.Module | None = None
        self.head: nn.Linear | None = None
        self._checksum = ""

    @property
    @override
    def identity(self) -> str:
        return f"torch-fidelity's Inception, pool3, TensorFlow 1's resize, weights {self._checksum}"

    @override
    def prepare(self) -> None:
        if self.body is not None:
            return
        path = find_weights(self.weights)
        *layers, head = _inception(path).children()
        self.body, self.head = nn.Sequential(*layers), cast(nn.Linear, head)
        self._checksum = hashlib.sha256(path.read_bytes()).hexdigest()

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, 2048)`` float32, of ``(N, 1 or 3, H, W)`` uint8 images.

        Raises:
            ValueError: If images have another number of channels.
        """
        if self.body is None:
            raise RuntimeError(
                "call InceptionFeatures.prepare() before the first images: it loads the weights"
            )
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"images must have 1 or 3 channels for Inception, got {images.shape[1]}; take another metric"
            )
        return self.body(_resize(images.expand(-1, 3, -1, -1))).flatten(1)

    @override
    def logits(self, features: Tensor) -> Tensor:
        if self.head is None:
            raise RuntimeError("call InceptionFeatures.prepare() first: it loads the weights")
        return features @ self.head.weight.T


class InceptionMetrics(FeatureMetrics):
    """FID (Heusel et al., 2017), and further metrics, by Inception features.

    Args:
        weights: torch-fidelity's file of weights (weights-inception-2015-12-05-6726825d.pth).
            Without it, the file is looked for where torch-fidelity keeps it, and else downloaded
            there.
        measures: Measures of all features at once, for which those of all images are kept: ``Neighbours`` (precision,
            recall, density and coverage), ``KernelDistance`` (KID), ``InceptionScore``; by default Neighbours.
    """

    def __init__(
        self, weights: Path | None = None, measures: list[FeatureMeasure] | None = None
    ) -> None:
        super().__init__(InceptionFeatures(weights), "fid", measures)


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


def _resize(images: Tensor) -> Tensor:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    side = FeatureExtractorInceptionV3.INPUT_IMAGE_SIZE
    large = interpolate_bilinear_2d_like_tensorflow1x(
        images.float(), size=(side, side), align_corners=False
    )
    return (large - 128) / 128


def _inception(weights: Path) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        # torch-fidelity unpickles whatever the file holds, which could run code; this refuses all but tensors.
        torch.load(weights, map_location="cpu", weights_only=True)
        return FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except Exception as error:  # torch.load and load_state_dict raise many kinds
        raise ValueError(
            f"{weights} does not hold torch-fidelity's Inception weights "
            f"({str(error).splitlines()[0]}): fetch torch-fidelity's file again"
        ) from error
