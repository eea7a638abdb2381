import pytest
import torch
from torch import nn

from steel_xai.errors import InputError
from steel_xai.inspection.modules import area_of, list_modules, recorded
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


@pytest.mark.parametrize("architecture", ["reduced_squeezenet", "resnet18"])
def test_listed_modules_lie_on_the_way_from_image_to_logits_in_their_order(architecture):
    network = build_network(architecture, 3, batch_norm=False, dropout=0.2, image_size=(64, 400)).eval()
    names = list_modules(network)
    seen = []
    handles = [
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: seen.append(name)) for name in names
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 400))
    for handle in handles:
        handle.remove()
    assert seen == names


def test_modules_that_pass_on_are_left_out_and_the_head_is_the_classifier():
    network = build_network("reduced_squeezenet", 3, batch_norm=False, dropout=0.2, image_size=(64, 400))
    names = list_modules(network)
    assert names[:3] == ["features.0", "features.1", "features.2"]
    assert [name for name in names if area_of(network, name) == "classifier"] == [
        "classifier.1",
        "classifier.2",
        "classifier.3",
        "classifier.5",
    ]


def test_outputs_are_recorded_reduced_and_hooks_go_even_after_an_error():
    network = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Linear(2, 2))
    with recorded(network, ["0.0"], lambda output: output.sum(dim=1)) as outputs:
        network(torch.tensor([[-1.0, 2.0]]))
    assert outputs["0.0"].tolist() == [2.0]
    with pytest.raises(RuntimeError), recorded(network, ["0.0"], torch.Tensor.clone):
        network(torch.zeros(1, 5))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_of_windows_is_refused():
    network = build_network("ad_hoc_cnn", 2, batch_norm=False, dropout=0.0, image_size=(64, 64))
    patches = PatchParameters(count=2, size=(64, 64), black_level=16, max_black=0.5)
    with pytest.raises(InputError, match=r"training\.patches"):
        list_modules(SheetFromWindows(network, patches))
