from typing import Any

import numpy as np
import pytest
import torch
from kedro.io import DatasetError
from kedro.io.core import Version

from steel_xai.datasets.model import ModelDataset
from steel_xai.datasets.optional_folder import OptionalSheetFolderDataset
from steel_xai.datasets.segmenters import SegmentersDataset
from steel_xai.segmentation.networks import build_segmentation_network
from steel_xai.segmentation.segmenter import Segmenter


@pytest.fixture
def unets(steps):
    torch.manual_seed(0)
    network: dict[str, Any] = {"architecture": "fcn32", "encoder": "vgg11_small"}
    return {
        number: Segmenter(
            build_segmentation_network(**network, n_outputs=2, batch_norm=False).eval(),
            unet.description.model_copy(update=network),
        )
        for number, unet in steps.unets.items()
    }


def test_networks_come_back_by_their_class(tmp_path, unets):
    SegmentersDataset(filepath=str(tmp_path / "unets"), version=Version(None, "1")).save(unets)
    dataset = SegmentersDataset(filepath=str(tmp_path / "unets"), version=Version("1", None))
    assert dataset.exists()
    images = torch.rand(1, 3, 32, 32)
    for number, unet in dataset.load().items():
        assert unet.description == unets[number].description
        with torch.inference_mode():
            assert torch.equal(unet.network(images), unets[number].network(images))
    assert sorted(path.name for path in (tmp_path / "unets/1/unets").iterdir()) == ["class_1", "class_2"]
    assert '"class_2"' in str(dataset.preview())


def test_one_network_can_be_exchanged_for_another_file(tmp_path, unets):
    dataset = SegmentersDataset(filepath=str(tmp_path / "unets"))
    dataset.save(unets)
    ModelDataset(filepath=str(tmp_path / "other")).save(unets[1])
    for file in (tmp_path / "unets/class_2").iterdir():
        file.write_bytes((tmp_path / "other" / file.name).read_bytes())
    assert dataset.load()[2].description.classes == [1]


def test_nothing_half_is_left_of_a_failed_save(tmp_path, unets):
    broken = {**unets, 2: "no segmenter"}
    with pytest.raises(DatasetError):
        SegmentersDataset(filepath=str(tmp_path / "results/unets")).save(broken)
    assert not (tmp_path / "results").exists()


def test_folder_without_networks_is_an_error_that_names_it(tmp_path):
    (tmp_path / "unets").mkdir()
    dataset = SegmentersDataset(filepath=str(tmp_path / "unets"))
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="holds no segmenters"):
        dataset.load()


def test_sheets_without_labels_may_be_absent(tmp_path):
    dataset = OptionalSheetFolderDataset(filepath=str(tmp_path / "test_images"))
    assert dataset.load() == {}
    (tmp_path / "test_images").mkdir()
    np.save(tmp_path / "test_images" / "b.npy", np.zeros(1))
    assert list(dataset.load()) == ["b.npy"]
