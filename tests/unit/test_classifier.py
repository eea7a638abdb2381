import pytest
import torch

from steel_xai.classifier import ClassifierDescription, check_lineage, restore_classifier
from steel_xai.errors import InputError
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows
from steel_xai.training import train_classifier


@pytest.fixture
def description(fake_sheets, fake_split, training_parameters, tmp_path):
    classifier, _ = train_classifier(
        fake_sheets,
        fake_split,
        outputs=["no defect", "defect"],
        parameters=training_parameters.model_copy(update={"epochs": 1}),
        seed=0,
        folder=tmp_path,
        data_source="fake",
    )
    return classifier.description


def test_model_takes_the_data_that_trained_it_whatever_its_version(description, fake_sheets, fake_split):
    check_lineage(description, fake_sheets.copy(), fake_split.copy(), "fake")


def test_model_refuses_sheets_with_one_other_pixel(description, fake_sheets, fake_split):
    fake_sheets[-1, 0, 0, 0] ^= 1
    with pytest.raises(InputError, match="its sheets differ"):
        check_lineage(description, fake_sheets, fake_split, "fake")


def test_model_refuses_another_split(description, fake_sheets, fake_split):
    with pytest.raises(InputError, match="its split differ"):
        check_lineage(description, fake_sheets, fake_split.assign(label=0), "fake")


def test_model_of_another_source_takes_any_sheets_of_its_classes(description, fake_sheets, fake_split):
    check_lineage(description, fake_sheets[:50], fake_split, "other")
    with pytest.raises(InputError, match=r"2 outputs \(no defect, defect\), but the split of 'other' has 3 classes"):
        check_lineage(description, fake_sheets, fake_split.assign(label=2), "other")
    assert description.name_data("other") == "other, model trained on fake"
    assert description.name_data("fake") == "fake"


def test_restored_network_fits_the_size_of_the_sheets(description):
    # The head of this network depends on the size of the images.
    about = description.model_copy(update={"architecture": "ad_hoc_cnn", "tensor_size": (64, 400)})
    network = build_network("ad_hoc_cnn", 2, batch_norm=about.batch_norm, dropout=0, image_size=(64, 400)).eval()
    images = torch.randn(2, 3, 64, 400)
    restored = restore_classifier(about, network.state_dict())
    assert torch.equal(restored.network(images), network(images))


def test_classifier_of_windows_is_restored_to_read_whole_sheets(description):
    patches = PatchParameters(count=3, size=(48, 56), black_level=10, max_black=1)
    about = description.model_copy(update={"architecture": "ad_hoc_cnn", "patches": patches})
    windows = build_network("ad_hoc_cnn", 2, batch_norm=about.batch_norm, dropout=0, image_size=(48, 56))
    network = SheetFromWindows(windows, patches).eval()
    images = torch.randn(2, 3, 48, 120)
    about = ClassifierDescription.model_validate_json(about.model_dump_json())
    restored = restore_classifier(about, network.state_dict())
    assert torch.equal(restored.network(images), network(images))
    assert not any(module.training for module in restored.network.modules())


def test_description_from_before_windows_is_still_read(description):
    stored = description.model_dump(mode="json", exclude={"patches"})
    assert ClassifierDescription.model_validate(stored).patches is None
