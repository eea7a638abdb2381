import numpy as np
import pandas as pd
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai.cascade.examples import choose_examples, masks_of_setups, true_masks
from steel_xai.cascade.held_out import arrays_of
from steel_xai.cascade.thresholds import WHOLE, choose_thresholds

CHOSEN = {
    name: {"gate": 0.5, "labels": {"bright": 0.5, "dark": 0.5}, "minimum_areas": {"bright": 0, "dark": 0}}
    for name in ("unets", "gate_unets", "labels_unets", WHOLE)
}


def test_sheets_are_captioned_by_what_the_steps_do_to_them(held_out):
    predictions, counts = held_out
    test = predictions["split"] == "test"
    predictions.loc[test & (predictions["row"] == 10), "p_defect"] = 0.1
    predictions.loc[test & (predictions["row"] == 11), "p_1"] = 0.1
    counts.loc[counts["row"] == 8, "found"] = 7
    predictions.loc[predictions["row"] == 8, "p_defect"] = 0.2
    chosen = choose_examples(predictions, counts, CHOSEN, CLASS_NAMES, 1)
    kinds = dict(zip(chosen.rows.tolist(), [caption.split(" · ")[0] for caption in chosen.captions], strict=True))
    assert kinds == {
        9: "best",
        11: "median, true masks dropped by the labels",
        8: "false masks spared by the gate",
        10: "true masks stopped by the gate",
    }
    assert " · Dice 0.50 · 11.png · " in chosen.captions[list(chosen.rows).index(11)]
    assert "Dice" not in chosen.captions[list(chosen.rows).index(8)]
    assert "over all n = 3 test sheets with a defect" in chosen.rule
    assert "P(defect) 0.10, stops" in chosen.captions[list(chosen.rows).index(10)]
    assert "bright 1.00*, dark 0.00" in chosen.captions[0]


def toy(dice, true):
    """Make predictions and counts of sheets of one class, whose own network reaches the Dice on as many true pixels."""
    rows = np.arange(len(dice))
    predictions = pd.DataFrame({"row": rows, "image_id": [f"{row}.png" for row in rows], "split": "test"})
    counts = pd.DataFrame({"row": rows, "class": 1, "minimum_area": 0, "true": true, "found": true})
    return predictions.assign(p_defect=1.0, p_1=1.0), counts.assign(both=np.multiply(dice, true))


ONE_CLASS = {name: {"gate": 0.5, "labels": {"bright": 0.5}, "minimum_areas": {"bright": 0}} for name in CHOSEN}


def kinds_of(dice, true):
    predictions, counts = toy(dice, true)
    chosen = choose_examples(predictions, counts, ONE_CLASS, ["bright"], 1)
    return {int(row): caption.split(" · ")[:2] for row, caption in zip(chosen.rows, chosen.captions, strict=True)}


def test_median_counts_the_sheets_of_which_nothing_is_found():
    assert kinds_of([0.9, 0.8, 0, 0, 0], [10, 10, 10, 30, 20]) == {0: ["best", "Dice 0.90"], 3: ["median", "Dice 0.00"]}


def test_sheets_without_a_defect_have_no_part_in_the_median():
    assert kinds_of([0.9, 0.8, 0.7, 0, 0, 0], [10, 10, 10, 0, 0, 0]) == {
        0: ["best", "Dice 0.90"],
        1: ["median", "Dice 0.80"],
    }


def test_median_of_an_even_number_is_a_sheet_s_own():
    assert kinds_of([0.9, 0.8, 0.2, 0.1], [10] * 4)[2] == ["median", "Dice 0.20"]


def test_sheet_of_several_kinds_is_shown_once_and_none_takes_its_place():
    assert kinds_of([0.9], [10]) == {0: ["best, median", "Dice 0.90"]}
    assert kinds_of([0, 0], [10, 20]) == {1: ["median", "Dice 0.00"]}
    assert kinds_of([0, 0], [0, 0]) == {}


def test_masks_of_setups_follow_their_own_steps(held_out, steps, sheets, masks):
    predictions, counts = held_out
    chosen = choose_thresholds(arrays_of(predictions, counts, "validation"), [0.5], CLASS_NAMES)
    predictions.loc[predictions["row"] == 11, ["p_defect", "p_1", "p_2"]] = [0.9, 0.1, 0.9]
    rows = np.array([11, 9])
    predicted = masks_of_setups(steps, sheets, rows, predictions, chosen, batch_size=1, device="cpu")
    true = true_masks(masks, rows, 2)
    assert np.array_equal(predicted["gate_unets"], true)
    assert not predicted[WHOLE][0, 0].any()
    assert np.array_equal(predicted[WHOLE][1], true[1])
