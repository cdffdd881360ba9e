"""A Fréchet distance, and further metrics, by the features of a network that a file holds."""

import hashlib
import io
import warnings
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.passes import move_to_device_pass
from typing_extensions import override

from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.features import FeatureMetrics
from wavelight.metrics.kept_features import FeatureMeasure
from wavelight.support.files import draft_of

_TAKEN = ("fid", "fid_published", "fwd", "kid", "precision", "recall", "density", "coverage")
"""Names in logs that belong to other numbers."""


class NetworkFile(FeatureExtractor):
    """A network that :func:`write_feature_network`, or ``torch.export.save``, wrote.

    It takes uint8 images ``(N, C, H, W)``, any number of them, and returns floats ``(N, D)``.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._program: ExportedProgram | None = None
        self._expected: tuple[int | torch.SymInt, ...] = ()
        # In a tuple, because as a part of this module it would be asked for eval(), which it refuses.
        self._moved: tuple[torch.device, nn.Module] | None = None
        self._checksum = ""

    @property
    @override
    def identity(self) -> str:
        return f"{self.path.name}, sha256 {self._checksum}"

    @override
    def prepare(self) -> None:
        """Read the file; ``num_features`` is known from then on.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it holds no network from images to feature vectors.
        """
        if self._program is not None:
            return
        program = _read(self.path)
        self._expected, self.num_features = _shapes(program, self.path)
        self._checksum = hashlib.sha256(self.path.read_bytes()).hexdigest()
        self._program = program

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, num_features)`` floats, of uint8 images.

        Raises:
            ValueError: If the network takes images of another shape.
        """
        try:
            self._check(images)
            return self._network(images.device)(images)
        except AssertionError as error:  # what the network itself asks of sizes that may vary
            raise ValueError(
                f"{self.path} does not take images of shape {tuple(images.shape)}: {error}"
            ) from error

    def _check(self, images: Tensor) -> None:
        pairs = zip(self._expected[1:], images.shape[1:], strict=True)
        if any(isinstance(wanted, int) and wanted != found for wanted, found in pairs):
            raise ValueError(
                f"{self.path} takes images of {_by(self._expected[1:])} (channels, height, width), "
                f"got {_by(images.shape[1:])}"
            )

    def _network(self, device: torch.device) -> nn.Module:
        if self._program is None:
            raise RuntimeError(
                "call NetworkFile.prepare() before the first images: it reads the file"
            )
        if self._moved is None or self._moved[0] != device:
            # Moving the module would leave behind the devices that are written into its graph.
            self._moved = device, move_to_device_pass(self._program, device).module()
        return self._moved[1]


class FeatureNetworkMetrics(FeatureMetrics):
    """A Fréchet distance, and further metrics, by the features of a network from a file.

    For images that Inception was not made for (small ones, or no photographs), or where its weights are
    not at hand. ``wavelight train_features`` makes such a file from labelled images, and
    :func:`write_feature_network` from any network.

    The numbers compare systems on the same data, by the same file and the same numbers of images,
    and nothing else: they are no FID, and no published precision or recall. The training
    data of a network decide which differences it sees. Inception favours what distinguishes the classes of ImageNet,
    and ranks systems on other data differently from features learnt without its labels (Morozov et
    al., 2021, "On self-supervised image representations for GAN evaluation"). Features of a
    classifier of the data itself see the differences between its classes, and may overlook the rest.
    Precision and recall: Kynkäänniemi et al., 2019.

    A file is a program: open only those that you trust, for PyTorch may run code that is in them.
    PyTorch does not promise that its later versions read it.

    Args:
        network: A file (.pt2) of a network that takes uint8 images (N, C, H, W), any number of
            them, and returns floats (N, D).
        distance: Name of the Fréchet distance in logs; not fid, which is Inception's.
        measures: Measures of all features at once, for which those of all images are kept, such as ``Neighbours``
            and ``KernelDistance``; by default Neighbours (precision, recall, density and coverage). Among several
            networks in one run only one can have each, as they go by the same names.
    """

    def __init__(
        self,
        network: Path,
        distance: str = "frechet",
        measures: list[FeatureMeasure] | None = None,
    ) -> None:
        if distance in _TAKEN:
            raise ValueError(
                f"distance must not be the name of another metric, got {distance!r} for {network}; choose "
                "another name"
            )
        super().__init__(NetworkFile(network), distance, measures)


def write_feature_network(
    network: nn.Module, path: Path, image_size: int, channels: int = 3
) -> None:
    """Write a network as a file for :class:`FeatureNetworkMetrics`.

    The file is a program of ``torch.export``, with the weights in it: reading it needs none of the
    network's code. It is written under a temporary name first, so that no half-written file is left.

    Args:
        network: Takes uint8 images ``(N, channels, image_size, image_size)`` and returns floats
            ``(N, D)``; in evaluation mode, on the CPU.
        path: The file, ending in .pt2.
        image_size: Height and width of the images, in pixels.
        channels: Channels of the images.

    Raises:
        ValueError: If the name ends otherwise, or if the network is no such network.
    """
    path = Path(path)
    check_network_name(path)
    # One image would fix their number at 1.
    images = torch.zeros(2, channels, image_size, image_size, dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(network, (images,), dynamic_shapes=({0: Dim("images")},))
    _shapes(program, path)
    # In a file, names within the archive would follow that of the file.
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The warning is of weights in channels_last, which on a CPU are written as they are.
        warnings.filterwarnings("ignore", "No complete tensor")
        torch.export.save(program, buffer)
    with draft_of(path) as draft:
        draft.write_bytes(buffer.getvalue())


def check_network_name(path: Path) -> None:
    """Refuse a name for a network that does not end in .pt2, before any work is done for it."""
    if Path(path).suffix != ".pt2":
        raise ValueError(f"the output file must end in .pt2, got {path}")


def _read(path: Path) -> ExportedProgram:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no feature network {path}: train one on labelled images with `wavelight "
            "train_features`, or export your own with wavelight.metrics.write_feature_network"
        )
    problem = ValueError(
        f"{path} must be a network that torch.export.save wrote, got another or a damaged file"
    )
    # PyTorch's own message on other files fills a screen.
    if not is_zipfile(path):
        raise problem
    with ZipFile(path) as archive:
        if not any(name.endswith("/archive_format") for name in archive.namelist()):
            raise problem
    try:
        return torch.export.load(path)
    except Exception as error:  # torch.export.load raises many kinds
        raise problem from error


def _shapes(program: ExportedProgram, path: Path) -> tuple[tuple[int | torch.SymInt, ...], int]:
    """Return the shape of the images that a network takes, and the number of its features.

    Raises:
        ValueError: If it is not made as :class:`FeatureNetworkMetrics` asks.
    """
    if program.graph_signature.buffers_to_mutate or _drops(program):
        raise ValueError(
            f"the network of {path} is in training mode: call eval() on it before exporting"
        )
    inputs = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    outputs = [getattr(node, "meta", {}).get("val") for node in program.graph.output_node().args[0]]
    images = _only_tensor(inputs, 4)
    if images is None or images.dtype != torch.uint8:
        raise ValueError(f"the network of {path} must take one input, uint8 images (N, C, H, W)")
    if isinstance(images.shape[0], int):
        raise ValueError(
            f"the network of {path} takes batches of {images.shape[0]} images only: export it "
            "with a dynamic first dimension"
        )
    features = _only_tensor(outputs, 2)
    if features is None or not features.is_floating_point() or features.shape[0] != images.shape[0]:
        raise ValueError(f"the network of {path} must return one output, floats (N, D)")
    return tuple(images.shape), int(features.shape[1])


def _drops(program: ExportedProgram) -> bool:
    return any(
        node.target == torch.ops.aten.dropout.default and node.args[2]
        for node in program.graph.nodes
    )


def _only_tensor(values: list[object], dimensions: int) -> Tensor | None:
    """Return the one tensor of a list; none if there is something else."""
    if len(values) == 1 and isinstance(values[0], Tensor) and values[0].ndim == dimensions:
        return values[0]
    return None


def _by(shape: tuple[int | torch.SymInt, ...]) -> str:
    return "x".join(str(side) if isinstance(side, int) else "any" for side in shape)
