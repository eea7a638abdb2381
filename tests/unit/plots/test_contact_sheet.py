import numpy as np
import pytest

from steel_xai.plots.contact_sheet import EXAMPLES, contact_sheet
from steel_xai.plots.style import BLUE, GREEN, VERMILION

SIZE = (16, 100)


def words(figure):
    written = [text.get_text() for text in figure.texts]
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    legend = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return written + labels + legend


def colours(figure):
    """The colours of the pictures, as #RRGGBB."""
    pixels = np.concatenate([axes.images[0].get_array().reshape(-1, 3) for axes in figure.axes if axes.images])
    return {"#" + "".join(f"{round(255 * channel):02X}" for channel in pixel) for pixel in np.unique(pixels, axis=0)}


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_are_spread_from_the_first_to_the_last(channels):
    sheets = np.full((100, channels, *SIZE), 7, np.uint8)
    shown = words(contact_sheet(sheets, data_source="mill"))
    assert "12 of 100 sheets · data: mill" in shown
    assert [label for label in shown if label.startswith("row")] == [f"row {99 * i // 11}" for i in range(EXAMPLES)]


def test_fewer_sheets_than_examples_are_each_shown_once():
    shown = words(contact_sheet(np.zeros((3, 1, *SIZE), np.uint8), data_source="mill"))
    assert [label for label in shown if label.startswith("row")] == ["row 0", "row 1", "row 2"]


def test_masks_show_each_class_in_turn_in_its_colour_and_leave_out_empty_ones():
    masks = np.zeros((120, *SIZE), np.uint8)
    masks[5, :4] = 0b001
    masks[7, :4] = 0b100
    masks[12, :4] = 0b010
    masks[15, :4] = 0b100
    figure = contact_sheet(masks, data_source="mill", class_names=["chips", "crack", "patches"])
    shown = words(figure)
    # of the first stretch, rows 0 to 9, the first class; of the second the second
    assert [label for label in shown if label.startswith("row")] == ["row 5", "row 12"]
    assert {"chips", "crack", "patches"} <= set(shown)
    assert {BLUE, VERMILION} <= colours(figure)
    assert GREEN not in colours(figure)


def test_class_that_a_stretch_lacks_is_replaced_by_another_and_unnamed_bits_are_numbered():
    masks = np.zeros((12, *SIZE), np.uint8)
    masks[1, :4] = 0b100
    shown = words(contact_sheet(masks, data_source="mill", class_names=["chips", "crack"]))
    assert "row 1" in shown
    assert {"chips", "crack", "class 3"} <= set(shown)


def test_masks_without_any_defect_say_so():
    assert "0 sheets with a defect, of 5 sheets · data: mill" in words(
        contact_sheet(np.zeros((5, *SIZE), np.uint8), data_source="mill")
    )


def test_maps_are_red_where_they_excite_and_blue_where_they_inhibit_whatever_their_scale():
    maps = np.zeros((2, *SIZE), np.float16)
    maps[:, :8] = np.array([1e-4, 1e4], np.float16)[:, None, None]
    maps[:, 8:] = -maps[:, :8]
    figure = contact_sheet(maps, data_source="mill")
    picture = np.asarray(figure.axes[0].images[0].get_array())
    for top in (0, len(picture) // 2):  # one map below the other, each with a gap under it
        assert picture[top, 0, 0] > picture[top, 0, 2]
        assert picture[top + 12, 0, 2] > picture[top + 12, 0, 0]
    assert "2 of 2 maps, each with a scale of its own · data: mill" in words(figure)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((4, 2)), "An array of float64, 4 x 2"),
        (np.zeros((0, *SIZE), np.uint8), "There is nothing in this array."),
    ],
    ids=["table", "empty"],
)
def test_what_is_no_picture_is_described(array, text):
    assert text in words(contact_sheet(array, data_source="mill"))
