"""Where a segmentation network's weights start: the encoder's from ImageNet, or all of them random."""

import logging
import urllib.request

import torch

from steel_xai.errors import InputError
from steel_xai.segmentation.networks import build_segmentation_network
from steel_xai.weights import TIMEOUT_SECONDS, Pretrained, Start, imagenet_weights

ENCODERS = {"fcn32": {"cpu": "vgg11_small", "cuda": "vgg11"}, "unet": {"cpu": "vgg11_small", "cuda": "efficientnet-b2"}}
"""What ``encoder: auto`` stands for."""

State = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)


def start_segmentation_network(architecture: str, encoder: str, n_outputs: int, *, pretrained: Pretrained) -> Start:
    """Build a network whose encoder has ImageNet weights where ``pretrained`` wants them and they can be had.

    All other weights are random. VGG11 that starts from random weights gets batch normalisation, without which it
    learns nothing. ``pretrained="auto"`` falls back to random weights with one warning.

    Raises:
        InputError: The weights are required and cannot be had.
    """
    state = None if pretrained == "never" else _encoder_weights(architecture, encoder, pretrained == "require")
    batch_norm = encoder == "vgg11" and architecture == "fcn32" and state is None
    network = build_segmentation_network(architecture, encoder, n_outputs, batch_norm=batch_norm)
    if state is not None:
        part = "features" if architecture == "fcn32" else "encoder"
        network.get_submodule(f"network.{part}").load_state_dict(state)
    return Start(network, "random" if state is None else "imagenet", batch_norm)


def _encoder_weights(architecture: str, encoder: str, required: bool) -> State | None:
    if encoder == "vgg11_small":
        problem = "vgg11_small has no published weights"
    elif architecture == "fcn32":
        state = imagenet_weights(encoder, required=required)
        return None if state is None else _below(state, "features.")
    else:
        try:
            return _hub_weights(encoder)
        except (OSError, ValueError) as error:
            problem = f"ImageNet weights of {encoder} cannot be had: {error}"
    if required:
        raise InputError(
            f"training.pretrained: require, but {problem}. training.pretrained: auto starts from random weights then"
        )
    logger.warning("Training starts from random weights: %s (training.pretrained: never says so on purpose).", problem)
    return None


def _below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _hub_weights(encoder: str) -> State:
    """Read the weights of a U-Net's encoder from the cache of Hugging Face's hub, downloading them where absent.

    Raises:
        OSError: They cannot be had.
        ValueError: Nobody has published any, or they are damaged.
    """
    from huggingface_hub import hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from segmentation_models_pytorch.encoders import encoders

    settings = encoders[encoder]["pretrained_settings"].get("imagenet")
    if settings is None:
        raise ValueError("nobody has published any")
    place = {"repo_id": settings["repo_id"], "filename": "model.safetensors", "revision": settings["revision"]}
    try:
        path = hf_hub_download(**place, local_files_only=True)
    except LocalEntryNotFoundError:
        url = hf_hub_url(**place)
        try:
            # One short try: the hub's own client repeats a hopeless one for half a minute, with a warning each time.
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT_SECONDS).close()
            path = hf_hub_download(**place)
        except OSError as error:
            raise OSError(
                f"no download from {url} ({error}). To get them, run `hf download {settings['repo_id']} --revision "
                f"{settings['revision']}` where there is a network, and point HF_HOME at its cache"
            ) from error
    try:
        state: State = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"the file {path} is damaged ({error})") from error
    return state
