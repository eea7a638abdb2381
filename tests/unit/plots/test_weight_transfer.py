import pandas as pd
import pytest

from steel_xai.plots.weight_transfer import weight_transfer

STEPS = [
    ("none", "none", "own"),
    ("features.0", "features", "replaced"),
    ("features.3", "features", "replaced"),
    ("classifier.1", "classifier", "replaced"),
    ("classifier.5", "classifier", "kept"),
]


@pytest.fixture(scope="module")
def transfer():
    rows = []
    for receiver, donor, n in (("multi", "binary", 73), ("binary", "multi", 82)):
        for name, factor in ((donor, 0.1), ("random", 0.2)):
            for step, (module, area, treatment) in enumerate(STEPS):
                value = 0.9 - factor * step
                scores = {
                    f"{score}{end}": value + shift
                    for score in ("accuracy", "balanced_accuracy", "f1")
                    for end, shift in (("", 0), ("_low", -0.05), ("_high", 0.05))
                }
                about = {"receiver": receiver, "donor": name, "step": step, "module": module, "area": area}
                rows.append({**about, "treatment": treatment, **scores, "n": n})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def similarity():
    modules = ["features.0", "features.1", "features.3", "classifier.1", "classifier.5"]
    pairs = (("binary", "multi", 0.9), ("binary", "random", 0.2), ("multi", "random", 0.3))
    rows = [(*pair, module) for pair in pairs for module in modules]
    table = pd.DataFrame(rows, columns=["first", "second", "cka", "module"])
    return table.assign(area="any", low=table["cka"], high=table["cka"], n=9)


@pytest.fixture(scope="module")
def figure(transfer, similarity):
    drawn = weight_transfer(transfer, similarity, data_source="mill")
    drawn.draw_without_rendering()
    return drawn


def points(axes, marker):
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return {(round(x, 3), round(y, 3)) for line in lines for x, y in zip(*line.get_data(), strict=True)}


def test_each_direction_has_its_column_with_both_donors_over_the_steps(figure):
    panels = figure.axes
    assert len(panels) == 8
    assert [axes.get_title(loc="left").strip() for axes in panels[:2]] == [
        "binary weights in the multi model",
        "multi weights in the binary model",
    ]
    for axes in panels[:6]:
        assert points(axes, "o") == {(step, round(0.9 - 0.1 * step, 3)) for step in range(5)}
        assert points(axes, "s") == {(step, round(0.9 - 0.2 * step, 3)) for step in range(5)}


def test_likeness_stands_at_the_steps_of_its_modules_with_the_receivers_own_control(figure):
    for axes, control in zip(figure.axes[6:], (0.3, 0.2), strict=True):
        assert points(axes, "o") == {(step, 0.9) for step in (1, 2, 3, 4)}
        assert points(axes, "s") == {(step, control) for step in (1, 2, 3, 4)}


def test_areas_are_shaded_and_named_and_a_kept_layer_is_hollow(figure):
    axes = figure.axes[0]
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    assert [(round(span.x0, 2), round(span.x1, 2)) for span in spans] == [(0.5, 2.5), (2.5, 4.5)]
    assert {"feature extractor", "classifier"} <= {text.get_text() for text in axes.texts}
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[4], [4]]


def test_numbers_of_sheets_and_source_are_said(figure):
    texts = [text.get_text() for axes in figure.axes for text in axes.texts] + [figure.get_supxlabel()]
    assert any(text.startswith("n = 73 test sheets of multi") for text in texts)
    assert any(text.startswith("n = 82 test sheets of binary") for text in texts)
    assert any("9 sheets in neither training split" in text and "data: mill" in text for text in texts)


def test_texts_lie_apart(figure):
    boxes = [figure._suptitle.get_window_extent(), *[legend.get_window_extent() for legend in figure.legends]]
    boxes += [text.get_window_extent() for axes in figure.axes[:2] for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
