from typing import Any

import cv2
import numpy as np
import pytest
from kedro.io.core import Version
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai.cascade import submission
from steel_xai.cascade.steps import Steps
from steel_xai.cascade.submission import check_submission, encode_mask, enlarge, images_among, write_submission
from steel_xai.cascade.thresholds import WHOLE, Thresholds
from steel_xai.datasets.table import CSVDataset
from steel_xai.errors import InputError
from steel_xai.pipelines.cascade import nodes
from steel_xai.segmentation.segmenter import Segmenter
from steel_xai.sheets.rle import decode_rle

RAW = (64, 128)
THRESHOLDS = Thresholds(0.5, [0.5, 0.5], [0, 0])
HOW: dict[str, Any] = {"raw_size": RAW, "tensor_shape": (1, 32, 64), "batch_size": 2, "device": "cpu"}


@pytest.fixture
def paths(tmp_path, sheets):
    """Sheets 3, 0, 1, 2 as files of twice the tensor's size, whose names are in another order, and a damaged one."""
    found = {}
    for name, row in {"b.png": 0, "a.png": 3, "d,1.png": 2, "c.png": 1}.items():
        found[name] = tmp_path / name
        cv2.imwrite(str(found[name]), np.kron(sheets[row, 0], np.ones((2, 2), np.uint8)))
    found["a.JPG"] = tmp_path / "a.JPG"
    found["a.JPG"].write_text("no sheet")
    return found


def test_masks_stand_in_the_order_of_images_and_classes(steps, paths, masks, caplog):
    table = write_submission(steps, THRESHOLDS, paths, **HOW)
    names = ["a.JPG", "a.png", "b.png", "c.png", "d,1.png"]
    assert table["ImageId_ClassId"].tolist() == [f"{name}_{k}" for name in names for k in (1, 2)]
    texts = dict(zip(table["ImageId_ClassId"], table["EncodedPixels"], strict=True))
    for name, row in {"a.png": 3, "b.png": 0, "c.png": 1, "d,1.png": 2}.items():
        for number in (1, 2):
            expected = np.kron(masks[row] == number, np.ones((2, 2), bool))
            assert np.array_equal(decode_rle(texts[f"{name}_{number}"], *RAW), expected)
    assert texts["a.JPG_1"] == texts["a.JPG_2"] == texts["b.png_1"] == ""
    assert "1 of 5 images are no usable sheets and get empty masks: a.JPG" in caplog.text
    check_submission(table, list(paths), 2, RAW)


def test_files_that_are_images_neither_by_name_nor_by_content_get_no_rows(steps, paths, tmp_path, caplog):
    contents = {
        "a.txt": b"a note",
        "empty": b"",
        "b.bmp": b"BM",
        "b.csv.png": b"",
        "sheet": paths["b.png"].read_bytes(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to(paths["a.png"])
    images = images_among(paths | {name: tmp_path / name for name in (*contents, "link")})
    assert set(images) == {*paths, "b.csv.png", "sheet"}
    assert (
        "4 of 11 files in test_images are no images, neither by name nor by content, and get no rows: "
        "a.txt (neither a JPEG nor a PNG); empty (empty file); b.bmp (neither a JPEG nor a PNG); link (a link"
    ) in caplog.text


def test_saved_submission_has_rows_of_the_images_alone(steps, paths, sheets, tmp_path, parameters):
    (tmp_path / "a.txt").write_text("a note")
    chosen = {
        WHOLE: {"gate": 0.5, "labels": dict.fromkeys(CLASS_NAMES, 0.5), "minimum_areas": dict.fromkeys(CLASS_NAMES, 0)}
    }
    files = paths | {"a.txt": tmp_path / "a.txt"}
    table = nodes.write_submission(
        steps.gate, steps.labels, steps.unets, sheets, chosen, files, CLASS_NAMES, RAW, parameters
    )
    assert table["ImageId_ClassId"].tolist() == [f"{name}_{number}" for name in sorted(paths) for number in (1, 2)]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.Png"])
def test_damaged_image_keeps_its_rows_by_its_name_and_is_not_opened_to_tell(tmp_path, name, caplog):
    missing = tmp_path / name
    assert images_among({name: missing}) == {name: missing}
    assert not caplog.text


def test_csv_comes_back_with_empty_text(tmp_path, steps, paths):
    table = write_submission(steps, THRESHOLDS, paths, **HOW)
    options: dict[str, Any] = {"load_args": {"dtype": str, "keep_default_na": False}, "version": Version(None, "1")}
    dataset = CSVDataset(filepath=str(tmp_path / "submission.csv"), **options)
    dataset.save(table)
    loaded = CSVDataset(filepath=str(tmp_path / "submission.csv"), **options | {"version": Version("1", None)}).load()
    assert loaded.to_dict("list") == table.to_dict("list")
    check_submission(loaded, list(paths), 2, RAW)


def test_networks_see_only_what_the_steps_before_let_pass(steps, paths, monkeypatch):
    seen = []

    def mask_probabilities(unet: Segmenter, number: int, sheets: np.ndarray, rows: np.ndarray, **how: object) -> list:
        seen.append((number, len(rows)))
        return []

    monkeypatch.setattr(submission, "mask_probabilities", mask_probabilities)
    table = write_submission(steps, THRESHOLDS, paths, **HOW | {"batch_size": 5})
    assert seen == [(1, 2), (2, 2)]  # of four sheets one has both classes and one none
    assert (table["EncodedPixels"] == "").all()
    seen.clear()
    write_submission(steps, Thresholds(1.1, [0.5, 0.5], [0, 0]), paths, **HOW | {"batch_size": 5})
    assert seen == [(1, 0), (2, 0)]


def test_without_sheets_there_is_a_header_alone(steps, caplog):
    caplog.set_level("INFO")
    table = write_submission(steps, THRESHOLDS, {}, **HOW)
    assert list(table.columns) == ["ImageId_ClassId", "EncodedPixels"]
    assert table.empty
    assert "header only" in caplog.text
    check_submission(table, [], 2, RAW)


def test_enlarged_mask_keeps_its_place_and_loses_small_parts():
    probabilities = np.zeros((8, 16), np.float32)
    probabilities[1:5, 2:8] = 1
    probabilities[6, 13] = 1
    large = enlarge(probabilities, 5, (32, 64))
    rows, columns = np.nonzero(large)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 19, 8, 31)
    assert enlarge(probabilities, 0, (32, 64))[:, 50:].any()
    assert not large[:, 50:].any()


def test_mask_that_does_not_come_back_is_an_error(monkeypatch):
    monkeypatch.setattr(submission, "encode_rle", lambda mask: "1 1")
    with pytest.raises(InputError, match="does not come back"):
        encode_mask(np.ones((2, 2), bool), "class 1")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("ImageId_ClassId", "b.jpg_1", "in order of images"),
        ("EncodedPixels", "1 99999", "no legal mask"),
        ("EncodedPixels", "5 1 1 2", "not in order"),
        ("EncodedPixels", "1 1 2 1", "as long as they can be"),
        ("EncodedPixels", float("nan"), "no legal mask"),
    ],
)
def test_wrong_rows_are_named(steps, paths, column, value, problem):
    table = write_submission(steps, THRESHOLDS, paths, **HOW).astype(object)
    table.loc[0, column] = value
    with pytest.raises(InputError, match=problem):
        check_submission(table, list(paths), len(CLASS_NAMES), RAW)


def test_models_are_exchanged_by_putting_others_in_their_place(steps, paths):
    only_bright = Steps(steps.gate, steps.labels, {1: steps.unets[1], 2: _blind(steps.unets[2])}, CLASS_NAMES)
    table = write_submission(only_bright, THRESHOLDS, paths, **HOW)
    found = table.loc[table["EncodedPixels"] != "", "ImageId_ClassId"].tolist()
    assert found == ["a.png_1", "c.png_1"]


def _blind(unet: Segmenter) -> Segmenter:
    import torch

    class Blind(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([5.0, -5.0])[None, :, None, None].expand(len(images), 2, *images.shape[2:])

    return Segmenter(Blind(), unet.description)
