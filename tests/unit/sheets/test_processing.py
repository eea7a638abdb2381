import io
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from steel_xai.array_file import ArrayFile
from steel_xai.errors import InputError
from steel_xai.parameters import DuplicateParameters, ProcessingParameters, StainDetectionParameters
from steel_xai.sheets.annotations import Annotations, read_annotations
from steel_xai.sheets.processing import ProcessedSheets, draw_shrunk, process_sheets, shrink_mask
from steel_xai.sheets.rle import encode_rle, parse_rle

RAW_SIZE, TENSOR_SIZE = (16, 40), (4, 10)
CLASS_NAMES = ["chips", "crack"]


def write_image(folder: Path, name: str, level: int, size: tuple[int, int] = RAW_SIZE, kind: str = "PNG") -> None:
    Image.fromarray(np.full(size, level, dtype=np.uint8)).save(folder / name, kind)


def annotate(
    rows: Sequence[tuple[str, ...]], image_ids: list[str], form: str = "ImageId,ClassId,EncodedPixels"
) -> Annotations:
    table = pd.DataFrame(rows, columns=form.split(","), dtype="str")
    return read_annotations(table, image_ids, CLASS_NAMES, RAW_SIZE)


def rectangle(top: int, bottom: int, left: int, right: int) -> str:
    mask = np.zeros(RAW_SIZE, dtype=np.uint8)
    mask[top:bottom, left:right] = 1
    return encode_rle(mask)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for level, name in enumerate(["b.jpg", "c.jpg", "a.jpg"], start=1):
        write_image(folder, name, 10 * level)
    return folder


@pytest.fixture
def parameters() -> ProcessingParameters:
    return ProcessingParameters.model_validate(
        {
            "n_jobs": 2,
            "batch_size": 2,
            "duplicates": dict.fromkeys(DuplicateParameters.model_fields, 1),
            "white_stains": dict.fromkeys(StainDetectionParameters.model_fields, 1),
        }
    )


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def process(
    images: Path,
    rows: Sequence[tuple[str, ...]],
    parameters: ProcessingParameters,
    staging: Path,
    form: str = "ImageId,ClassId,EncodedPixels",
) -> ProcessedSheets:
    paths = {path.name: path for path in images.iterdir()}
    return process_sheets(
        paths,
        annotate(rows, list(paths), form),
        raw_size=RAW_SIZE,
        tensor_size=TENSOR_SIZE,
        channels=1,
        class_count=len(CLASS_NAMES),
        parameters=parameters,
        folder=staging,
    )


def test_rows_follow_the_image_names(images: Path, parameters: ProcessingParameters, staging: Path) -> None:
    result = process(images, [], parameters, staging)
    assert result.index["image_id"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert result.index["row"].tolist() == [0, 1, 2]
    sheets = np.load(result.sheets, mmap_mode="r", allow_pickle=False)
    assert sheets.shape == (3, 1, *TENSOR_SIZE)
    assert sheets[:, 0, 0, 0].tolist() == [30, 10, 20]


def test_masks_areas_and_labels_of_two_classes(images: Path, parameters: ProcessingParameters, staging: Path) -> None:
    rows = [
        ("b.jpg", "1", rectangle(0, 4, 0, 4)),
        ("b.jpg", "2", rectangle(0, 8, 0, 4)),
        ("c.jpg", "2", rectangle(4, 8, 36, 40)),
    ]
    result = process(images, rows, parameters, staging)
    masks = np.load(result.masks, mmap_mode="r", allow_pickle=False)
    expected = np.zeros((3, *TENSOR_SIZE), dtype=np.uint8)
    expected[1, :2, 0] = [3, 2]
    expected[2, 1, 9] = 2
    np.testing.assert_array_equal(masks, expected)
    assert list(result.index) == ["row", "image_id", "label_1", "label_2", "area_1", "area_2"]
    assert result.index[["label_1", "label_2"]].to_numpy().tolist() == [[0, 0], [1, 1], [0, 1]]
    assert result.index[["area_1", "area_2"]].to_numpy().tolist() == [[0, 0], [16, 32], [0, 16]]


def test_labels_without_masks_leave_areas_missing_and_masks_empty(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    rows = [("a.jpg", "crack"), ("b.jpg", "0"), ("c.jpg", "1")]
    result = process(images, rows, parameters, staging, form="image_id,label")
    assert result.index[["label_1", "label_2"]].to_numpy().tolist() == [[0, 1], [0, 0], [1, 0]]
    assert result.index[["area_1", "area_2"]].isna().all(axis=None)
    assert np.load(result.masks, mmap_mode="r", allow_pickle=False).shape == (0, *TENSOR_SIZE)
    assert "0,a.jpg,0,1,,\n" in result.index.to_csv(index=False)


def test_a_sheet_is_refused_whole_with_all_its_reasons(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    write_image(images, "wrong.jpg", 1, size=(8, 8))
    rows = [
        ("wrong.jpg", "1", "1 2 3"),
        ("gone.jpg", "1", "1 2"),
        ("../a.jpg", "1", "1 2"),
        ("a.jpg", "1", rectangle(0, 4, 0, 4)),
    ]
    result = process(images, rows, parameters, staging)
    assert result.index["image_id"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert dict(result.quarantine.to_numpy().tolist()) == {
        "../a.jpg": "image name has a path in it",
        "gone.jpg": "image file is missing",
        "wrong.jpg": "class 1: RLE has an odd count of numbers; 8x8, expected 16x40",
    }


def test_accepted_and_refused_make_up_all_files_and_annotated_images(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (images / "empty.jpg").touch()
    (images / "link.jpg").symlink_to(images / "a.jpg")
    os.mkfifo(images / "pipe.jpg")
    rows = [("a.jpg", "7", "1 2"), ("gone.jpg", "1", "1 2"), ("broken.jpg", "1", "1 2")]
    result = process(images, rows, parameters, staging)
    names = result.index["image_id"].tolist() + result.quarantine["image_id"].tolist()
    raw = {path.name for path in images.iterdir()} | {row[0] for row in rows}
    assert sorted(names) == sorted(raw)


def test_unprintable_names_are_written_escaped(images: Path, parameters: ProcessingParameters, staging: Path) -> None:
    result = process(images, [("a\0b", "1", "1 2")], parameters, staging)
    assert result.quarantine["image_id"].tolist() == ["a\\x00b"]


def test_two_names_stay_two_when_they_are_escaped(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    result = process(images, [("a\nb", "1", "1 2"), ("a\\nb", "1", "1 2")], parameters, staging)
    assert sorted(result.quarantine["image_id"]) == ["a\\\\nb", "a\\nb"]


def test_countless_reasons_of_one_image_are_counted(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    result = process(images, [("a.jpg", f"x{number}", "1 1") for number in range(50)], parameters, staging)
    (reason,) = result.quarantine["reason"]
    assert reason.count(";") == 20
    assert reason.endswith("; 30 more reasons")


def test_the_result_does_not_depend_on_workers_or_batches(
    images: Path, parameters: ProcessingParameters, tmp_path: Path
) -> None:
    written = []
    for name, n_jobs, batch_size in (("one", 1, 1), ("two", 2, 64)):
        (tmp_path / name).mkdir()
        update = parameters.model_copy(update={"n_jobs": n_jobs, "batch_size": batch_size})
        result = process(images, [("b.jpg", "1", "1 99")], update, tmp_path / name)
        written.append((result.sheets.read_bytes(), result.masks.read_bytes(), result.index.to_csv()))
    assert written[0] == written[1]


def test_a_png_named_jpg_and_a_jpeg_are_both_taken(
    images: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    write_image(images, "d.jpg", 77, kind="JPEG")
    result = process(images, [], parameters, staging)
    assert len(result.index) == 4
    assert result.quarantine.empty
    assert list(result.quarantine) == ["image_id", "reason"]


def test_no_usable_sheet_is_an_error_with_counted_reasons(
    tmp_path: Path, parameters: ProcessingParameters, staging: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (images / name).touch()
    with pytest.raises(
        InputError, match=r"none of the 3 sheets can be used: 2 x empty file; 1 x image file is missing"
    ):
        process(images, [("c.jpg", "1", "1 2")], parameters, staging)
    assert not list(staging.iterdir())


def test_an_empty_folder_is_an_error(tmp_path: Path, parameters: ProcessingParameters, staging: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="there is no image file"):
        process(tmp_path / "images", [], parameters, staging)


def test_more_classes_than_bits_are_an_error(parameters: ProcessingParameters, staging: Path) -> None:
    with pytest.raises(InputError, match="class_names lists 9 classes; masks hold at most 8"):
        process_sheets(
            {},
            annotate([], []),
            raw_size=RAW_SIZE,
            tensor_size=TENSOR_SIZE,
            channels=1,
            class_count=9,
            parameters=parameters,
            folder=staging,
        )


def test_a_full_disk_stops_the_run_and_leaves_no_staged_file(
    images: Path, parameters: ProcessingParameters, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    def append_to_full_disk(file: ArrayFile, block: np.ndarray) -> None:
        file._file.close()
        file._file = FullDisk()  # type: ignore[assignment]
        append(file, block)

    append = ArrayFile.append
    monkeypatch.setattr(ArrayFile, "append", append_to_full_disk)
    with pytest.raises(InputError, match=r"cannot write .*sheets\.npy: No space left on device"):
        process(images, [], parameters, staging)
    assert not list(staging.iterdir())


def test_an_unwritable_folder_is_told(images: Path, parameters: ProcessingParameters, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write into .*nowhere"):
        process(images, [], parameters, tmp_path / "nowhere")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        yield caplog


def test_the_log_counts_accepted_and_refused_by_reason(
    images: Path, parameters: ProcessingParameters, staging: Path, log: pytest.LogCaptureFixture
) -> None:
    (images / "empty.jpg").touch()
    process(images, [], parameters, staging)
    assert log.messages == ["sheets: 3 accepted, 1 refused (1 x empty file)"]


def test_a_pixel_covered_by_exactly_half_is_on() -> None:
    mask = np.zeros((8, 12), dtype=np.uint8)
    mask[:4, :2] = 1
    mask[4:8, 4:8] = 1
    mask[4:, 8:9] = 1
    assert shrink_mask(mask, (2, 3)).tolist() == [[True, False, False], [False, True, False]]


def test_a_thin_mask_keeps_its_best_covered_pixels() -> None:
    mask = np.zeros((8, 12), dtype=np.uint8)
    mask[:, 4] = 1
    mask[0, 5] = 1
    assert shrink_mask(mask, (2, 3)).tolist() == [[False, True, False], [False, False, False]]


@given(hnp.arrays(np.uint8, (9, 15), elements=st.integers(0, 1)))
def test_masks_shrink_as_the_share_of_each_area_says(mask: np.ndarray) -> None:
    share = mask.reshape(3, 3, 5, 3).mean(axis=(1, 3))
    expected = share >= min(0.5, share.max()) if mask.any() else np.zeros((3, 5), dtype=bool)
    np.testing.assert_array_equal(shrink_mask(mask, (3, 5)), expected)
    assert shrink_mask(mask, (3, 5)).any() == mask.any()


@given(hnp.arrays(np.uint8, (8, 24), elements=st.integers(0, 1)), st.sampled_from([(4, 12), (2, 6), (3, 24), (3, 7)]))
def test_runs_are_drawn_as_the_whole_picture_would_be(mask, size):
    runs = parse_rle(encode_rle(mask), *mask.shape)
    np.testing.assert_array_equal(draw_shrunk(runs, mask.shape, size), shrink_mask(mask, size))
