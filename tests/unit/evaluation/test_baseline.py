import numpy as np
import pytest

from steel_xai.batches import Examples
from steel_xai.evaluation.baseline import baseline_probabilities, reduced_pixels
from steel_xai.parameters import BaselineParameters


@pytest.fixture
def parameters():
    return BaselineParameters(size=(16, 10), inverse_regularisation=[1e-4, 1e-2], folds=3)


def test_bright_squares_at_one_place_are_found(fake_sheets, fake_split, parameters):
    probabilities = baseline_probabilities(fake_sheets, fake_split, parameters, 0, 2)
    assert probabilities.argmax(axis=1).tolist() == [0, 1] * 6
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_one_seed_gives_one_result(fake_sheets, fake_split, parameters):
    first, second = (baseline_probabilities(fake_sheets, fake_split, parameters, 4, 2) for _ in range(2))
    assert np.array_equal(first, second)


def test_bar_counts_the_fits_of_the_cross_validation(fake_sheets, fake_split, parameters, capsys):
    baseline_probabilities(fake_sheets, fake_split, parameters, 0, 2)
    assert "6/6" in capsys.readouterr().err  # two candidates in three folds


def test_test_labels_are_not_used(fake_sheets, fake_split, parameters):
    other = fake_split.assign(label=fake_split["label"].where(fake_split["split"] != "test", 0))
    assert np.array_equal(
        baseline_probabilities(fake_sheets, other, parameters, 0, 2),
        baseline_probabilities(fake_sheets, fake_split, parameters, 0, 2),
    )


def test_class_without_training_sheets_gets_no_probability(fake_sheets, fake_split, parameters):
    probabilities = baseline_probabilities(
        fake_sheets, fake_split.assign(label=fake_split["label"] * 2), parameters, 0, 3
    )
    assert probabilities.shape == (12, 3)
    assert (probabilities[:, 1] == 0).all()


def test_class_with_a_single_training_sheet_is_no_obstacle(fake_sheets, fake_split, parameters):
    split = fake_split.assign(label=0)
    split.loc[0, "label"] = 1
    assert baseline_probabilities(fake_sheets, split, parameters, 0, 2).shape == (12, 2)


def test_pixels_are_area_means_of_the_flipped_sheet():
    sheets = np.arange(2 * 3 * 4 * 6, dtype=np.uint8).reshape(2, 3, 4, 6)
    examples = Examples(np.array([1]), np.array([0]), np.array([True]), np.array([False]))
    expected = sheets[1][:, :, ::-1].reshape(3, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(reduced_pixels(sheets, examples, (2, 3)), expected.reshape(1, -1))
