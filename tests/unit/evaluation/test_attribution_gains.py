import numpy as np
import pandas as pd
import pytest

from steel_xai.evaluation.attribution_gains import beats_every_control, gains_over_controls


def scores(dice, ap, rows):
    return pd.DataFrame({"dice": dice, "pixel_ap": ap}, index=pd.Index(rows, name="row"), dtype=float)


def test_gains_are_paired_and_counted_on_the_sheets_that_both_have():
    rows = range(8)
    good = scores(np.linspace(0.4, 0.8, 8), np.linspace(0.5, 0.9, 8), rows)
    per_sheet = {
        "good": good,
        "half": good.iloc[:4],
        "contrast": good - 0.1,
        "mixed": good.assign(pixel_ap=good["pixel_ap"] + [0.1, -0.1] * 4),
    }
    gains = gains_over_controls(per_sheet, ["contrast", "mixed"], n_samples=200, seed=0)
    table = gains.set_index(["method", "control"])
    assert len(table) == 4
    row = table.loc[("good", "contrast")]
    assert row[["n", "dice_gain", "dice_gain_low", "dice_gain_high"]].tolist() == pytest.approx([8, 0.1, 0.1, 0.1])
    assert row["excludes_0"] is True
    assert table.loc[("good", "mixed"), "excludes_0"] is False
    few = table.loc[("half", "contrast")]
    assert few["n"] == 4
    assert np.isnan(few["dice_gain_low"])
    assert few["excludes_0"] is None
    assert beats_every_control(gains).to_dict() == {"good": False, "half": None}
    alone = gains_over_controls({"good": good, "contrast": good - 0.1}, ["contrast"], n_samples=200, seed=0)
    assert beats_every_control(alone).to_dict() == {"good": True}


def test_one_gain_that_fails_decides_and_one_that_cannot_be_tested_leaves_open():
    rows = range(6)
    good = scores(np.linspace(0.4, 0.8, 6), np.linspace(0.5, 0.9, 6), rows)
    per_sheet = {"good": good, "worse": good - 0.1, "few": (good - 0.1).iloc[:4], "better": good + 0.1}

    def beats(*controls):
        shown = {name: per_sheet[name] for name in ("good", *controls)}
        return beats_every_control(gains_over_controls(shown, controls, n_samples=200, seed=0))["good"]

    assert beats("worse") is True
    assert beats("worse", "few") is None
    assert beats("worse", "few", "better") is False
