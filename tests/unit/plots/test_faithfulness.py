from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steel_xai import plots
from steel_xai.plots.attribution import method_name
from steel_xai.plots.style import YELLOW

METHODS = [
    "deeplift",
    "deepshap",
    "gradcam",
    "guided_gradcam",
    "guided_backprop",
    "integrated_gradients",
    "lime",
    "layercam",
    "hirescam",
]
SHARES = np.linspace(0, 1, 11)


@pytest.fixture
def curves():
    rows = []
    for k, method in enumerate([*METHODS, "random"]):
        for image in range(2):
            for curve, slope in (("insertion", 0.04), ("deletion", -0.04)):
                probability = 0.5 + slope * k * SHARES + 0.02 * image
                points = {"share": SHARES, "probability": probability}
                rows.append(pd.DataFrame({"method": method, "image": image, "curve": curve, **points}))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def randomisation():
    rows = []
    for k, method in enumerate(METHODS):
        for depth, layer in enumerate(("head", "middle", "first"), start=1):
            value = 1 - 0.1 * k * depth / 3
            about = {"method": method, "depth": depth, "layer": layer, "correlation": -value}
            ends = {"_low": value - 0.05, "": value, "_high": value + 0.05, "_n": 1}
            rows.append(about | {f"evidence_correlation{end}": number for end, number in ends.items()})
    return pd.DataFrame(rows)


def points(line):
    return np.asarray(line.get_xydata(), float)


def drawn(axes):
    """Values of the lines with error bars, by their look."""
    bars: Any = axes.containers
    return {look(bar.lines[0]): points(bar.lines[0])[:, 1] for bar in bars}


def look(line):
    return line.get_color(), line.get_linestyle(), line.get_marker()


def test_mean_curves_of_every_method_and_the_random_order_are_told_apart(curves, randomisation):
    figure = plots.attribution_faithfulness(curves, randomisation, data_source="mill")
    figure.savefig(BytesIO(), format="png")
    deletion, insertion, _ = figure.axes
    for axes, slope in ((deletion, -0.04), (insertion, 0.04)):
        assert len(axes.lines) == 10
        assert len({look(line) for line in axes.lines}) == 10
        for k, line in enumerate(axes.lines):
            assert points(line)[:, 1] == pytest.approx(0.51 + slope * k * SHARES)
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*(method_name(name) for name in METHODS), "random order"]
    assert deletion.get_title(loc="left") == "n = 2 sheets, under randomisation 1 · data: mill"


def test_randomisation_starts_from_the_trained_map_in_each_methods_own_look(curves, randomisation):
    figure = plots.attribution_faithfulness(curves, randomisation, data_source="mill")
    deletion, _, axes = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "head", "middle", "first"]
    looks = drawn(axes)
    assert len(looks) == 9
    for k, line in enumerate(deletion.lines[:9]):
        assert looks[look(line)] == pytest.approx([1 - 0.1 * k * depth / 3 for depth in (1, 2, 3)])
    starts = [line for line in axes.lines if points(line).tolist()[0] == [0, 1]]
    assert sorted(look(line)[:2] for line in starts) == sorted(look(line)[:2] for line in deletion.lines[:9])


def test_method_without_randomisation_and_undefined_correlations_leave_gaps(curves, randomisation):
    some = randomisation[randomisation["method"] != "deeplift"].copy()
    undefined = (some["method"] == "gradcam") & (some["depth"] == 2)
    some.loc[undefined, [f"evidence_correlation{end}" for end in ("", "_low", "_high")]] = np.nan
    figure = plots.attribution_faithfulness(curves, some, data_source="mill")
    figure.savefig(BytesIO(), format="png")
    deletion, _, axes = figure.axes
    looks = drawn(axes)
    assert look(deletion.lines[0]) not in looks
    assert np.isnan(looks[look(deletion.lines[2])]).tolist() == [False, True, False]


def test_correlations_of_few_sheets_are_drawn_without_intervals(curves, randomisation):
    few = randomisation.assign(evidence_correlation_low=np.nan, evidence_correlation_high=np.nan)
    figure = plots.attribution_faithfulness(curves, few, data_source="mill")
    figure.savefig(BytesIO(), format="png")
    assert len(drawn(figure.axes[2])) == 9


def test_without_methods_to_randomise_the_panel_says_so(curves, randomisation):
    figure = plots.attribution_faithfulness(curves, randomisation[:0], data_source="mill")
    figure.savefig(BytesIO(), format="png")
    (text,) = figure.axes[2].texts
    assert "No method here uses gradients" in text.get_text()
    assert figure.axes[0].get_title(loc="left") == "n = 2 sheets · data: mill"


def test_no_line_is_yellow_on_white(curves, randomisation):
    figure = plots.attribution_faithfulness(curves, randomisation, data_source="mill")
    assert YELLOW not in {line.get_color() for line in figure.axes[0].lines}
