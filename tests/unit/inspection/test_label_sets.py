import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.errors import InputError
from steel_xai.inspection.label_sets import choose_sheets_of_sets, early_layers
from steel_xai.inspection.layer_shap import explain_layers
from steel_xai.models import build_network
from steel_xai.plots.layer_shap import layer_shap

OUTPUTS = ["pit", "crack", "flake"]


@pytest.fixture
def predictions():
    """Sets {}, {1}, {1}, {1, 2}, {3}, {2} of test sheets; the last sheet is for validation."""
    sets = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0]])
    columns = {
        f"{name}_{k + 1}": sets[:, k] * is_label
        for name, is_label in (("label", 1), ("predicted", 0))
        for k in range(3)
    }
    ids = [f"{row}.jpg" for row in range(7)]
    return pd.DataFrame({"row": range(7), "image_id": ids, "split": ["test"] * 6 + ["validation"], **columns})


def test_one_sheet_of_each_set_comes_first_sets_of_one_class_before_others(predictions):
    chosen = choose_sheets_of_sets(predictions, range(7), 5, seed=0)
    assert chosen["label"].tolist() == [1, 2, 4, 3, 1]
    assert chosen["predicted"].tolist() == [0] * 5
    assert set(chosen["row"]) == {1, 2, 3, 4, 5}
    assert chosen.equals(choose_sheets_of_sets(predictions, range(7), 5, seed=0))


def test_sheets_without_a_mask_are_not_chosen(predictions):
    assert choose_sheets_of_sets(predictions, [0, 4, 6], 5, seed=0)["row"].tolist() == [4]
    with pytest.raises(InputError, match="no test sheet has a defect and a mask"):
        choose_sheets_of_sets(predictions, [0, 6], 5, seed=0)


def test_resnets_are_looked_into_at_layer1_and_layer2():
    network = build_network("resnet18", 3, batch_norm=False, dropout=0, image_size=(64, 40))
    assert early_layers(network) == ["layer1", "layer2"]
    assert early_layers(nn.Sequential(nn.Conv2d(3, 3, 1))) is None


def test_resnet_with_reused_relus_is_explained_by_sigmoids_and_left_intact(fake_sheets, fake_split):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network("resnet18", 3, batch_norm=False, dropout=0, image_size=(64, 40)).eval()
    about = ClassifierDescription.model_construct(outputs=OUTPUTS, activation="sigmoid")
    chosen = pd.DataFrame({"row": [40, 41], "image_id": ["40.jpg", "41.jpg"], "label": [3, 0], "predicted": [4, 0]})
    state = {name: value.clone() for name, value in network.state_dict().items()}
    maps, table = explain_layers(
        Classifier(network, about),
        fake_sheets,
        fake_split,
        chosen,
        layers=early_layers(network),
        n_classes=4,
        n_background=2,
        n_samples=2,
        device="cpu",
        seed=0,
    )
    assert maps.shape == (2 * 2 * 3, 64, 40)
    assert np.isfinite(maps).all()
    assert table["layer"].tolist() == ["layer1"] * 3 + ["layer2"] * 3 + ["layer1"] * 3 + ["layer2"] * 3
    first = table[(table["row"] == 40) & (table["layer"] == "layer1")]
    assert first["probability"].is_monotonic_decreasing
    assert first["probability"].sum() != pytest.approx(1, abs=1e-3)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    assert not any(module._forward_hooks for module in network.modules())
    truth = np.zeros((2, 64, 40), dtype=bool)
    figure = layer_shap(maps, table, fake_sheets[[40, 41], 0], truth, OUTPUTS, data_source="mill", several_classes=True)
    written = {text.get_text() for text in figure.texts}
    assert {"40.jpg · pit + crack, taken for flake", "41.jpg · no defect"} <= written
    bold = {text.get_text().split(" ")[0] for text in figure.axes[0].texts if text.get_fontweight() == "bold"}
    assert bold == {"pit", "crack"}
