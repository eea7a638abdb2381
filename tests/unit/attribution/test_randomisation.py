import copy

import pytest
import torch
from torch import nn

from steel_xai.attribution.randomisation import cascade, randomised
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


@pytest.fixture
def net() -> nn.Module:
    built = build_network("ad_hoc_cnn", 3, batch_norm=True, dropout=0.2, image_size=(64, 64))
    built(torch.randn(4, 3, 64, 64))  # fills the running statistics
    return built.eval()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in first if torch.equal(first[name], second[name])}


def test_all_weights_are_fresh_and_statistics_forgotten(net):
    fresh = randomised(net, 0).state_dict()
    weights = {name for name in fresh if name.endswith("weight") and fresh[name].ndim > 1}
    assert not same(net.state_dict(), fresh) & weights
    assert all(not fresh[name].any() for name in fresh if name.endswith("running_mean"))
    assert all((fresh[name] == 1).all() for name in fresh if name.endswith("running_var"))


def test_the_seed_alone_decides_and_the_network_and_global_state_stay_as_they_were(net):
    before, state = copy.deepcopy(net.state_dict()), torch.random.get_rng_state()
    one = randomised(net, 0).state_dict()
    torch.manual_seed(99)
    other = randomised(net.to(memory_format=torch.channels_last), 0).state_dict()
    torch.random.set_rng_state(state)
    randomised(net, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same(one, other) == set(one)
    assert same(before, net.state_dict()) == set(before)
    assert "features.0.convolution.weight" not in same(one, randomised(net, 1).state_dict())


def test_a_random_network_still_tells_images_apart(net):
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = randomised(net, 0)(images)
    assert logits.std(dim=0).min() > 1e-4


def test_the_cascade_goes_from_the_logits_down_and_ends_at_the_random_network(net):
    steps = [(name, partly.state_dict()) for name, partly in cascade(net, 0)]
    assert [name for name, _ in steps] == ["classifier", "features.9", "features.6", "features.3", "features.0"]
    fresh, trained = randomised(net, 0).state_dict(), net.state_dict()
    for count, (_, state) in enumerate(steps, start=1):
        random = tuple(f"{name}." for name, _ in steps[:count])
        for name in state:
            assert torch.equal(state[name], (fresh if name.startswith(random) else trained)[name])
    assert same(steps[-1][1], fresh) == set(fresh)


@pytest.mark.parametrize(
    ("architecture", "first", "n"), [("resnet18", "fc", 11), ("reduced_squeezenet", "classifier", 7)]
)
def test_parts_are_blocks_and_cover_all_weights(architecture, first, n):
    net = build_network(architecture, 3, batch_norm=False, dropout=0.2, image_size=(64, 64))
    steps = list(cascade(net, 0))
    assert steps[0][0] == first
    assert len(steps) == n
    fresh = randomised(net, 0).state_dict()
    assert same(steps[-1][1].state_dict(), fresh) == set(fresh)


def test_a_network_of_windows_is_randomised_within(net):
    sheet = SheetFromWindows(net, PatchParameters(count=2, size=(64, 64), black_level=12, max_black=0.5))
    steps = list(cascade(sheet, 0))
    assert steps[0][0] == "windows.classifier"
    fresh = randomised(sheet, 0).state_dict()
    assert same(steps[-1][1].state_dict(), fresh) == set(fresh)
