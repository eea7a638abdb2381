from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai import plots

BINARY = ["no defect", "defect"]


def texts(figure):
    """Draw the figure (warnings are errors) and collect what it says."""
    figure.savefig(BytesIO(), format="png")
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    return found


def test_roc_curve_names_auc_sample_size_and_source():
    labels = np.array([0, 0, 0, 1, 1])
    defect = np.array([0.1, 0.2, 0.6, 0.55, 0.4])
    found = texts(plots.roc_curve(labels, np.stack([1 - defect, defect], axis=1), BINARY, data_source="mill"))
    assert "defect: AUC 0.667 (2 of 5 sheets)" in found
    assert "n = 5 sheets · data: mill" in found


def test_roc_curve_of_several_classes_leaves_out_a_class_without_sheets():
    labels = np.array([0, 0, 1, 1])
    figure = plots.roc_curve(labels, np.full((4, 3), 1 / 3), ["a", "b", "c"], data_source="mill")
    assert [text.split(":")[0] for text in texts(figure) if "AUC 0.500" in text] == ["a", "b"]


def test_every_curve_of_nine_outputs_looks_different():
    labels = np.arange(18) % 9
    outputs = ["no defect", *(f"class {k}" for k in range(1, 9))]
    figure = plots.roc_curve(labels, np.eye(9)[labels], outputs, data_source="mill")
    curves = figure.axes[0].lines[1:]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == len(curves) == 9
    texts(plots.confusion_matrix(labels, labels, outputs, data_source="mill"))
    split = pd.DataFrame({"label": labels, "split": "train", "copy": 0})
    assert texts(plots.class_distribution(split, outputs, data_source="mill"))[:9] == ["2"] * 9


def test_confusion_matrix_shows_counts_and_row_shares():
    labels, predicted = pd.Series([0, 0, 0, 0, 1]), pd.Series([0, 0, 0, 1, 1])
    figure = plots.confusion_matrix(labels, predicted, BINARY, data_source="mill")
    found = texts(figure)
    assert found[:4] == ["3\n75%", "1\n25%", "0\n0%", "1\n100%"]
    assert "accuracy 80.0% · n = 5 sheets · data: mill" in found
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["no defect (4)", "defect (1)"]


def test_confusion_matrix_of_a_class_without_sheets_claims_no_share():
    assert texts(plots.confusion_matrix([0], [0], BINARY, data_source="mill"))[:4] == ["1\n100%", "0\n0%", "0", "0"]


def test_training_curves_show_both_parts_of_both_measures():
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_loss": [0.7, 0.5],
            "train_accuracy": [0.5, 0.8],
            "validation_loss": [0.8, 0.6],
            "validation_accuracy": [0.4, 0.7],
            "learning_rate": [1e-3, 1e-4],
            "seconds": [3.0, 4.0],
        }
    )
    figure = plots.training_curves(history, data_source="mill")
    assert "2 epochs, 7 s · data: mill" in texts(figure)
    drawn = [np.asarray(line.get_ydata()).tolist() for axes in figure.axes for line in axes.lines]
    columns = ["train_loss", "validation_loss", "train_accuracy", "validation_accuracy"]
    assert drawn == [history[column].tolist() for column in columns]


@pytest.mark.parametrize("n_copies", [0, 2])
def test_class_distribution_counts_sheets_and_copies(fake_split, n_copies):
    copies = [fake_split[fake_split["split"] == "train"].assign(copy=k + 1) for k in range(n_copies)]
    figure = plots.class_distribution(pd.concat([fake_split, *copies]), BINARY, data_source="mill")
    found = texts(figure)
    assert {"train (36)", "validation (12)", "test (12)", "n = 60 sheets · data: mill"} <= set(found)
    assert ("train, augmented copies (72)" in found) is bool(n_copies)
    assert found[:2] == [str(18 * (1 + n_copies))] * 2
