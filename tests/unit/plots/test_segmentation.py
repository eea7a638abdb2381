from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai.plots.segmentation import (
    segmentation_dice,
    segmentation_examples,
    segmentation_training,
    sheets_by_number_of_classes,
)
from steel_xai.plots.style import COLOURS
from steel_xai.segmentation.scores import count_pixels
from steel_xai.segmentation.summary import summarise

NAMES = ["multiple chips", "crack"]


def texts(figure):
    """Draw the figure (warnings are errors) and collect what it says."""
    figure.savefig(BytesIO(), format="png")
    found = [text.get_text() for text in figure.texts]
    found += [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc=loc) for axes in figure.axes for loc in ("left", "center")]
    found += [axes.get_ylabel() for axes in figure.axes]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return found


@pytest.fixture
def summaries():
    """Of two networks on ten sheets: one that is right, and one that finds nothing; no sheet has a crack."""
    truth = np.zeros((10, 4, 4), np.uint8)
    truth[:6, :2] = 1

    def summary(predicted):
        tables = [count_pixels(predicted, truth, np.arange(10), 3).assign(split="test", filtered=f) for f in (0, 1)]
        return summarise(pd.concat(tables), NAMES, n_samples=100, seed=0)

    return {"fcn32_cross_entropy": summary(truth), "unet": summary(np.zeros_like(truth))}


def test_dice_is_drawn_over_all_sheets_and_over_those_with_the_class(summaries):
    figure = segmentation_dice(summaries, NAMES, data_source="mill")
    found = texts(figure)
    assert "95% intervals over n = 10 test sheets · data: mill" in found
    assert {"FCN32, cross-entropy", "U-Net", "without filter of small components"} <= set(found)
    assert [text for text in found if text.startswith("n = ")] == ["n = 6", "n = 0", "n = 6"]
    everywhere, present = figure.axes
    assert len(everywhere.collections) == 2 * 2 * 3
    assert len(present.collections) == 2 * 2 * 2  # nothing to draw for a class without sheets


def test_number_of_classes_is_drawn_as_far_as_it_goes(summaries):
    figure = sheets_by_number_of_classes(summaries, data_source="mill")
    found = texts(figure)
    assert "n = 10 test sheets · data: mill" in figure.get_suptitle()
    assert "FCN32, cross-entropy\nno filter: 100% right" in found
    assert "U-Net\nfiltered: 40% right" in found
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes[:4]]
    assert numbers == [["4", "0", "0", "6"], ["4", "0", "6", "0"]] * 2


def test_examples_show_every_network_under_the_sheet_with_a_colour_a_class():
    sheets = np.full((3, 16, 100), 120, np.uint8)
    truth = np.zeros_like(sheets)
    truth[:, 4:8, 10:20] = 1
    predicted = {"fcn32_soft_dice": np.zeros_like(truth), "unet": truth + 1}
    figure = segmentation_examples(
        ["best: a.jpg", "median: b.jpg", "worst: c.jpg"],
        sheets,
        truth,
        predicted,
        NAMES,
        chosen_by="unet",
        n=9,
        data_source="mill",
    )
    found = texts(figure)
    assert {
        "Masks found by networks that were shown masks, without filter of small components",
        "chosen by the Dice without filter of U-Net from n = 9 test sheets with a defect · data: mill",
        "best: a.jpg",
        "FCN32, smooth Dice",
        "U-Net",
        *NAMES,
    } <= set(found)
    handles = figure.legends[0].get_patches()
    assert len({handle.get_facecolor() for handle in handles}) == len(NAMES)


def test_eight_classes_have_eight_colours():
    labels = np.arange(9, dtype=np.uint8)[None, None, :].repeat(4, axis=1)
    names = [f"class {k}" for k in range(1, 9)]
    figure = segmentation_examples(
        ["a"],
        np.full((1, 4, 9), 100, np.uint8),
        labels,
        {"unet": labels},
        names,
        chosen_by="unet",
        n=1,
        data_source="mill",
    )
    texts(figure)
    assert len({handle.get_facecolor() for handle in figure.legends[0].get_patches()}) == 8 == len(COLOURS)


def test_training_curves_name_loss_epochs_and_time():
    history = pd.DataFrame({"epoch": [1, 2], "seconds": [3.0, 4.0]})
    for column in ("train_loss", "validation_loss", "train_dice", "validation_dice"):
        history[column] = [0.5, 0.4]
    losses = {"fcn32_soft_dice": "soft_dice", "unet": "cross_entropy"}
    found = texts(segmentation_training(dict.fromkeys(losses, history), losses, data_source="mill"))
    assert {"FCN32, smooth Dice\n2 epochs, 7 s", "U-Net\n2 epochs, 7 s"} <= set(found)
    assert {"Smooth Dice loss", "Cross-entropy"} <= set(found)
