import numpy as np
import pytest
import torch

from steel_xai.classifier import restore_classifier
from steel_xai.inference import milliseconds_per_batch, predict
from steel_xai.training import train_classifier


@pytest.fixture
def classifier(fake_sheets, fake_split, training_parameters, tmp_path):
    parameters = training_parameters.model_copy(update={"epochs": 1})
    return train_classifier(
        fake_sheets,
        fake_split,
        outputs=["no defect", "defect"],
        parameters=parameters,
        seed=0,
        folder=tmp_path,
        data_source="fake",
    )[0]


def test_predictions_hold_validation_and_test_sheets_in_order(classifier, fake_sheets, fake_split):
    table = predict(classifier, fake_sheets, fake_split, batch_size=5, device="cpu")
    assert list(table.columns) == ["row", "image_id", "split", "label", "predicted", "p_0", "p_1"]
    assert table["row"].tolist() == list(range(36, 60))
    assert table["split"].tolist() == ["validation"] * 12 + ["test"] * 12
    np.testing.assert_allclose(table["p_0"] + table["p_1"], 1, atol=1e-6)
    assert (table["predicted"] == (table["p_1"] > table["p_0"])).all()


def test_predictions_do_not_depend_on_the_batch_size(classifier, fake_sheets, fake_split):
    small, large = (predict(classifier, fake_sheets, fake_split, batch_size=n, device="cpu") for n in (1, 64))
    np.testing.assert_allclose(small["p_1"], large["p_1"], atol=1e-6)


def test_probabilities_are_the_softmax_of_the_network_on_each_sheet(classifier, fake_sheets, fake_split):
    table = predict(classifier, fake_sheets, fake_split, batch_size=5, device="cpu")
    pixels = torch.from_numpy(fake_sheets[40]).float() / 255
    about = classifier.description
    image = (pixels - torch.tensor(about.mean).view(3, 1, 1)) / torch.tensor(about.std).view(3, 1, 1)
    with torch.no_grad():
        expected = torch.softmax(classifier.network(image[None]), dim=1)[0]
    row = table[table["row"] == 40].iloc[0]
    assert [row["p_0"], row["p_1"]] == pytest.approx(expected.tolist(), abs=1e-5)


def test_restored_classifier_predicts_the_same(classifier, fake_sheets, fake_split):
    restored = restore_classifier(classifier.description, classifier.network.state_dict())
    first, second = (
        predict(model, fake_sheets, fake_split, batch_size=8, device="cpu") for model in (classifier, restored)
    )
    assert first.equals(second)


@pytest.mark.parametrize("n_sheets", [2, 60])
def test_time_of_a_batch_of_five_is_positive(classifier, fake_sheets, n_sheets):
    sizes = []
    classifier.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    assert milliseconds_per_batch(classifier, fake_sheets[:n_sheets], repeats=4, device="cpu") > 0
    assert set(sizes) == {5}
    assert len(sizes) >= 4
