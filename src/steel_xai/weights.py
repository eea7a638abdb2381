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

from steel_xai.errors import InputError
from steel_xai.models import build_network

Origin = Literal["imagenet", "random"]
Pretrained = Literal["auto", "require", "never"]

PUBLISHED = {"reduced_squeezenet": "SqueezeNet1_1_Weights.IMAGENET1K_V1"}
"""Architecture -> the torchvision weights whose layers it shares."""

TIMEOUT_SECONDS = 10

logger = logging.getLogger(__name__)


class Start(NamedTuple):
    """A network before training, which weights it got, and whether it has batch normalisation."""

    network: nn.Module
    weights: Origin
    batch_norm: bool


def start_network(
    architecture: str, n_classes: int, *, pretrained: Pretrained, batch_norm: bool | Literal["auto"], dropout: float
) -> Start:
    """Build a network with ImageNet weights where ``pretrained`` wants them and they can be had, else random ones.

    The head's layers that depend on the number of classes are always random. ``batch_norm="auto"`` adds batch
    normalisation to a random start only. ``pretrained="auto"`` falls back to random weights with one warning.

    Raises:
        InputError: The weights are required and cannot be had, or batch normalisation is forced upon published ones.
    """
    if batch_norm is True and pretrained != "never":
        raise InputError(
            "training.batch_norm: true does not fit the published weights, which have none; "
            "set training.pretrained: never, or training.batch_norm: auto"
        )
    state = None if pretrained == "never" else imagenet_weights(architecture, required=pretrained == "require")
    has_batch_norm = state is None if batch_norm == "auto" else batch_norm
    network = build_network(architecture, n_classes, batch_norm=has_batch_norm, dropout=dropout)
    if state is not None:
        _load_shared_layers(network, state)
    return Start(network, "random" if state is None else "imagenet", has_batch_norm)


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
    url = torchvision.models.get_weight(PUBLISHED[architecture]).url
    hub = Path(torch.hub.get_dir())
    path = hub / "checkpoints" / url.rsplit("/", 1)[-1]
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
        raise InputError(f"training.pretrained: require, but {problem}; or set training.pretrained: auto")
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
            while chunk := response.read(1 << 20):
                file.write(chunk)
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
    own = network.state_dict()
    shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    unmatched = [name for name in own if name not in shared and not name.startswith("classifier.")]
    if unmatched:
        raise InputError(
            f"training.pretrained: the ImageNet weights lack layers of the network ({', '.join(unmatched)}); remove "
            "the file from TORCH_HOME so that torchvision's own is taken, or set training.pretrained: never"
        )
    network.load_state_dict(shared, strict=False)
