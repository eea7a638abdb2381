import numpy as np
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
        11: "median",
        8: "false masks spared by the gate",
        10: "true masks stopped by the gate",
    }
    assert "P(defect) 0.10, stops" in chosen.captions[list(chosen.rows).index(10)]
    assert "bright 1.00*, dark 0.00" in chosen.captions[0]


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
