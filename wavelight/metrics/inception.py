"""FID, and further metrics, by the Inception network of the published numbers."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.metrics.base import ImageMetric
from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.features import FeatureMetrics
from wavelight.metrics.frechet import Gaussian
from wavelight.metrics.inception_protocols import InceptionProtocol, TensorFlowProtocol
from wavelight.metrics.kept_features import FeatureMeasure
from wavelight.metrics.statistics_files import read_statistics
from wavelight.support.errors import OptionError


class InceptionFeatures(FeatureExtractor):
    """The last pooling layer of FID's Inception, with torch-fidelity's copy of the weights.

    Logits are without biases, as in the published Inception score.

    Args:
        weights: torch-fidelity's file of weights. Without it, the file is looked for where
            torch-fidelity keeps it, and else downloaded there.
        protocol: The resize in front of it; by default TensorFlow 1's, that of the literature. pytorch-fid's differs
            from it by 18 grey levels at 32 pixels, and the FIDs differ too.
    """

    num_features = 2048
    has_classes = True

    def __init__(
        self, weights: Path | None = None, protocol: InceptionProtocol | None = None
    ) -> None:
        super().__init__()
        self.weights = weights
        self.protocol = protocol or TensorFlowProtocol()
        self.body: nn.Module | None = None
        self.head: nn.Linear | None = None
        self._checksum = ""

    @property
    @override
    def identity(self) -> str:
        return (
            f"torch-fidelity's Inception, pool3, {self.protocol.identity}, weights {self._checksum}"
        )

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
        """Return features, ``(N, 2048)`` float32, of ``(N, 3, H, W)`` uint8 images."""
        if self.body is None:
            raise RuntimeError(
                "call InceptionFeatures.prepare() before the first images: it loads the weights"
            )
        return self.body(self.protocol.resize(images)).flatten(1)

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
        protocol: What happens to images in front of Inception: by default ``TensorFlowProtocol``, whose FID is ``fid``;
            ``PublishedProtocol`` measures ``fid_published``, which compares with numbers of WaveDiff and DDGAN.
        reference: A file of others' statistics of the real images, with which the FID compares in place of real images:
            an ``.npz`` of pytorch-fid or EDM, or an ``.npy`` of WaveDiff or DDGAN. It holds no features: ``Neighbours``
            and ``KernelDistance``, which compare features, cannot be measured beside it, and nothing is by default.

    Raises:
        OptionError: If a measure compares features, and only statistics are given.
    """

    def __init__(
        self,
        weights: Path | None = None,
        measures: list[FeatureMeasure] | None = None,
        protocol: InceptionProtocol | None = None,
        reference: Path | None = None,
    ) -> None:
        features = InceptionFeatures(weights, protocol)
        super().__init__(features, features.protocol.distance, _fitting(measures, reference))
        self.protocol = features.protocol
        self.reference = reference
        self._asked_measures = measures
        self._reference: tuple[Gaussian, str] | None = None

    def complete(self, weights: Path | None = None, reference: Path | None = None) -> None:
        """Take a file of weights, and one of statistics, where none is named; before :meth:`prepare`.

        Raises:
            OptionError: If a measure compares features, and only statistics are given.
        """
        features = cast(InceptionFeatures, self.features)
        features.weights = features.weights or weights
        if reference is not None and self.reference is None:
            self.measures = _fitting(self._asked_measures, reference) or []
            self.reference = reference

    @property
    @override
    def identity(self) -> str:
        return ", ".join([super().identity, *([self._reference[1]] if self._reference else [])])

    @override
    def prepare(self) -> None:
        if self.reference is not None and self._reference is None:
            statistics = read_statistics(self.reference, self.features.num_features)
            checksum = hashlib.sha256(Path(self.reference).read_bytes()).hexdigest()
            self._reference = statistics, f"against statistics {checksum}"
        super().prepare()

    @override
    def given_statistics(self) -> dict[str, Tensor] | None:
        return None if self._reference is None else self.statistics_of(self._reference[0])

    @override
    def update(self, images: Tensor, real: bool) -> None:
        """Take in ``(N, 1 or 3, H, W)`` uint8 images.

        Raises:
            ValueError: If images have another number of channels.
        """
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"images must have 1 or 3 channels for Inception, got {images.shape[1]}; take another metric"
            )
        super().update(self.protocol.pictures(images.expand(-1, 3, -1, -1), real), real)


def complete_inception(
    metrics: Iterable[ImageMetric], weights: Path | None = None, reference: Path | None = None
) -> None:
    """Give files that were named apart to all of the metrics that take them: see :meth:`InceptionMetrics.complete`.

    Raises:
        OptionError: If a file is given and no metric takes it, or statistics and a metric that compares otherwise.
    """
    metrics = list(metrics)
    taking = [metric for metric in metrics if isinstance(metric, InceptionMetrics)]
    if weights is not None and not taking:
        raise OptionError(
            f"weights must be left out where no metric is InceptionMetrics, got {weights}; name it among the metrics"
        )
    if reference is not None and len(taking) < len(metrics):
        raise OptionError(
            f"metrics must all be InceptionMetrics to compare with the statistics {reference}: take out others, or "
            "compare with real images"
        )
    for metric in taking:
        metric.complete(weights, reference)


def _fitting(
    measures: list[FeatureMeasure] | None, reference: Path | None
) -> list[FeatureMeasure] | None:
    """Return the measures to take, None for the default ones.

    Raises:
        OptionError: If one compares features, and only statistics are given.
    """
    if reference is None:
        return measures
    for measure in measures or ():
        if measure.compares:
            raise OptionError(
                f"measures must not hold {type(measure).__name__} beside the statistics {reference}, which hold no "
                "features of real images: take it out, or compare with real images"
            )
    return measures or []


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
