"""Where a network's weights start: torchvision's ImageNet weights, or random ones."""

import hashlib
import http.client
import logging
import os
import pickle
import re
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torchvision
from torch import nn
from tqdm import tqdm

from steel_xai.errors import InputError
from steel_xai.models import (
    ARCHITECTURES,
    add_batch_norm,
    build_network,
    freeze_features,
    has_normalisation,
    head_name,
)

Origin = Literal["imagenet", "random"]
Pretrained = Literal["auto", "require", "never"]

PUBLISHED = {
    "densenet121": "DenseNet121_Weights.IMAGENET1K_V1",
    "reduced_squeezenet": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
    "squeezenet": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
    "vgg16_bn": "VGG16_BN_Weights.IMAGENET1K_V1",
}
"""Own architecture -> the torchvision weights whose layers it shares; nobody has published any for the others."""

TIMEOUT_SECONDS = 10

_LEGACY_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in the published DenseNets, from before module names had no dots; torchvision renames them the same way."""

_NAMED_LAYERS = 3

logger = logging.getLogger(__name__)


class Start(NamedTuple):
    """A network before training, which weights it got, and whether batch normalisation was added to it."""

    network: nn.Module
    weights: Origin
    batch_norm: bool


def start_network(
    architecture: str,
    n_classes: int,
    *,
    pretrained: Pretrained,
    batch_norm: bool | Literal["auto"],
    dropout: float,
    image_size: tuple[int, int],
    frozen_features: bool = False,
) -> Start:
    """Build a network with ImageNet weights where ``pretrained`` wants them and they can be had, else random ones.

    The head's layers that differ from the published ones are always random. ``batch_norm="auto"`` adds batch
    normalisation only to a random start of a network that has no normalisation of its own. ``pretrained="auto"``
    falls back to random weights with one warning. ``frozen_features`` leaves only the head to be trained.

    Raises:
        InputError: The network cannot be built so (see ``build_network``), or the weights are required and cannot be
            had.
    """
    network = build_network(
        architecture, n_classes, batch_norm=batch_norm is True, dropout=dropout, image_size=image_size
    )
    state = None if pretrained == "never" else imagenet_weights(architecture, required=pretrained == "require")
    if batch_norm == "auto":
        batch_norm = state is None and not has_normalisation(network)
        if batch_norm:
            add_batch_norm(network)
    if state is not None:
        _load_shared_layers(network, state)
    if frozen_features:
        freeze_features(network)
        if state is None:
            logger.warning(
                "training.frozen_features freezes features with random weights: the head learns from what they happen "
                "to see."
            )
    return Start(network, "random" if state is None else "imagenet", batch_norm)


def published_url(architecture: str) -> str | None:
    """Look up the address of torchvision's ImageNet weights; None if nobody has published any.

    Classifiers of torchvision start from their first ones, ``IMAGENET1K_V1``. Two giants have none of that name: they
    start from those for the smallest images, where only the head was trained on ImageNet.
    """
    if architecture in ARCHITECTURES:
        name = PUBLISHED.get(architecture)
        return None if name is None else str(torchvision.models.get_weight(name).url)
    weights = torchvision.models.get_model_weights(architecture)
    classic = weights.__members__.get("IMAGENET1K_V1")
    return str((classic or min(weights, key=lambda entry: entry.transforms().crop_size)).url)


def imagenet_weights(architecture: str, *, required: bool) -> dict[str, torch.Tensor] | None:
    """Read torchvision's ImageNet weights from torch's cache (``TORCH_HOME``), downloading them where absent.

    A download becomes the cached file only when its SHA-256 begins with the digits in its name. A cached file with
    another SHA-256 is used, with a warning, if it is an intact archive that somebody put there; a damaged one is
    replaced by a download.

    Returns:
        The published network's state, or None (after one warning) if it cannot be had and is not required.

    Raises:
        InputError: They cannot be had and are required.
    """
    url = published_url(architecture)
    if url is None:
        problem = f"{architecture} has no published weights"
    else:
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
        tried = []
        for download in (False, True):
            try:
                if download:
                    _download(url, path)
                return _read(path)
            except (OSError, http.client.HTTPException, ValueError) as error:
                tried.append(str(error))
        problem = (
            f"ImageNet weights of {architecture} cannot be had: {'; '.join(tried)}. To get them, put {path.name} from "
            f"{url} into {path.parent}, or point TORCH_HOME at a folder that has it under hub/checkpoints"
        )
    if required:
        raise InputError(
            f"training.pretrained: require, but {problem}. training.pretrained: auto starts from random weights then"
        )
    logger.warning("Training starts from random weights: %s (training.pretrained: never says so on purpose).", problem)
    return None


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if not _hash_fits(path, path.name):
        if not _is_intact_archive(path):
            raise ValueError(f"the file {path} is damaged (its SHA-256 does not begin as its name says)")
        logger.warning(
            "The file %s is intact but not torchvision's own (its SHA-256 does not begin as its name says); it was put "
            "there by somebody, so its weights are used as the ImageNet weights.",
            path,
        )
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"the file {path} does not hold weights ({error})") from error
    return state


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, _open(url) as response:
            size = int(response.headers.get("Content-Length", 0)) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=path.name) as bar:
                while chunk := response.read(1 << 20):
                    bar.update(file.write(chunk))
        if not _hash_fits(part, path.name):
            raise ValueError(f"the download from {url} is damaged or incomplete")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _open(url: str) -> Any:
    try:
        return urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS)
    except OSError as error:
        raise OSError(f"no download from {url} ({error})") from error


def _hash_fits(path: Path, name: str) -> bool:
    expected = re.search(r"-([0-9a-f]{8,})\.", name)
    if expected is None:
        raise ValueError(f"{name} carries no hash to check it against")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(expected[1])


def _is_intact_archive(path: Path) -> bool:
    """Tell whether the file is a zip archive, as torch writes them, whose parts all match their check sums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def _load_shared_layers(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load the published state, but for head layers of another shape; of a layer all tensors are loaded or none."""
    own = network.state_dict()
    head = f"{head_name(network)}."
    # Changed in place, because torch's own state carries the versions of its layers as an attribute.
    for name in list(state):
        state[_LEGACY_DENSE_LAYER.sub(r"\1\2", name)] = state.pop(name)

    def fits(name: str) -> bool:
        return name in own and name in state and own[name].shape == state[name].shape

    replaced = {_layer(name) for name in (*own, *state) if name.startswith(head) and not fits(name)}
    for name in list(state):
        if _layer(name) in replaced or (name in own and not fits(name)):
            del state[name]
    missing, _ = network.load_state_dict(state, strict=False)
    unmatched = [name for name in missing if not name.startswith(head)]
    if unmatched:
        more = f" and {len(unmatched) - _NAMED_LAYERS} more" if len(unmatched) > _NAMED_LAYERS else ""
        raise InputError(
            "training.pretrained: the ImageNet weights lack layers of the network "
            f"({', '.join(unmatched[:_NAMED_LAYERS])}{more}); remove the file from TORCH_HOME so that torchvision's "
            "own is taken, or set training.pretrained: never"
        )


def _layer(name: str) -> str:
    return name.rpartition(".")[0]
