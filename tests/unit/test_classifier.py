import pytest

from steel_xai.classifier import check_lineage
from steel_xai.errors import InputError
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
    check_lineage(description, fake_sheets.copy(), fake_split.copy())


def test_model_refuses_sheets_with_one_other_pixel(description, fake_sheets, fake_split):
    fake_sheets[-1, 0, 0, 0] ^= 1
    with pytest.raises(InputError, match="its sheets differ"):
        check_lineage(description, fake_sheets, fake_split)


def test_model_refuses_another_split(description, fake_sheets, fake_split):
    with pytest.raises(InputError, match="its split differ"):
        check_lineage(description, fake_sheets, fake_split.assign(label=0))
