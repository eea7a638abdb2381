from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai import plots


def texts(figure):
    """Draw the figure (warnings are errors) and collect what it says."""
    figure.savefig(BytesIO(), format="png")
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    return found + [axes.get_title(loc="left") for axes in figure.axes]


def points(line):
    return np.asarray(line.get_xydata()).tolist()


def corners(collection):
    return np.asarray(collection.get_paths()[0].vertices)


def recall_row(detected, n, **what):
    interval = [max(0, detected / n - 0.1), min(1, detected / n + 0.1)] if n else [None, None]
    return {**what, "n": n, "detected": detected, "recall": detected / n if n else None, "recall_interval": interval}


@pytest.fixture
def record():
    edges = {"area_from": 798, "area_to": 3326, "share_from": 0.00195, "share_to": 0.00812}
    return {
        "target_false_alarm_rate": 0.05,
        "threshold": 0.4,
        "n_defective": 60,
        "false_alarm_rate": 0.0625,
        "missed_defect_rate": 0.25,
        "recall_by_class": [
            recall_row(15, 20, **{"class": 1, "name": "pit"}),
            recall_row(0, 0, **{"class": 2, "name": "crack"}),
        ],
        "recall_by_size": [
            recall_row(10, 20, size="small", **edges),
            recall_row(20, 20, size="medium", **edges),
            recall_row(0, 0, size="large", **edges),
        ],
    }


@pytest.fixture
def noise_table():
    levels = np.array([0, 0.1, 0.3])
    tables = []
    for noise, slope in ((0.15, 0.1), (0, 1)):
        table = pd.DataFrame({"trained_with_noise": noise, "level": levels, "n": 200, "repeats": [1, 3, 3]})
        for name, start in (("accuracy", 0.9), ("balanced_accuracy", 0.8)):
            table[name] = start - slope * levels
            table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.05, table[name] + 0.05
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def test_recall_has_a_point_an_interval_and_a_count_for_each_class_and_size(record):
    figure = plots.recall_by_defect(record, data_source="mill")
    found = texts(figure)
    assert found[:5] == ["15 of 20", "no sheets", "10 of 20", "20 of 20", "no sheets"]
    by_class, by_size = figure.axes
    drawn = [points(line) for axes in figure.axes for line in axes.lines if line.get_marker() == "o"]
    assert drawn == [[[0.75, 0]], [[0.5, 0]], [[1, 1]]]
    bars = [corners(bar)[:, 0].tolist() for axes in figure.axes for bar in axes.collections]
    assert bars == [pytest.approx([0.65, 0.85]), pytest.approx([0.4, 0.6]), [0.9, 1]]
    assert [label.get_text() for label in by_class.get_yticklabels()] == ["pit", "crack"]
    assert by_size.get_yticklabels()[0].get_text() == "small: 798 to 3,326 px\n(0.19% to 0.81% of the sheet)"


def test_recall_says_which_false_alarms_it_costs_and_what_is_found_of_all(record):
    figure = plots.recall_by_defect(record, data_source="mill")
    subtitle = figure.axes[0].get_title(loc="left")
    assert "false alarms: 5% aimed at, 6.2% here" in subtitle
    assert "dashed: all defective sheets, 75.0%" in subtitle
    assert subtitle.endswith("n = 60 defective sheets · data: mill")
    dashed = [points(line)[0][0] for axes in figure.axes for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed == [0.75, 0.75]


def test_recall_without_sizes_or_a_threshold_shows_the_classes(record):
    nothing = dict.fromkeys(["threshold", "false_alarm_rate", "missed_defect_rate", "recall_by_size"])
    figure = plots.recall_by_defect(record | nothing, data_source="mill")
    assert "reported: most probable output is a defect · n = 60 defective sheets · data: mill" in texts(figure)
    assert len(figure.axes) == 1


def test_noise_curves_show_each_training_with_its_band(noise_table):
    figure = plots.noise_robustness(noise_table, data_source="mill")
    found = texts(figure)
    assert {"trained with noise of 0.15", "trained without noise"} <= set(found)
    assert "n = 200 test sheets, mean of 3 draws, bands: 95% intervals · data: mill" in found
    for axes, name in zip(figure.axes, ("balanced_accuracy", "accuracy"), strict=True):
        drawn = {line.get_label(): points(line) for line in axes.lines}
        rows = noise_table[noise_table["trained_with_noise"] == 0]
        assert drawn["trained without noise"] == rows[["level", name]].to_numpy().tolist()
        heights = corners(axes.collections[0])[:, 1]
        assert (heights.min(), heights.max()) == (rows[f"{name}_low"].min(), rows[f"{name}_high"].max())
