import json

import numpy as np
import pytest
import torch
from kedro.io import DatasetError
from kedro.io.core import Version
from safetensors import SafetensorError

from steel_xai.datasets.model import ModelDataset
from steel_xai.inference import predict
from steel_xai.parameters.segmentation import SegmentationNetworkParameters
from steel_xai.segmentation.segmenter import predict_labels
from steel_xai.segmentation.training import train_segmenter
from steel_xai.training import train_classifier


@pytest.fixture
def dataset(tmp_path):
    return ModelDataset(filepath=str(tmp_path / "model"), version=Version(None, None))


@pytest.fixture
def classifier(fake_sheets, fake_split, training_parameters, tmp_path):
    parameters = training_parameters.model_copy(update={"epochs": 1})
    options = {"outputs": ["no defect", "defect"], "seed": 0, "data_source": "fake", "folder": tmp_path / "work"}
    return train_classifier(fake_sheets, fake_split, parameters=parameters, **options)[0]


def test_loaded_model_predicts_what_the_saved_one_did(dataset, classifier, fake_sheets, fake_split):
    dataset.save(classifier)
    loaded = dataset.load()
    assert loaded.description == classifier.description
    before, after = (
        predict(model, fake_sheets, fake_split, batch_size=8, device="cpu") for model in (classifier, loaded)
    )
    np.testing.assert_array_equal(before, after)


def test_model_written_before_there_were_kinds_is_a_classifier(dataset, classifier, tmp_path):
    dataset.save(classifier)
    (path,) = tmp_path.glob("model/*/model/model.json")
    description = json.loads(path.read_text())
    assert description.pop("kind") == "classifier"
    path.write_text(json.dumps(description))
    assert dataset.load().description == classifier.description


@pytest.mark.parametrize("architecture", ["fcn32", "unet"])
def test_loaded_segmenter_predicts_what_the_saved_one_did(
    dataset, architecture, fake_sheets, fake_split, training_parameters, tmp_path
):
    masks = np.zeros((60, 64, 40), np.uint8)
    masks[1::2, 20:36, 10:26] = 1
    segmenter, _ = train_segmenter(
        fake_sheets,
        masks,
        fake_split,
        classes={1: "square"},
        network=SegmentationNetworkParameters(architecture=architecture, encoder="vgg11_small", loss="soft_dice"),
        parameters=training_parameters.model_copy(update={"epochs": 1}),
        dice_smoothing=1.0,
        seed=0,
        folder=tmp_path / "work",
        data_source="fake",
    )
    dataset.save(segmenter)
    loaded = dataset.load()
    assert loaded.description == segmenter.description
    before, after = (
        predict_labels(model, fake_sheets, np.arange(4), batch_size=4, device="cpu") for model in (segmenter, loaded)
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"kind": "segmenter"}', '{"kind": "segmenter", "encoder": "os.system"}']
)
def test_description_that_is_none_is_refused(dataset, classifier, tmp_path, content):
    dataset.save(classifier)
    (path,) = tmp_path.glob("model/*/model/model.json")
    path.write_text(content)
    with pytest.raises(DatasetError, match=str(path.parent)):
        dataset.load()


def test_truncated_weights_are_named(dataset, classifier, tmp_path):
    dataset.save(classifier)
    (path,) = tmp_path.glob("model/*/model/model.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DatasetError, match=str(path.parent)):
        dataset.load()


@pytest.mark.parametrize("tamper", [{"architecture": "os.system"}, {"outputs": ["one"]}, {"surprise": 1}])
def test_tampered_description_is_refused(dataset, classifier, tmp_path, tamper):
    dataset.save(classifier)
    (path,) = tmp_path.glob("model/*/model/model.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | tamper))
    with pytest.raises(DatasetError):
        dataset.load()


def test_full_disk_leaves_no_version(dataset, classifier, tmp_path, monkeypatch):
    def fail(tensors, path):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(classifier)
    assert not dataset.exists()
    assert not (tmp_path / "model").exists()


def test_weights_are_kept_in_every_bit_whatever_their_memory_layout(dataset, classifier):
    classifier.network.to(memory_format=torch.channels_last)
    dataset.save(classifier)
    for name, tensor in dataset.load().network.state_dict().items():
        assert torch.equal(tensor, classifier.network.state_dict()[name]), name
