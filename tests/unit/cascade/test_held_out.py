import numpy as np
import pandas as pd
import pytest

from steel_xai.cascade.held_out import arrays_of, choose_held_out
from steel_xai.errors import InputError


def _split(parts: str, copies: str | None = None) -> pd.DataFrame:
    names = {"t": "train", "v": "validation", "x": "test"}
    rows = [row for row, part in enumerate(parts) if part != "-"]
    return pd.DataFrame(
        {
            "row": rows,
            "image_id": [f"{row}.jpg" for row in rows],
            "label": 1,
            "split": [names[parts[row]] for row in rows],
            "copy": [int((copies or "0" * len(parts))[row]) for row in rows],
        }
    )


def test_only_sheets_that_no_step_was_trained_on_are_held_out():
    #           0 1 2 3 4 5 6 7
    gate = "t t v x x v x -".replace(" ", "")
    labels = "x v v x t t v v".replace(" ", "")
    held_out = choose_held_out(_split(gate), _split(labels))
    assert dict(zip(held_out["row"], held_out["split"], strict=True)) == {
        2: "validation",
        6: "validation",
        7: "validation",
        3: "test",
    }


def test_validation_sheets_that_all_trained_the_gate_are_used_with_a_warning(caplog):
    held_out = choose_held_out(_split("ttx"), _split("tvx"))
    assert held_out["row"].tolist() == [1, 2]
    assert "trained the gate" in caplog.text


def test_no_common_test_sheet_is_an_error():
    with pytest.raises(InputError, match="no test sheet of multilabel"):
        choose_held_out(_split("tvt"), _split("tvx"))


def test_counts_are_of_masks_with_and_without_the_small_ones(held_out, masks):
    predictions, counts = held_out
    test = arrays_of(predictions, counts, "test")
    assert test.rows.tolist() == [8, 9, 10, 11]
    assert test.areas.tolist() == [0, 200]
    # bright squares have 128 pixels, dark ones 240
    assert test.true.tolist() == [[0, 0], [128, 0], [0, 240], [128, 240]]
    assert np.array_equal(test.found[0], test.true)
    assert test.found[1].tolist() == [[0, 0], [0, 0], [0, 240], [0, 240]]
    assert np.array_equal(test.both, test.found)
    assert test.dice()[1].tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert test.empty_dice().tolist() == [[1, 1], [0, 1], [1, 0], [0, 0]]


def test_arrays_do_not_hang_on_the_order_of_the_counts(held_out):
    predictions, counts = held_out
    shuffled = arrays_of(predictions, counts.sample(frac=1, random_state=0), "validation")
    for one, other in zip(arrays_of(predictions, counts, "validation"), shuffled, strict=True):
        assert np.array_equal(one, other)
