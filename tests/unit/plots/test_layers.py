from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai.plots.layers import layer_embedding, layer_probe

MODULES = ["features.0", "features.1", "classifier.0"]


@pytest.fixture
def table():
    table = pd.DataFrame({"module": MODULES, "area": ["features", "features", "classifier"], "depth": [1, 2, 3]})
    start = {"": 0.6, "random_network_": 0.5, "shuffled_": 0.4}
    for prefix, value in start.items():
        for k, score in enumerate(("accuracy", "balanced_accuracy")):
            table[prefix + score] = value + 0.1 * table["depth"] - 0.05 * k
            table[f"{prefix}{score}_low"] = table[prefix + score] - 0.05
            table[f"{prefix}{score}_high"] = table[prefix + score] + 0.05
    return table.assign(n_train=500, n_test=200, majority_accuracy=0.55, chance_balanced_accuracy=0.2)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"module": module, "label": [0, 0, 0, 1, 1, 2], "x": rng.normal(size=6), "y": rng.normal(size=6)})
        for module in MODULES
    ]
    return pd.concat(parts)


@pytest.fixture
def numbers():
    knn = [0.5, 0.625, 0.75]
    return pd.DataFrame({"module": MODULES, "knn_balanced_accuracy": knn, "silhouette": [0.1, np.nan, -0.2]}).assign(
        n=6, k=5
    )


def draw(figure):
    """Draw the figure: warnings are errors."""
    figure.savefig(BytesIO(), format="png")
    return figure


def test_probe_draws_network_controls_and_constant_answer_over_the_named_modules(table):
    figure = draw(layer_probe(table, data_source="mill"))
    for axes, score, level in zip(
        figure.axes, ("balanced_accuracy", "accuracy"), ("chance_balanced_accuracy", "majority_accuracy"), strict=True
    ):
        drawn = [axes.containers[k].lines[0].get_ydata().tolist() for k in range(3)]
        assert drawn == [table[prefix + score].tolist() for prefix in ("", "random_network_", "shuffled_")]
        bars = axes.containers[0].lines[2][0].get_segments()
        assert bars[1][:, 1] == pytest.approx(table.loc[1, [f"{score}_low", f"{score}_high"]].tolist())
        flat = next(line for line in axes.lines if line.get_label() == "always the commonest class")
        assert set(flat.get_ydata()) == {table[level].iloc[0]}
        assert [text.get_text() for text in axes.texts] == ["feature extractor", "classifier"]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == MODULES
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"trained network", "random weights (control)", "shuffled labels (control)"} < labels
    assert figure.axes[0].get_title(loc="left") == (
        "n = 200 test sheets, 500 for fitting, bars: 95% intervals · data: mill"
    )


def test_probe_survives_intervals_that_end_at_the_value(table):
    draw(
        layer_probe(
            table.assign(accuracy_low=table["accuracy"], accuracy_high=table["accuracy"] - 1e-12), data_source="mill"
        )
    )


def test_embedding_has_a_panel_a_module_and_a_colour_and_marker_a_class(points, numbers):
    figure = draw(layer_embedding(points, numbers, ["no defect", "chip", "crack"], data_source="mill"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == [
        "features.0\n5 neighbours 50% · silhouette 0.10",
        "features.1\n5 neighbours 62% · silhouette undefined",
        "classifier.0\n5 neighbours 75% · silhouette -0.20",
    ]
    assert not figure.axes[3].axison
    for module, axes in zip(MODULES, figure.axes, strict=False):
        shown = [part.get_offsets().tolist() for part in axes.collections]
        of_module = points[points["module"] == module]
        assert shown == [of_module.loc[of_module["label"] == k, ["x", "y"]].to_numpy().tolist() for k in range(3)]
        assert len({tuple(part.get_facecolor()[0]) for part in axes.collections}) == 3
        assert len({part.get_paths()[0].vertices.tobytes() for part in axes.collections}) == 3
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["no defect", "chip", "crack"]
    assert any("n = 6 test sheets · data: mill" in text.get_text() for text in figure.texts)


def test_legend_of_many_classes_stays_below_the_panels(points, numbers):
    figure = draw(layer_embedding(points, numbers, [f"kind of defect {k}" for k in range(9)], data_source="mill"))
    legend = figure.legends[0].get_window_extent()
    assert legend.y1 <= min(axes.get_window_extent().y0 for axes in figure.axes)
    assert legend.width <= figure.bbox.width
