from typing import Any

import numpy as np

from steel_xai.plots.cascade import SETUP_NAMES, cascade_examples, cascade_scores


def _score(mean, n=4):
    return {
        "mean": mean,
        "low": None if mean is None else mean - 0.1,
        "high": None if mean is None else mean + 0.1,
        "n": n,
    }


def test_scores_are_drawn_where_they_are():
    setups: dict[str, Any] = {
        name: {"dice": {kind: {"mean": _score(0.1 * i)} for kind in ("all_sheets", "sheets_with_class")}}
        for i, name in enumerate(SETUP_NAMES, start=1)
    }
    setups["unets"]["ms_per_sheet"] = 12.34
    gains = {name: {"dice_all_sheets": _score(0.05)} for name in ("gate", "labels", "gate_and_labels")}
    figure = cascade_scores({"setups": setups, "gains": gains, "n_test": 4, "data_source": "toy"})
    first, _, third = figure.axes
    assert [round(np.asarray(line.get_xdata())[0], 2) for line in first.lines] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [text.get_text() for text in first.get_yticklabels()][1] == "U-Nets alone\n12.3 ms a sheet"
    assert [text.get_text() for text in third.texts] == ["+0.050"] * 3
    figure.canvas.draw()


def test_undefined_scores_are_left_out():
    setups = {
        name: {"dice": {kind: {"mean": _score(None, 0)} for kind in ("all_sheets", "sheets_with_class")}}
        for name in SETUP_NAMES
    }
    gains = {name: {"dice_all_sheets": _score(None, 0)} for name in ("gate", "labels", "gate_and_labels")}
    figure = cascade_scores({"setups": setups, "gains": gains, "n_test": 0, "data_source": "toy"})
    assert not figure.axes[0].lines


def test_every_setup_gets_a_strip_under_the_sheet():
    rng = np.random.default_rng(0)
    sheets = rng.integers(0, 255, (2, 16, 64), dtype=np.uint8)
    truth = np.zeros((2, 2, 16, 64), bool)
    truth[0, 1, 4:8, 4:20] = True
    figure = cascade_examples(
        ["best", "median"],
        sheets,
        truth,
        {"unets": truth, "gate_labels_unets": ~truth},
        ["a", "b"],
        about="by rule",
        data_source="toy",
    )
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["sheet, true masks", "U-Nets alone", "gate, labels, U-Nets"] * 2
    assert any("by rule · data: toy" in text.get_text() for text in figure.texts)
    figure.canvas.draw()
