import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit import audit

N = 80
STAINS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)
OPTIONS: dict[str, Any] = {
    "attribute": "white_stain",
    "name": "white stains",
    "output": 0,
    "outputs": ["no defect", "defect"],
    "listed": None,
    "explain": None,
    "interventional": None,
    "stain_detection": STAINS,
    "per_group": 20,
    "min_group": 15,
    "caliper": 3,
    "level": 0.01,
    "min_effect": 0.3,
    "min_shift": 0.05,
    "n_samples": 100,
    "seed": 0,
    "data_source": "mill",
}


def stain_lovers(strength, darker=0):
    """Defect-free test sheets, the first thirty of them stained; P(no defect) rises with the stain."""
    rng = np.random.default_rng(0)
    stained = np.arange(N) < 30
    sheets = np.full((N, 1, 64, 100), 100, dtype=np.uint8) + rng.integers(0, 4, (N, 1, 1, 1), dtype=np.uint8)
    sheets[~stained] -= darker
    sheets[stained, :, 20:26, 40:46] = 255
    p_0 = 1 / (1 + np.exp(-(rng.normal(size=N) + strength * stained)))
    ids = [f"{row}.jpg" for row in range(N)]
    table = {"row": np.arange(N), "image_id": ids}
    predictions = pd.DataFrame({**table, "split": "test", "label": 0, "predicted": 0, "p_0": p_0, "p_1": 1 - p_0})
    index = pd.DataFrame({**table, "white_stain": stained.astype(int), "duplicate_group": np.arange(N)})
    return predictions, index, sheets


def test_planted_shortcut_is_found_and_its_numbers_can_be_said_in_json():
    record, table = audit(*stain_lovers(4), **OPTIONS)
    assert record["verdict"] == "shortcut"
    assert record["group_sizes"] == {"attributed": 20, "plain": 20}
    assert record["p_value"] < 1e-4
    assert record["effect_size"] > 0.75
    assert record["matched"]["group_sizes"] == {"attributed": 20, "plain": 20}
    assert (record["data_source"], record["seed"], record["output"]) == ("mill", 0, "no defect")
    assert record["paste"] is record["removal"] is record["attribution"] is None
    json.dumps(record, allow_nan=False)
    assert table.groupby("attributed")["drawn"].sum().tolist() == [20, 20]


@pytest.mark.parametrize("strength", [0, -4])
def test_sample_without_the_shortcut_gives_no_evidence(strength):
    record, _ = audit(*stain_lovers(strength), **OPTIONS)
    assert record["verdict"] == "no evidence"
    assert record["direction"] == "lower" or abs(record["effect_size"]) < 0.3


def test_sheets_of_another_brightness_cannot_be_matched():
    record, table = audit(*stain_lovers(4, darker=40), **OPTIONS)
    assert record["matched"]["group_sizes"] == {"attributed": 0, "plain": 0}
    assert record["verdict"] == "not testable"
    assert (table["pair"] == -1).all()


def test_pairs_are_of_like_brightness_and_complete():
    _, table = audit(*stain_lovers(4), **OPTIONS | {"caliper": 1})
    pairs = table[table["pair"] >= 0].groupby("pair")
    assert (pairs["attributed"].sum() == 1).all()
    assert (pairs.size() == 2).all()
    assert (pairs["brightness"].max() - pairs["brightness"].min() <= 1).all()


def test_relevance_is_asked_for_of_the_sheets_with_stains():
    asked = []

    def explain(rows):
        asked.extend(rows)
        maps = np.ones((len(rows), 64, 100), dtype=np.float32)
        maps[:, 20:26, 40:46] = 50
        return maps

    record, table = audit(*stain_lovers(4), **OPTIONS | {"explain": explain})
    assert sorted(asked) == sorted(table.loc[table["drawn"] & table["attributed"], "row"])
    assert record["attribution"]["ratio"] > 10
    assert record["tests"]["attribution"]["holds"]


def test_other_attributes_are_not_looked_for_in_maps():
    predictions, index, sheets = stain_lovers(4)
    listed = pd.DataFrame({"image_id": index["image_id"], "attribute": index["white_stain"]})

    def explain(rows):
        raise AssertionError(rows)

    record, _ = audit(predictions, index, sheets, **OPTIONS | {"explain": explain, "listed": listed})
    assert (record["attribute"], record["attribution"], record["verdict"]) == ("listed", None, "shortcut")


def test_interventional_results_are_kept_and_decide():
    part = {"n": 9, "median_shift": 0, "shift_low": -0.1, "shift_high": 0.1, "p_value": 0.5, "flip_rate": None}
    results = dict.fromkeys(("paste", "plain_patch", "removal"), part)
    results["difference"] = {"n": 9, "median": 0, "low": -0.1, "high": 0.1, "p_value": 0.5}
    record, _ = audit(*stain_lovers(4), **OPTIONS | {"interventional": results})
    assert record["verdict"] == "no evidence"
    assert {name: record[name] for name in results} == results


def test_few_stained_sheets_are_not_testable():
    predictions, index, sheets = stain_lovers(4)
    record, _ = audit(predictions, index.assign(white_stain=index["row"] < 3), sheets, **OPTIONS)
    assert record["verdict"] == "not testable"
    assert (record["p_value"], record["U"]) == (None, None)
    json.dumps(record, allow_nan=False)


def test_source_without_defect_free_sheets_is_not_testable():
    predictions, index, sheets = stain_lovers(4)
    record, table = audit(predictions.assign(label=1), index, sheets, **OPTIONS)
    assert record["verdict"] == "not testable"
    assert table.empty


def test_result_follows_the_seed():
    first, again = (audit(*stain_lovers(1), **OPTIONS) for _ in range(2))
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])
