import copy
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.errors import InputError
from steel_xai.inspection.layer_shap import _view, choose_shap_sheets, default_layers, explain_layers, output_of
from steel_xai.models import build_network

SIZE = (64, 40)
OUTPUTS = ["no defect", "pit", "crack"]


class Scaled(nn.Module):
    """Linear, and with the layers' outputs in use twice."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4), nn.AvgPool2d(2))
        self.classifier = nn.Linear(2 * 8 * 5, 3)

    def forward(self, images):
        maps = self.features(images)
        return self.classifier(maps.flatten(1)) + maps.mean(dim=(1, 2, 3))[:, None]


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def classifier(network, outputs=OUTPUTS):
    return Classifier(network.eval(), ClassifierDescription.model_construct(outputs=outputs))


@pytest.fixture
def tiny(tiny_architecture):
    """With ReLUs in place, which spoil what goes into them."""
    network = seeded(lambda: build_network("tiny", 3, batch_norm=True, dropout=0.1, image_size=SIZE))
    network[0][1].inplace = True
    return network


@pytest.fixture
def chosen():
    return pd.DataFrame({"row": [40, 37], "image_id": ["40.jpg", "37.jpg"], "label": [1, 2], "predicted": [1, 1]})


def explain(model, sheets, split, chosen, **changes):
    settings = {"layers": None, "n_classes": 2, "n_background": 4, "n_samples": 6, "device": "cpu", "seed": 0}
    return explain_layers(model, sheets, split, chosen, **{**settings, **changes})


def images_of(sheets, rows):
    rows = np.asarray(rows)
    return load_batch(sheets, Examples(rows, rows, rows < 0, rows < 0), torch.device("cpu"))


def test_relevance_of_a_linear_network_is_weight_times_difference_from_the_background(fake_sheets, fake_split, chosen):
    """With one background sheet the expectation has one value, whatever is drawn."""
    network = seeded(Scaled)
    split = fake_split.assign(split=["train"] + ["test"] * 59)
    for layer, shape in (("features.0", (16, 10)), ("features.1", (8, 5))):
        maps, table = explain(
            classifier(network), fake_sheets, split, chosen.head(1), layers=[layer], n_background=1, n_classes=3
        )
        values, base = (output_of(network, layer, images_of(fake_sheets, [row]))[0].detach() for row in (40, 0))
        weights = network.classifier.weight.reshape(3, 2, 8, 5) + 1 / 80
        if layer == "features.0":
            weights = weights.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) / 4
        expected = (weights * (values - base)).sum(dim=1).detach()
        assert table[["height", "width"]].drop_duplicates().to_numpy().tolist() == [list(shape)]
        for of_class, row in zip(maps, table.to_dict("records"), strict=True):
            drawn = nn.functional.interpolate(expected[row["class"]][None, None], size=SIZE, mode="bilinear")[0, 0]
            np.testing.assert_allclose(of_class, drawn, atol=1e-5)
            assert row["relevance"] == pytest.approx(float(expected[row["class"]].sum()), abs=1e-4)
            assert row["relevance"] == pytest.approx(row["expected"], abs=1e-4)
            assert row["agreement"] == pytest.approx(1)


def test_relevance_adds_up_to_the_logit_less_its_mean_over_the_background(tiny, fake_sheets, fake_split, chosen):
    tiny[-1][-1].weight.data *= 50
    _, table = explain(
        classifier(tiny), fake_sheets, fake_split, chosen.head(1), layers=["features.2"], n_samples=400, n_classes=2
    )
    np.testing.assert_allclose(table["relevance"], table["expected"], rtol=0.15)


def test_the_most_probable_classes_come_first_with_names_and_probabilities(tiny, fake_sheets, fake_split, chosen):
    maps, table = explain(classifier(tiny), fake_sheets, fake_split, chosen, n_classes=2)
    assert maps.shape == (2 * 2 * 2, *SIZE)
    assert maps.dtype == np.float32
    assert table["row"].tolist() == [40] * 4 + [37] * 4
    assert table["layer"].tolist() == ["features.0", "features.0", "features.2", "features.2"] * 2
    with torch.no_grad():
        probabilities = torch.softmax(tiny(images_of(fake_sheets, [40, 37])), dim=1)
    for i, row in enumerate((40, 37)):
        for _, part in table[table["row"] == row].groupby("layer"):
            top = probabilities[i].topk(2)
            assert part["class"].tolist() == top.indices.tolist()
            assert part["output"].tolist() == [OUTPUTS[k] for k in top.indices]
            assert part["probability"].to_numpy() == pytest.approx(top.values.numpy(), abs=1e-6)


def test_all_classes_are_explained_where_there_are_fewer_than_asked_for(tiny, fake_sheets, fake_split, chosen):
    _, table = explain(classifier(tiny), fake_sheets, fake_split, chosen.head(1), n_classes=9)
    assert sorted(table.loc[table["layer"] == "features.0", "class"]) == [0, 1, 2]


def test_a_sheets_maps_follow_from_the_seed_alone(tiny, fake_sheets, fake_split, chosen):
    both, _ = explain(classifier(tiny), fake_sheets, fake_split, chosen)
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    alone, _ = explain(classifier(tiny), fake_sheets, fake_split, chosen.tail(1))
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002
    np.testing.assert_array_equal(both[4:], alone)
    other, _ = explain(classifier(tiny), fake_sheets, fake_split, chosen.tail(1), seed=1)
    assert not np.array_equal(other, alone)


def test_the_model_is_intact_afterwards_even_after_an_error(tiny, fake_sheets, fake_split, chosen):
    network = tiny.train()
    next(network.parameters()).requires_grad_(False)
    state = copy.deepcopy(network.state_dict())
    flags = [parameter.requires_grad for parameter in network.parameters()]
    attributes = [sorted(vars(module)) for module in network.modules()]
    model = Classifier(network, ClassifierDescription.model_construct(outputs=OUTPUTS))
    explain(model, fake_sheets, fake_split, chosen)
    with pytest.raises(InputError):
        explain(model, fake_sheets, fake_split, chosen, layers=["classifier.3"])
    assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [sorted(vars(module)) for module in network.modules()] == attributes
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert network[0][1].inplace


def test_the_part_behind_a_layer_makes_the_networks_logits(tiny, fake_sheets):
    images = images_of(fake_sheets, [1, 2, 3])
    network = tiny.eval().requires_grad_(False)
    network[0][1].inplace = False
    for layer in ("features.0", "features.3"):
        view = _view(network, layer, images[:1])
        torch.testing.assert_close(view.behind(output_of(network, layer, images)), network(images))


@pytest.mark.parametrize(
    ("layer", "message"), [("features.99", "no layer 'features.99'"), ("classifier.3", "has no feature maps")]
)
def test_layers_that_cannot_be_drawn_are_refused_with_those_that_can(
    layer, message, tiny, fake_sheets, fake_split, chosen
):
    with pytest.raises(InputError, match=rf"{message}.*features\.0"):
        explain(classifier(tiny), fake_sheets, fake_split, chosen, layers=[layer])


def test_default_layers_are_first_and_middle_of_the_features():
    parts = OrderedDict(features=nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(5)]), classifier=nn.Linear(2, 2))
    assert default_layers(nn.Sequential(parts)) == ["features.0", "features.2"]


def test_sheets_are_masked_test_sheets_of_each_class_in_turn():
    predictions = pd.DataFrame(
        {
            "row": range(12),
            "image_id": [f"{row}.jpg" for row in range(12)],
            "split": ["validation"] * 2 + ["test"] * 10,
            "label": [1, 2, 0, 1, 1, 1, 2, 2, 3, 1, 1, 1],
            "predicted": 0,
        }
    )
    chosen = choose_shap_sheets(predictions, [0, 1, 3, 4, 6, 8], 4, seed=0)
    assert chosen["label"].tolist() == [1, 2, 3, 1]
    assert set(chosen["row"]) == {3, 4, 6, 8}
    assert chosen.equals(choose_shap_sheets(predictions, [0, 1, 3, 4, 6, 8], 4, seed=0))
    with pytest.raises(InputError, match="no test sheet has a defect and a mask"):
        choose_shap_sheets(predictions, [0, 1], 4, seed=0)
