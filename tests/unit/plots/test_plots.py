from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text

from steel_xai import plots
from steel_xai.evaluation.abstention import abstention_table, measure_abstention
from steel_xai.evaluation.calibration import calibrate

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


def test_class_distribution_without_copies_is_one_panel_of_sheets(fake_split):
    figure = plots.class_distribution(fake_split, BINARY, data_source="mill")
    found = texts(figure)
    assert found[:6] == ["18", "18", "6", "6", "6", "6"]
    assert {"train (36)", "validation (12)", "test (12)", "n = 60 sheets · data: mill"} <= set(found)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Sheets"]


def test_class_distribution_tells_copies_that_add_a_picture_from_those_that_repeat_one(fake_split):
    defects = fake_split[(fake_split["split"] == "train") & (fake_split["label"] == 1)]
    copies = [defects.assign(copy=1, flip_h=True), defects.assign(copy=2, flip_h=True)]
    figure = plots.class_distribution(pd.concat([fake_split, *copies]), BINARY, data_source="mill")
    found = texts(figure)
    assert {"sheets (36)", "distinct copies (18)", "repeated copies (18)", "18", "54, 36 distinct"} <= set(found)
    assert {"n = 60 sheets · data: mill", "72 examples, 54 distinct pictures"} <= set(found)
    before, after = figure.axes
    assert (before.get_xlabel(), after.get_xlabel()) == (
        "Sheets before augmentation",
        "Training examples after augmentation",
    )
    bars = [bar.get_path().get_extents(bar.get_patch_transform()) for bar in after.patches]
    assert [(bar.x0, bar.x1) for bar in bars] == [(0, 18), (0, 18), (18, 36), (36, 54)]


@pytest.mark.parametrize("n_outputs", [2, 6, 9])
def test_class_distribution_writes_nothing_over_its_legends_or_its_edges(n_outputs):
    labels = np.repeat(np.arange(n_outputs), 2000)
    split = pd.DataFrame({"row": np.arange(len(labels)), "label": labels, "split": "train", "copy": 0, "flip_h": 0})
    copies = [split[labels == k].assign(copy=k, flip_h=1) for k in range(1, n_outputs)]
    outputs = [f"a rather long name of class {k}" for k in range(n_outputs)]
    figure = plots.class_distribution(pd.concat([split, *copies]).assign(flip_v=0), outputs, data_source="mill")
    texts(figure)
    legends = [legend.get_window_extent() for axes in figure.axes if (legend := axes.get_legend())]
    written = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert not any(text.overlaps(legend) for text in written for legend in legends)
    assert not legends[0].overlaps(legends[1])
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in written + legends)


def test_class_distribution_of_copies_that_all_differ_says_so(fake_split):
    copies = fake_split[fake_split["split"] == "train"].assign(copy=1, flip_v=True)
    found = texts(plots.class_distribution(pd.concat([fake_split, copies]), BINARY, data_source="mill"))
    assert found.count("36, all distinct") == 2
    assert not any("repeated" in text for text in found)


def judged_predictions(n_classes, *, skill, n=60):
    rng = np.random.default_rng(0)
    parts = []
    for split in ("validation", "test"):
        labels = rng.integers(0, n_classes, n)
        odds = np.exp(rng.normal(size=(n, n_classes)) + skill * np.eye(n_classes)[labels])
        columns = {f"p_{k}": p for k, p in enumerate((odds / odds.sum(axis=1, keepdims=True)).T)}
        parts.append(pd.DataFrame({"split": split, "label": labels, **columns}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_reliability_diagram_names_errors_temperature_and_sample(n_classes):
    record = calibrate(judged_predictions(n_classes, skill=2), bins=10, n_samples=100, seed=0, data_source="mill")
    figure = plots.reliability_diagram(record, data_source="mill")
    found = "\n".join(texts(figure))
    assert "n = 60 sheets · data: mill" in found
    assert f"With temperature T = {record['temperature']:.2f}\nECE {record['test']['after']['ece']:.3f}" in found
    assert f"As predicted (T = 1)\nECE {record['test']['before']['ece']:.3f}" in found
    assert figure.axes[0].get_xlim() == pytest.approx((1 / n_classes, 1))
    for axes, part in zip(figure.axes[:2], ("before", "after"), strict=True):
        filled = [b for b in record["test"][part]["reliability"] if b["n"]]
        accuracy, gap = axes.containers[:2]
        assert [bar.get_height() for bar in accuracy] == [b["accuracy"] for b in filled]
        ends = [bar.get_y() + bar.get_height() for bar in gap]
        assert ends == pytest.approx([b["confidence"] for b in filled])


def test_reliability_diagram_says_that_the_temperature_is_not_determined():
    record = calibrate(judged_predictions(2, skill=30), bins=10, n_samples=100, seed=0, data_source="mill")
    assert "T = 0.05, at its bound" in "\n".join(texts(plots.reliability_diagram(record, data_source="mill")))


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("skill", [1, 4, 30])
def test_abstention_curve_draws_the_test_rows_and_names_the_choice(n_classes, skill):
    predictions = judged_predictions(n_classes, skill=skill)
    table, record = abstention_table(predictions), measure_abstention(predictions, 0.9, 100, 0)
    figure = plots.abstention_curve(table, record, data_source="mill")
    found = "\n".join(texts(figure))
    assert "n = 60 sheets · data: mill" in found
    assert record["threshold"] is not None
    assert f"90% on 60 validation sheets from confidence {record['threshold']:.5g} up" in found
    drawn = table[(table["split"] == "test") & (table["n_answered"] > 0) & (table["threshold"] < 1)]
    by_axes = {axes.get_xlabel() or "scores": axes.lines[0].get_xydata() for axes in figure.axes[:3]}
    np.testing.assert_array_equal(by_axes["scores"], drawn[["threshold", "accuracy"]])
    np.testing.assert_array_equal(by_axes["Confidence threshold"], drawn[["threshold", "n_answered"]])
    np.testing.assert_array_equal(by_axes["Coverage (share answered)"], drawn[["coverage", "accuracy"]])


def test_abstention_curve_says_where_the_target_is_out_of_reach_or_unverified():
    predictions = judged_predictions(2, skill=0)
    never = predictions.assign(label=1 - predictions["p_1"].gt(0.5).astype(int))
    table, record = abstention_table(never), measure_abstention(never, 0.99, 100, 0)
    found = texts(plots.abstention_curve(table, record, data_source="mill"))
    assert "no threshold reaches 99% accuracy on the 60 validation sheets" in "\n".join(found)
    assert "chosen threshold" not in found
    timid = predictions.assign(label=predictions["p_1"].gt(0.5).astype(int))
    timid.loc[timid["split"] == "validation", ["p_0", "p_1"]] = [0.999, 0.001]
    timid.loc[timid["split"] == "validation", "label"] = 0
    table, record = abstention_table(timid), measure_abstention(timid, 0.99, 100, 0)
    found = texts(plots.abstention_curve(table, record, data_source="mill"))
    assert "from confidence 0.999 up, which no test sheet has" in "\n".join(found)


def test_long_class_names_are_wrapped_and_kept_whole_in_the_confusion_matrix():
    outputs = ["no defect", "multiple chips on the surface", "single vertical crack"]
    figure = plots.confusion_matrix([0, 1, 2], [0, 1, 1], outputs, data_source="mill")
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert [name.replace("\n", " ") for name in names] == outputs
    assert max(len(line) for name in names for line in name.split("\n")) <= 16


@pytest.mark.parametrize("n_classes", [2, 5, 9])
def test_legend_of_the_roc_curves_lies_within_the_figure_and_off_the_curves(n_classes):
    labels = np.arange(4 * n_classes) % n_classes
    outputs = [f"multiple vertical cracks of kind {k}" for k in range(n_classes)]
    figure = plots.roc_curve(labels, np.eye(n_classes)[labels], outputs, data_source="mill")
    texts(figure)
    axes = figure.axes[0]
    (legend,) = (part.get_window_extent() for part in axes.findobj(Legend))
    assert legend.y0 >= figure.bbox.y0
    assert legend.y1 <= axes.get_window_extent().y0
    heading, subtitle = (
        next(text.get_window_extent() for text in figure.findobj(Text) if text.get_text().startswith(start))
        for start in ("ROC", "n = ")
    )
    assert subtitle.y1 <= heading.y0
