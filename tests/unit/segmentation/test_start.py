import logging

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from steel_xai.errors import InputError
from steel_xai.segmentation import start
from steel_xai.segmentation.networks import build_segmentation_network
from steel_xai.segmentation.start import start_segmentation_network


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Let no test reach out; each that may look for weights says where they come from."""

    def refuse(*args, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", _absent)


def _absent(**place):
    raise LocalEntryNotFoundError("not in the cache")


def _part(network, name):
    return network.get_submodule(f"network.{name}").state_dict()


def test_never_asks_for_no_weights(caplog):
    begun = start_segmentation_network("unet", "resnet18", 2, pretrained="never")
    assert (begun.weights, begun.batch_norm) == ("random", False)
    assert not caplog.records


@pytest.mark.parametrize(("architecture", "encoder"), [("fcn32", "vgg11_small"), ("unet", "vgg11_small")])
def test_small_encoder_starts_at_random_with_one_warning(architecture, encoder, caplog):
    begun = start_segmentation_network(architecture, encoder, 2, pretrained="auto")
    assert begun.weights == "random"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "vgg11_small has no published weights" in record.getMessage()
    with pytest.raises(InputError, match="require, but vgg11_small"):
        start_segmentation_network(architecture, encoder, 2, pretrained="require")


def test_fcn_takes_the_features_of_torchvision_and_no_batch_norm(monkeypatch):
    published = _part(build_segmentation_network("fcn32", "vgg11", 2, batch_norm=False), "features")
    state = {f"features.{name}": value for name, value in published.items()} | {"classifier.0.bias": torch.ones(3)}

    def have(name, *, required):
        assert (name, required) == ("vgg11", True)
        return state

    monkeypatch.setattr(start, "imagenet_weights", have)
    begun = start_segmentation_network("fcn32", "vgg11", 2, pretrained="require")
    assert (begun.weights, begun.batch_norm) == ("imagenet", False)
    assert all(torch.equal(value, published[name]) for name, value in _part(begun.network, "features").items())


def test_fcn_without_weights_gets_batch_norm(monkeypatch):
    monkeypatch.setattr(start, "imagenet_weights", lambda name, *, required: None)
    begun = start_segmentation_network("fcn32", "vgg11", 2, pretrained="auto")
    assert (begun.weights, begun.batch_norm) == ("random", True)


def test_unet_takes_cached_weights_without_a_network(monkeypatch, tmp_path):
    published = _part(build_segmentation_network("unet", "resnet18", 2, batch_norm=False), "encoder")
    save_file({name: value + 1 for name, value in published.items()}, tmp_path / "model.safetensors")

    def cached(**place):
        assert place["repo_id"] == "smp-hub/resnet18.imagenet"
        assert place["local_files_only"]
        return str(tmp_path / "model.safetensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    begun = start_segmentation_network("unet", "resnet18", 2, pretrained="auto")
    assert begun.weights == "imagenet"
    assert all(torch.equal(value, published[name] + 1) for name, value in _part(begun.network, "encoder").items())


def test_unet_without_a_network_falls_back_with_one_warning_that_says_how_to_get_them(caplog):
    begun = start_segmentation_network("unet", "resnet18", 2, pretrained="auto")
    assert begun.weights == "random"
    (record,) = caplog.records
    assert "no network in tests" in record.getMessage()
    assert "hf download smp-hub/resnet18.imagenet" in record.getMessage()
    with pytest.raises(InputError, match="require, but ImageNet weights of resnet18 cannot be had"):
        start_segmentation_network("unet", "resnet18", 2, pretrained="require")


def test_damaged_weights_are_named(monkeypatch, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"damaged")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda **place: str(path))
    with pytest.raises(InputError, match="is damaged"):
        start_segmentation_network("unet", "resnet18", 2, pretrained="require")
