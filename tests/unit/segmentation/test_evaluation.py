import json
import logging

import numpy as np
import pandas as pd
import pytest

from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.segmentation import evaluation
from steel_xai.segmentation.evaluation import choose_minimum_areas, count_held_out, measure_networks
from steel_xai.segmentation.examples import choose_examples, predict_examples
from steel_xai.segmentation.training import train_segmenter

from .conftest import CLASSES, Oracle

NAMES = list(CLASSES.values())
LOSSES = ("fcn32_cross_entropy", "fcn32_soft_dice")


@pytest.fixture
def segmenter(sheets, masks, split, parameters, tiny_network, tmp_path):
    """A network that labels every pixel by its brightness, in the place of one that was trained for an epoch."""
    trained, _ = train_segmenter(
        sheets,
        masks,
        split,
        classes=CLASSES,
        network=parameters.networks.fcn32_cross_entropy,
        parameters=parameters.training.model_copy(update={"epochs": 1}),
        dice_smoothing=1.0,
        seed=0,
        folder=tmp_path,
        data_source="fake",
    )
    object.__setattr__(trained, "network", Oracle())
    return trained


@pytest.fixture
def dotted(sheets):
    """The sheets with four bright pixels apart from the squares."""
    changed = sheets.copy()
    changed[:, :, 28:30, 2:4] = 250
    return changed


def test_oracle_scores_one_everywhere(segmenter, sheets, masks, split):
    counts, areas = count_held_out(segmenter, sheets, masks, split, minimum_areas=[4, 40], batch_size=4, device="cpu")
    assert areas == [0, 0]
    assert (counts["dice"] == 1).all()
    assert counts[["split", "filtered"]].value_counts().to_dict() == {
        (name, filtered): 6 * 3 for name in ("validation", "test") for filtered in (0, 1)
    }
    assert (counts["image_id"] == counts["row"].astype(str) + ".jpg").all()


def test_filter_is_chosen_on_validation_sheets_and_helps_on_test_sheets(segmenter, dotted, masks, split):
    counts, areas = count_held_out(
        segmenter, dotted, masks, split, minimum_areas=[4, 8, 100], batch_size=4, device="cpu"
    )
    assert areas == [8, 0]  # 4 keeps the dots of four pixels, 100 drops the squares; nothing dark is too much
    test = counts[(counts["split"] == "test") & (counts["class"] == 1)].groupby("filtered")["dice"].mean()
    assert test[0] < test[1] == 1


def test_smallest_of_equally_good_areas_is_chosen():
    truth = np.zeros((1, 4, 4), np.uint8)
    assert choose_minimum_areas(truth, truth, 2, [5, 3]) == [0, 0]
    dot = truth.copy()
    dot[0, 0, 0] = 2
    assert choose_minimum_areas(dot, truth, 2, [5, 3]) == [0, 3]


def test_metrics_of_networks_are_json_and_say_what_each_is(segmenter, dotted, masks, split, parameters):
    networks = {"fcn32_cross_entropy": segmenter, "fcn32_soft_dice": segmenter}
    about = segmenter.description
    with pytest.raises(InputError, match="other data"):
        measure(networks, dotted, masks, split, parameters)
    of_dotted = about.model_copy(update={"sheets_fingerprint": fingerprint(dotted)})
    object.__setattr__(segmenter, "description", of_dotted)
    counts, metrics = measure(networks, dotted, masks, split, parameters)
    json.dumps(metrics, allow_nan=False)
    assert counts["network"].value_counts().to_dict() == dict.fromkeys(networks, 2 * 2 * 6 * 3)
    assert [metrics[f"n_{name}"] for name in ("train", "validation", "test")] == [18, 6, 6]
    assert metrics["pixels_of_several_classes"] == 0
    one = metrics["networks"]["fcn32_soft_dice"]
    assert one["minimum_areas"] == {"bright": 40, "dark": 0}
    assert one["with_filter"]["dice"]["all_sheets"]["mean"]["mean"] == 1
    # dots on every sheet, bright squares on two in three, dark ones on one in three
    assert one["without_filter"]["components"]["mean"] == pytest.approx(1 + 2 / 3 + 1 / 3)
    assert one["ms_per_sheet"] > 0
    assert metrics["cross_entropy_against_soft_dice"]["dice_all_sheets"]["mean"] == 0


def measure(networks, sheets, masks, split, parameters):
    return measure_networks(
        networks, sheets, masks, split, class_names=NAMES, data_source="fake", parameters=parameters, seed=0
    )


def test_log_says_the_dice_of_every_network_and_class_and_what_the_loss_does(
    segmenter, sheets, masks, split, parameters, caplog
):
    caplog.set_level(logging.INFO, logger="steel_xai.segmentation.evaluation")
    _, metrics = measure(dict.fromkeys(LOSSES, segmenter), sheets, masks, split, parameters)
    dice = "over the sheets with the class: bright 1.000 [1.000, 1.000] (n = 4), dark 1.000 [1.000, 1.000] (n = 2)"
    assert [record.getMessage() for record in caplog.records] == [
        *(f"{name} (random weights), test sheets of 'fake', exact Dice without filter {dice}" for name in LOSSES),
        metrics["cross_entropy_against_soft_dice"]["sentence"],
    ]


def test_pixels_of_several_classes_are_counted():
    assert evaluation._count_several(np.array([[[0, 1, 2, 3, 255, 128, 12]]], np.uint8)) == 3


@pytest.fixture
def counts():
    """Of two networks: on test sheets 10..15 (the last without a defect) and on validation sheets 0 and 1."""
    rows = []
    for network, validation, test in (("a", 0.4, [0.9] * 6), ("b", 0.5, [0.1, 0.8, 0.3, 0.9, 0.5, 1.0])):
        scores = [("validation", 0, validation), ("validation", 1, validation)]
        scores += [("test", 10 + i, dice) for i, dice in enumerate(test)]
        for split, row, dice in scores:
            for number, true in ((0, 9), (1, 0 if row == 15 else 3)):
                about = {"split": split, "filtered": 0, "image_id": f"{row}.jpg", "network": network}
                rows.append({**about, "row": row, "class": number, "true": true, "dice": dice})
    return pd.DataFrame(rows)


def test_examples_are_best_median_and_worst_of_the_network_best_on_validation_sheets(counts):
    chosen = choose_examples(counts, 1)
    assert chosen.rows.tolist() == [13, 14, 10]
    assert chosen.captions == ["best: Dice 0.90 · 13.jpg", "median: Dice 0.50 · 14.jpg", "worst: Dice 0.10 · 10.jpg"]
    assert (chosen.network, chosen.n) == ("b", 5)


def test_no_sheet_is_shown_twice_where_there_are_few(counts):
    rows = choose_examples(counts, 4).rows.tolist()
    assert sorted(rows) == [10, 11, 12, 13, 14]


def test_examples_are_predicted_by_every_network(segmenter, sheets, masks, parameters):
    grey, truth, predicted = predict_examples({"a": segmenter}, np.array([29, 1]), sheets, masks, parameters)
    assert grey.shape == (2, 32, 48)
    assert np.unique(truth[0]).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(predicted["a"], truth)
