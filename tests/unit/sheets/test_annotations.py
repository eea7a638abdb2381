from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from steel_xai.errors import InputError
from steel_xai.sheets.annotations import Annotations, read_annotations

CLASS_NAMES = ["chips", "crack", "cracks"]
RAW_SIZE = (4, 5)


def read(rows: Sequence[tuple[str, ...]], columns: str, image_ids: list[str]) -> Annotations:
    table = pd.DataFrame(rows, columns=columns.split(","), dtype="str")
    return read_annotations(table, image_ids, CLASS_NAMES, RAW_SIZE)


def read_masks(rows: list[tuple[str, str, str]], image_ids: list[str]) -> Annotations:
    return read(rows, "ImageId,ClassId,EncodedPixels", image_ids)


def read_labels(rows: list[tuple[str, str]], image_ids: list[str]) -> Annotations:
    return read(rows, "image_id,label", image_ids)


def test_rows_of_masks() -> None:
    found = read_masks([("a.jpg", "3", "1 2 9 1"), ("b.jpg", "1", "4 4"), ("a.jpg", "1", "5 1")], ["a.jpg", "b.jpg"])
    assert found.classes == {"a.jpg": [1, 3], "b.jpg": [1]}
    assert found.runs["a.jpg"][3].tolist() == [[0, 2], [8, 1]]
    assert found.refused == {}
    assert found.has_masks


def test_rows_of_joined_names_with_and_without_masks() -> None:
    rows = [("a_1.jpg_1", ""), ("a_1.jpg_2", "1 2"), ("a_1.jpg_3", " "), ("b.jpg_1", ""), ("b.jpg_2", "")]
    found = read(rows, "ImageId_ClassId,EncodedPixels", ["a_1.jpg", "b.jpg"])
    assert found.classes == {"a_1.jpg": [2]}
    assert found.refused == {}


def test_both_mask_forms_say_the_same() -> None:
    rows = [("a.jpg", "1", "1 2"), ("b.jpg", "3", "4 4 10 2")]
    split = read_masks(rows, ["a.jpg", "b.jpg", "c.jpg"])
    joined = read(
        [(f"{image}_{label}", rle) for image, label, rle in rows],
        "ImageId_ClassId,EncodedPixels",
        ["a.jpg", "b.jpg", "c.jpg"],
    )
    assert split.classes == joined.classes
    for image in split.runs:
        for label in split.runs[image]:
            np.testing.assert_array_equal(split.runs[image][label], joined.runs[image][label])


def test_an_image_without_a_row_has_no_defect() -> None:
    found = read_masks([], ["a.jpg"])
    assert (found.classes, found.refused) == ({}, {})


@pytest.mark.parametrize("columns", ["ImageId,ClassId,EncodedPixels", "ImageId_ClassId,EncodedPixels"])
def test_a_table_of_nothing_but_column_names_has_no_defects(columns: str) -> None:
    found = read([], columns, ["a.jpg"])
    assert (found.classes, found.refused) == ({}, {})


@pytest.mark.parametrize("cell", ["", " "])
def test_a_row_of_a_class_without_its_mask_refuses_the_image(cell: str) -> None:
    found = read_masks([("a.jpg", "2", cell), ("a.jpg", "1", "1 2"), ("b.jpg", "1", "1 2")], ["a.jpg", "b.jpg"])
    assert found.refused == {"a.jpg": ["class 2 has a row but no mask"]}
    assert found.classes == {"b.jpg": [1]}


def test_labels_as_numbers_names_and_no_defect() -> None:
    rows = [("a", "2"), ("b", "chips"), ("c", "no defect"), ("d", "0"), ("e", "crack"), ("e", " 3 ")]
    found = read_labels(rows, list("abcde"))
    assert found.classes == {"a": [2], "b": [1], "c": [], "d": [], "e": [2, 3]}
    assert not found.has_masks
    assert found.refused == {}


def test_an_image_without_a_label_is_refused_where_there_are_no_masks() -> None:
    assert read_labels([("a", "1")], ["a", "b"]).refused == {"b": ["no label"]}


def test_a_sheet_both_with_and_without_a_defect_is_refused() -> None:
    found = read_labels([("a", "0"), ("a", "1")], ["a"])
    assert found.refused == {"a": ["labelled both with and without a defect"]}
    assert found.classes == {}


def test_wrong_columns_are_named_with_the_accepted_ones() -> None:
    with pytest.raises(InputError, match=r"columns id,rle; .*ImageId,ClassId,EncodedPixels; .*image_id,label"):
        read([("a", "1 2")], "id,rle", ["a"])


def test_duplicate_rows_refuse_the_image() -> None:
    found = read_masks([("a.jpg", "1", "1 2"), ("a.jpg", "1", "7 2"), ("b.jpg", "1", "1 2")], ["a.jpg", "b.jpg"])
    assert found.refused == {"a.jpg": ["class 1 has more than one row"]}
    assert found.classes == {"b.jpg": [1]}


def test_the_same_label_twice_refuses_the_image() -> None:
    assert read_labels([("a", "1"), ("a", "chips")], ["a"]).refused == {"a": ["class 1 has more than one row"]}


@pytest.mark.parametrize(
    ("rle", "reason"),
    [
        ("1", "odd"),
        ("1 x", "numeric"),
        ("1 3 2 1", "overlapping"),
        ("0 2", "zero"),
        ("-1 2", "negative"),
        ("20 2", "leaves the 4x5 image"),
    ],
)
def test_a_bad_mask_refuses_the_whole_image(rle: str, reason: str) -> None:
    found = read_masks([("a.jpg", "1", "1 2"), ("a.jpg", "2", rle)], ["a.jpg"])
    assert found.runs == {}
    assert found.classes == {}
    assert len(found.refused["a.jpg"]) == 1
    assert found.refused["a.jpg"][0].startswith("class 2: RLE")
    assert reason in found.refused["a.jpg"][0]


@pytest.mark.parametrize("label", ["0", "4", "-1", "1.0", "one", "", "²"])
def test_a_class_outside_the_list_refuses_the_image(label: str) -> None:
    assert read_masks([("a.jpg", label, "1 2")], ["a.jpg"]).refused == {
        "a.jpg": [f"class {label!r} is not one of 1..3"]
    }


def test_a_label_outside_the_list_refuses_the_image() -> None:
    assert read_labels([("a", "scratch")], ["a"]).refused == {"a": ["class 'scratch' is not one of 0..3"]}


@pytest.mark.parametrize(
    ("image_id", "reason"),
    [
        ("../x.jpg", "path"),
        ("/etc/x.jpg", "path"),
        ("a\\b.jpg", "path"),
        ("..", "path"),
        ("", "empty"),
        ("a\0.jpg", "unprintable"),
        ("a\n.jpg", "unprintable"),
    ],
)
@pytest.mark.parametrize("form", ["ImageId,ClassId,EncodedPixels", "ImageId_ClassId,EncodedPixels", "image_id,label"])
def test_an_image_name_that_is_no_plain_file_name_is_refused(form: str, image_id: str, reason: str) -> None:
    row = {
        "ImageId,ClassId,EncodedPixels": (image_id, "1", "1 2"),
        "ImageId_ClassId,EncodedPixels": (f"{image_id}_1", "1 2"),
        "image_id,label": (image_id, "1"),
    }[form]
    found = read([row], form, [])
    assert list(found.refused) == [image_id]
    assert reason in found.refused[image_id][0]


def test_a_joined_name_without_its_class_is_refused_under_its_own_name() -> None:
    found = read([("a.jpg", "1 2")], "ImageId_ClassId,EncodedPixels", ["a.jpg"])
    assert found.refused == {"a.jpg": ["class '' is not one of 1..3"]}


def test_an_annotated_image_that_is_missing_is_refused() -> None:
    assert read_masks([("a.jpg", "1", "1 2")], ["b.jpg"]).refused == {"a.jpg": ["image file is missing"]}


def test_all_reasons_of_an_image_are_kept() -> None:
    rows = [("a.jpg", "1", "1 2"), ("a.jpg", "1", "1"), ("a.jpg", "9", "1 2")]
    assert read_masks(rows, []).refused == {
        "a.jpg": [
            "image file is missing",
            "class '9' is not one of 1..3",
            "class 1 has more than one row",
            "class 1: RLE has an odd count of numbers",
        ]
    }


@pytest.mark.parametrize("name", ["A.JPG", " a.jpg", "a.jpg ", "a\u0301.jpg"])
def test_a_file_is_no_defect_free_sheet_where_an_annotation_may_be_meant_for_it(name: str) -> None:
    file = "\u00e1.jpg" if "\u0301" in name else "a.jpg"
    refused = read_masks([(name, "1", "1 2")], [file, "b.jpg"]).refused
    assert refused == {
        name: ["image file is missing"],
        file: [f"train.csv names {name!r}, which differs in blanks, case or accents only"],
    }


def test_files_that_differ_in_case_only_keep_their_own_annotations() -> None:
    found = read_masks([("A.jpg", "1", "1 2"), ("a.jpg", "2", "1 2")], ["A.jpg", "a.jpg"])
    assert found.classes == {"A.jpg": [1], "a.jpg": [2]}
    assert found.refused == {}


def test_reasons_are_short_and_printable_whatever_the_cells_hold() -> None:
    found = read_masks([("a.jpg", "\x1b[2J" + "9" * 10_000, "1")], ["a.jpg"])
    assert all(reason.isprintable() and len(reason) < 200 for reason in found.refused["a.jpg"])


def test_the_message_about_wrong_columns_is_short_and_printable() -> None:
    with pytest.raises(InputError, match=r"columns a\\n,b{80}\.\.\.,.*,\.\.\.; give it") as refused:
        read([], ",".join(["a\n", "b" * 10_000, *map(str, range(50))]), ["a"])
    assert len(str(refused.value)) < 400
