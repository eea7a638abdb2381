import base64
import io

import numpy as np
from PIL import Image

from steel_xai.explain.pictures import encode, heat_map, outline, shown_size


def test_outline_follows_the_pixels_of_the_mask():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    numbers = np.array([point.split() for point in outline(mask).strip("MZ").split("L")], float)
    # the outermost eighths of the pixels' borders
    np.testing.assert_allclose(numbers.min(axis=0), [2, 1], atol=0.13)
    np.testing.assert_allclose(numbers.max(axis=0), [5, 3], atol=0.13)


def test_outline_has_a_path_for_each_part_and_hole():
    mask = np.zeros((9, 20), bool)
    mask[1:8, 1:8] = True
    mask[3:5, 3:5] = False
    mask[2, 15] = True
    assert outline(mask).count("M") == 3
    assert outline(np.zeros((4, 4), bool)) == ""


def test_pictures_are_whole_files(tmp_path):
    picture = np.full((16, 32), 90, np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(encode(picture)))) as image:
        assert image.size == (32, 16)
        assert abs(int(np.asarray(image)[8, 8, 0]) - 90) < 8


def test_heat_map_is_grey_without_relevance_and_red_at_its_strongest():
    evidence = np.zeros((8, 20), np.float32)
    evidence[:, 10:] = 2.0
    picture = heat_map(np.full((16, 40), 100, np.uint8), evidence)
    assert picture.shape == (16, 40, 3)
    assert len(np.unique(picture[:, :10])) == 1
    red, green, blue = picture[8, 35].astype(int)
    assert red - max(green, blue) > 100


def test_shown_sheets_are_never_larger_than_raw_ones():
    assert shown_size((256, 1600), (64, 400)) == (128, 800)
    assert shown_size((100, 300), (64, 400)) == (100, 300)
