from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from steel_xai.plots.multilabel import class_scores, label_sets, threshold_curves
from steel_xai.plots.training import class_distribution, training_curves

OUTPUTS = ["pit", "crack"]


def texts(figure):
    """Draw the figure (warnings are errors) and collect what it says, in one line each."""
    figure.savefig(BytesIO(), format="png")
    return [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]


def scores(precision, n):
    intervals: dict[str, list[float | None]] = {name: [0.1, 0.9] for name in ("precision", "recall", "f1", "auc")}
    intervals["precision"] = [None, None] if precision is None else [precision - 0.1, precision + 0.1]
    return {"precision": precision, "recall": 0.5, "f1": 0.4, "auc": 0.8, "n": n, "intervals": intervals}


def test_class_scores_stand_beside_the_baselines_with_their_intervals():
    metrics = {
        "model": "resnet18",
        "n_test": 40,
        "test_by_class": {"pit": scores(0.7, 9), "crack": scores(None, 3)},
        "baseline_by_class": {"pit": scores(0.3, 9), "crack": scores(0.2, 3)},
    }
    figure = class_scores(metrics, data_source="mill")
    found = texts(figure)
    assert {"pit (n = 9)", "crack (n = 3)", "resnet18", "logistic regression on pixels"} <= set(found)
    assert any("n = 40 test sheets · data: mill" in text for text in found)
    lines = [(line.get_marker(), np.asarray(line.get_xdata())) for line in figure.axes[0].lines]
    assert [x.tolist() for marker, x in lines if marker != "None" and len(x)] == [[0.7], [0.3], [0.2]]
    np.testing.assert_allclose([x for _, x in lines if len(x) == 2], [[0.6, 0.8], [0.2, 0.4], [0.1, 0.3]])


def test_sets_are_counted_true_against_predicted():
    truth = np.array([[0, 0], [0, 0], [1, 0], [1, 1]]) == 1
    predicted = np.array([[0, 0], [1, 0], [1, 0], [1, 0]]) == 1
    figure = label_sets(truth, predicted, OUTPUTS, data_source="mill")
    found, axes = texts(figure), figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["no defect", "pit", "pit + crack"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no defect (2)", "pit (1)", "pit + crack (1)"]
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["1\n50%", "1\n50%", "0", "0", "1\n100%", "0", "0", "1\n100%", "0"]
    assert any("exact match 50.0% · n = 4 sheets · data: mill" in text for text in found)


def test_rare_sets_share_a_row_and_all_sheets_are_counted():
    rng = np.random.default_rng(0)
    truth, predicted = rng.random((2, 300, 5)) < 0.4
    figure = label_sets(truth, predicted, [f"class {k}" for k in range(5)], data_source="mill")
    texts(figure)
    assert figure.axes[0].get_xticklabels()[-1].get_text() == "any other set"
    shown = [int(text.get_text().split("\n")[0]) for text in figure.axes[0].texts]
    assert len(shown) == 100
    assert sum(shown) == 300


@pytest.mark.parametrize("n_classes", [1, 4, 8])
def test_threshold_curves_have_a_panel_a_class_with_its_threshold(n_classes):
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {"split": ["validation"] * 30 + ["test"] * 20}
    for k in range(1, n_classes + 1):
        parts[f"label_{k}"] = rng.integers(0, 2, 50)
        parts[f"p_{k}"] = rng.random(50)
    about = {"class": range(1, n_classes + 1), "output": [f"class {k}" for k in range(n_classes)]}
    thresholds = pd.DataFrame(
        {**about, "threshold": 0.25, "n_positive": 4, "chosen": [False] + [True] * (n_classes - 1)}
    )
    figure = threshold_curves(pd.DataFrame(parts), thresholds, data_source="mill")
    found = texts(figure)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == n_classes
    assert {f"class {k}" for k in range(n_classes)} <= set(found)
    assert any(text.startswith("0.5: too few sheets to choose 4 of 30 sheets, test") for text in found)
    assert any("30 validation and 20 test sheets · data: mill" in text for text in found)
    marked = [
        np.asarray(line.get_xdata())[0] for axes in panels for line in axes.lines if line.get_label() == "threshold"
    ]
    assert marked == [0.25] * n_classes


def test_sheets_of_several_classes_count_in_each_of_them_but_once_in_all():
    split = pd.DataFrame({"row": range(4), "label": [0, 1, 3, 3], "split": ["train"] * 3 + ["test"], "copy": 0})
    split = split.assign(flip_h=0, flip_v=0)
    copies = split[split["row"] == 2].assign(copy=1, flip_h=1)
    figure = class_distribution(
        pd.concat([split, copies], ignore_index=True), OUTPUTS, data_source="mill", several_classes=True
    )
    found = texts(figure)
    assert {"no defect", "pit", "crack", "train (3)", "test (1)", "sheets (3)", "distinct copies (1)"} <= set(found)
    before, after = figure.axes
    assert [bar.get_width() for bar in before.containers[0]] == [1, 2, 1]
    assert [text.get_text() for text in after.texts] == ["1", "3, all distinct", "2, all distinct"]
    assert "4 examples, 4 distinct pictures" in found


def test_training_curves_name_another_loss():
    columns = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    history = pd.DataFrame({"epoch": [1, 2], "seconds": 1.0, **dict.fromkeys(columns, 0.5)})
    figure = training_curves(history, data_source="mill", loss="Dice loss", accuracy="Right pixels")
    assert [axes.get_ylabel() for axes in figure.axes] == ["Dice loss", "Right pixels"]
