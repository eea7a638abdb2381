import hashlib
import logging
import re
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import densenet121, list_models, resnet18, squeezenet1_1
from torchvision.models.vgg import cfgs, make_layers

from steel_xai import weights
from steel_xai.errors import InputError
from steel_xai.models import build_network
from steel_xai.weights import published_url, start_network


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put weights where torchvision's server would have them: a file reached by a file:// address."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))

    def publish(state):
        plain = tmp_path / "weights.pth"
        torch.save(state, plain)
        digest = hashlib.sha256(plain.read_bytes()).hexdigest()
        source = plain.rename(tmp_path / f"weights-{digest[:8]}.pth")
        monkeypatch.setattr(weights, "published_url", lambda architecture: source.as_uri())
        cached = tmp_path / "home" / "hub" / "checkpoints" / source.name
        return SimpleNamespace(state=state, source=source, cached=cached)

    return publish


@pytest.fixture
def published(publish):
    torch.manual_seed(1)
    return publish({name: torch.rand_like(value) for name, value in squeezenet1_1(weights=None).state_dict().items()})


def start(pretrained, batch_norm="auto", architecture="reduced_squeezenet", **options):
    return start_network(
        architecture, 2, pretrained=pretrained, batch_norm=batch_norm, dropout=0.2, image_size=(64, 80), **options
    )


@pytest.mark.parametrize("pretrained", ["auto", "require"])
def test_published_weights_are_downloaded_cached_and_loaded(published, pretrained):
    network, origin, batch_norm = start(pretrained)
    assert (origin, batch_norm) == ("imagenet", False)
    for name, value in network.features.state_dict(prefix="features.").items():
        assert torch.equal(value, published.state[name]), name
    assert published.cached.read_bytes() == published.source.read_bytes()


def test_cached_weights_need_no_download(published):
    start("auto")
    published.source.unlink()
    assert start("require").weights == "imagenet"


def test_never_reads_no_weights_and_adds_batch_norm(published, caplog):
    assert start("never")[1:] == ("random", True)
    assert not published.cached.exists()
    assert not caplog.records


def test_auto_falls_back_to_random_weights_with_exactly_one_warning(published, caplog):
    published.source.unlink()
    assert start("auto")[1:] == ("random", True)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in (str(published.cached), published.source.as_uri(), "TORCH_HOME", "pretrained: never"):
        assert part in record.getMessage()


def test_require_without_weights_is_an_error_that_says_how_to_get_them(published):
    published.source.unlink()
    with pytest.raises(InputError, match=r"training\.pretrained: require.*TORCH_HOME"):
        start("require")


def test_incomplete_download_never_becomes_the_cached_file(published):
    published.source.write_bytes(published.source.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged or incomplete"):
        start("require")
    assert list(published.cached.parent.iterdir()) == []


def test_damaged_cached_file_is_named(published):
    start("auto")
    published.cached.write_bytes(b"damaged")
    published.source.unlink()
    with pytest.raises(InputError, match=f"the file {published.cached} is damaged"):
        start("require")


def test_damaged_cached_file_is_replaced_by_a_download(published):
    start("auto")
    published.cached.write_bytes(b"damaged")
    assert start("auto").weights == "imagenet"
    assert published.cached.read_bytes() == published.source.read_bytes()


def test_intact_cached_file_of_other_origin_is_used_with_a_warning(published, caplog):
    published.cached.parent.mkdir(parents=True)
    torch.save({name: value + 1 for name, value in published.state.items()}, published.cached)
    network, origin, _ = start("require")
    assert origin == "imagenet"
    assert torch.equal(network.features[0].weight, published.state["features.0.weight"] + 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "not torchvision's own" in caplog.text


def test_one_flipped_bit_counts_as_damage(published):
    start("auto")
    content = bytearray(published.cached.read_bytes())
    content[len(content) // 2] ^= 1
    published.cached.write_bytes(content)
    published.source.unlink()
    with pytest.raises(InputError, match="is damaged"):
        start("require")


def test_cached_weights_of_another_network_are_refused(published):
    published.cached.parent.mkdir(parents=True)
    torch.save({"features.0.weight": torch.zeros(1)}, published.cached)
    with pytest.raises(InputError, match=r"lack layers of the network \(features"):
        start("require")


def test_pickled_code_is_refused_even_with_the_right_hash(published, tmp_path, monkeypatch):
    class Malice:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    plain = tmp_path / "malice.pth"
    torch.save({"features.0.weight": Malice()}, plain)
    source = plain.rename(tmp_path / f"malice-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.pth")
    monkeypatch.setattr(weights, "published_url", lambda architecture: source.as_uri())
    with pytest.raises(InputError, match="does not hold weights"):
        start("require")
    assert not (tmp_path / "ran").exists()


def loaded(network, state):
    """Names of the network's tensors that are equal to the published ones."""
    own = network.state_dict()
    return {name for name, value in state.items() if name in own and torch.equal(own[name], value)}


@pytest.mark.parametrize(
    ("architecture", "head"),
    [("reduced_squeezenet", set()), ("squeezenet", {"classifier.1.weight", "classifier.1.bias"})],
)
def test_squeezenets_share_the_head_convolution_whole_or_not_at_all(published, architecture, head):
    network = start("require", architecture=architecture).network
    shared = loaded(network, published.state)
    assert {name for name in shared if name.startswith("classifier")} == head
    assert shared - head == {name for name in network.state_dict() if name.startswith("features")}


def test_vgg16_shares_its_features(publish):
    features = make_layers(cfgs["D"], batch_norm=True).state_dict(prefix="features.")
    published = publish(
        {**features, "classifier.6.weight": torch.ones(1000, 4096), "classifier.6.bias": torch.ones(1000)}
    )
    assert loaded(start("require", architecture="vgg16_bn").network, published.state) == set(features)


def test_densenet121_shares_its_features_under_the_names_of_the_published_file(publish):
    state = densenet121(weights=None).state_dict()
    legacy = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in legacy
    publish(legacy)
    network, origin, batch_norm = start("require", architecture="densenet121")
    assert (origin, batch_norm) == ("imagenet", False)
    assert loaded(network, state) == {name for name in state if name.startswith("features")}


def test_torchvision_network_shares_all_but_its_last_layer(publish):
    state = resnet18(weights=None).state_dict()
    publish(state)
    network = start("require", architecture="resnet18").network
    assert loaded(network, state) == {name for name in state if not name.startswith("fc.")}


def test_unmatched_layers_of_a_torchvision_network_are_named_and_counted(publish):
    state = resnet18(weights=None).state_dict()
    publish({name: value for name, value in state.items() if not name.startswith("layer4")})
    with pytest.raises(InputError, match=r"lack layers .*\(layer4\.0\.conv1\.weight, .* and 2[0-9] more\)"):
        start("require", architecture="resnet18")


def test_network_without_published_weights_cannot_require_them():
    with pytest.raises(InputError, match="require, but ad_hoc_cnn has no published weights"):
        start("require", architecture="ad_hoc_cnn")


def test_network_without_published_weights_starts_from_random_ones_with_one_warning(caplog):
    assert start("auto", architecture="ad_hoc_cnn")[1:] == ("random", True)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "ad_hoc_cnn has no published weights" in record.getMessage()


@pytest.mark.parametrize(("architecture", "added"), [("squeezenet1_1", True), ("resnet18", False), ("vgg16_bn", False)])
def test_random_start_adds_batch_norm_only_where_there_is_none(architecture, added):
    assert start("never", architecture=architecture)[1:] == ("random", added)


@pytest.mark.parametrize("forced", [True, False])
def test_batch_norm_can_be_forced_and_forbidden(forced):
    network, _, batch_norm = start("never", batch_norm=forced)
    assert batch_norm is forced
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()) is forced


def test_random_start_is_the_network_that_the_seed_and_its_description_build():
    torch.manual_seed(0)
    network, _, batch_norm = start("never")
    torch.manual_seed(0)
    built = build_network("reduced_squeezenet", 2, batch_norm=batch_norm, dropout=0.2, image_size=(64, 80))
    expected = built.state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_frozen_features_leave_the_head_to_be_trained(published, caplog):
    network = start("require", frozen_features=True).network
    assert {name.split(".")[0] for name, weight in network.named_parameters() if weight.requires_grad} == {"classifier"}
    assert not caplog.records


def test_freezing_random_features_warns_once(caplog):
    start("never", frozen_features=True)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "random weights" in record.getMessage()


@pytest.mark.parametrize(
    ("architecture", "file"),
    [
        ("densenet121", "densenet121-"),
        ("reduced_squeezenet", "squeezenet1_1-"),
        ("squeezenet", "squeezenet1_1-"),
        ("vgg16_bn", "vgg16_bn-"),
        ("resnet50", "resnet50-"),
        ("vgg16", "vgg16-"),
        ("vit_h_14", "vit_h_14_lc_swag-"),
    ],
)
def test_published_file_of_an_architecture(architecture, file):
    assert str(published_url(architecture)).rsplit("/", 1)[1].startswith(file)


def test_every_classifier_of_torchvision_has_a_published_file_with_a_hash():
    urls = [str(published_url(architecture)) for architecture in list_models(module=torchvision.models)]
    assert len(urls) > 70
    assert [url for url in urls if not re.search(r"-[0-9a-f]{8,}\.pth$", url)] == []
