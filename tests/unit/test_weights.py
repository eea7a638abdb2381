import hashlib
import logging
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torchvision.models import squeezenet1_1

from steel_xai.errors import InputError
from steel_xai.weights import start_network


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Stand-in for torchvision's server: a file with known weights, reached by a file:// address."""
    torch.manual_seed(1)
    plain = tmp_path / "weights.pth"
    state = squeezenet1_1(weights=None).state_dict()
    torch.save(state, plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    source = plain.rename(tmp_path / f"squeezenet-{digest[:8]}.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: SimpleNamespace(url=source.as_uri()))
    cached = tmp_path / "home" / "hub" / "checkpoints" / source.name
    return SimpleNamespace(state=state, source=source, cached=cached)


def start(pretrained, batch_norm="auto"):
    return start_network("reduced_squeezenet", 2, pretrained=pretrained, batch_norm=batch_norm, dropout=0.2)


@pytest.mark.parametrize("pretrained", ["auto", "require"])
def test_published_weights_are_downloaded_cached_and_loaded(published, pretrained):
    network, weights, batch_norm = start(pretrained)
    assert (weights, batch_norm) == ("imagenet", False)
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
    network, weights, _ = start("require")
    assert weights == "imagenet"
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
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: SimpleNamespace(url=source.as_uri()))
    with pytest.raises(InputError, match="does not hold weights"):
        start("require")
    assert not (tmp_path / "ran").exists()


def test_forced_batch_norm_does_not_go_with_published_weights():
    with pytest.raises(InputError, match=r"training\.batch_norm"):
        start("auto", batch_norm=True)
