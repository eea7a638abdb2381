import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steel_xai.errors import InputError
from steel_xai.parameters import SplitFractions, SplitParameters
from steel_xai.sheets.flips import flip_probability, flipped_copies
from steel_xai.sheets.splits import (
    SPLITS,
    check_rows,
    copy_rare_classes,
    draw_split,
    example_labels,
    hold_out_together,
    output_names,
    split_sheets,
)

FRACTIONS = SplitFractions(train=0.6, validation=0.2, test=0.2)
CHIPS_AND_CRACK = ["chips", "crack"]


def parameters(**changes: Any) -> SplitParameters:
    values: dict[str, Any] = {
        "labels": "single_class",
        "several_classes": "drop",
        "fractions": FRACTIONS,
        "augmentation": "random",
        "extra_copies": {},
        "flip_probability": "auto",
    }
    return SplitParameters(**{**values, **changes})


def examples(labels: list[int], groups: list[int] | None = None) -> pd.DataFrame:
    rows = np.arange(len(labels))
    return pd.DataFrame(
        {
            "row": rows,
            "image_id": [f"{row}.jpg" for row in rows],
            "label": labels,
            "duplicate_group": rows if groups is None else groups,
        }
    )


def index(label_1: list[int], label_2: list[int]) -> pd.DataFrame:
    rows = np.arange(len(label_1))
    ids = [f"{row}.jpg" for row in rows]
    return pd.DataFrame(
        {"row": rows, "image_id": ids, "label_1": label_1, "label_2": label_2, "duplicate_group": rows[::-1]}
    )


def test_any_defect_is_one_against_none() -> None:
    found = example_labels(index([0, 1, 0, 1], [0, 0, 1, 1]), "any_defect")
    assert found["label"].tolist() == [0, 1, 1, 1]
    assert list(found) == ["row", "image_id", "label", "duplicate_group"]
    assert found["duplicate_group"].tolist() == [3, 2, 1, 0]


def test_sheets_of_several_classes_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        found = example_labels(index([0, 1, 0, 1], [0, 0, 1, 1]), "single_class")
    assert found["row"].tolist() == [0, 1, 2]
    assert found["label"].tolist() == [0, 1, 2]
    assert caplog.messages == ["1 sheets with more than one class left out"]


def index_with_areas(areas_1: list[Any], areas_2: list[Any]) -> pd.DataFrame:
    table = index([int(area != 0) for area in areas_1], [int(area != 0) for area in areas_2])
    return table.assign(area_1=pd.array(areas_1, dtype="Int64"), area_2=pd.array(areas_2, dtype="Int64"))


def test_sheets_of_several_classes_take_the_class_of_largest_area(caplog: pytest.LogCaptureFixture) -> None:
    sheets = index_with_areas([0, 9, 0, 5, 6, 7], [0, 0, 8, 6, 5, 7])
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        found = example_labels(sheets, "single_class", "largest_area")
    assert found["label"].tolist() == [0, 1, 2, 2, 1, 1]
    assert caplog.messages == ["3 sheets with more than one class labelled by their largest area"]


def test_largest_area_of_a_table_read_from_a_file(tmp_path: Path) -> None:
    index_with_areas([0, 5, 9], [3, 6, 0]).assign(label_1=[0, 1, 1]).to_csv(tmp_path / "index.csv", index=False)
    table = pd.read_csv(tmp_path / "index.csv")
    extra = table.iloc[[0]].assign(row=3, label_2=0, area_2=0)
    found = example_labels(pd.concat([table, extra], ignore_index=True), "single_class", "largest_area")
    assert found["label"].tolist() == [2, 2, 1, 0]


@pytest.mark.parametrize("missing", [pd.NA, float("nan")])
def test_largest_area_of_labels_without_masks_is_an_error(missing: Any) -> None:
    sheets = index([0, 1, 0, 1], [0, 0, 1, 1]).assign(area_1=missing, area_2=missing)
    with pytest.raises(InputError, match=r"labels of '3\.jpg' come without masks; set splits\.several_classes: drop"):
        example_labels(sheets, "single_class", "largest_area")
    assert example_labels(sheets, "single_class", "drop")["label"].tolist() == [0, 1, 2]


def test_largest_area_asks_for_no_masks_where_no_sheet_has_several_classes() -> None:
    sheets = index([0, 1, 0], [0, 0, 1]).assign(area_1=pd.NA, area_2=pd.NA)
    assert example_labels(sheets, "single_class", "largest_area")["label"].tolist() == [0, 1, 2]


def test_outputs_are_named_in_the_order_of_their_labels() -> None:
    assert output_names("any_defect", ["chips", "crack"]) == ["no defect", "defect"]
    assert output_names("single_class", ["chips", "crack"]) == ["no defect", "chips", "crack"]


def test_a_binary_task_without_defect_free_sheets_names_the_one_that_can_be_trained() -> None:
    with pytest.raises(
        InputError, match=r"binary task cannot be trained, because every sheet .*--pipeline=multi_model"
    ):
        example_labels(index([1, 1, 0], [0, 0, 1]), "any_defect")


def test_a_single_class_task_does_without_defect_free_sheets(caplog: pytest.LogCaptureFixture) -> None:
    assert example_labels(index([1, 1, 0], [0, 0, 1]), "single_class")["label"].tolist() == [1, 1, 2]
    assert caplog.messages == ["every sheet has a defect, so no sheet trains the output 'no defect'"]


def test_no_defective_sheet_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no sheet has a defect; check the annotations"):
        example_labels(index([0, 0], [0, 0]), "any_defect")


def test_a_class_that_never_occurs_alone_is_an_error() -> None:
    with pytest.raises(InputError, match=r"class 2 and no other .*take it out of class_names"):
        example_labels(index([0, 1, 1], [0, 0, 1]), "single_class")


def test_every_class_is_split_by_the_fractions() -> None:
    split = split_sheets(examples([0] * 500 + [1] * 100 + [2] * 10), FRACTIONS, seed=0)
    shares = pd.crosstab(split["label"], split["split"], normalize="index")
    np.testing.assert_allclose(shares[list(SPLITS)], np.tile([0.6, 0.2, 0.2], (3, 1)), atol=0.011)


def test_other_fractions_are_met_too() -> None:
    split = split_sheets(examples([0, 1] * 400), SplitFractions(train=0.85, validation=0.05, test=0.1), seed=0)
    assert split["split"].value_counts().to_dict() == {"train": 680, "validation": 40, "test": 80}


def test_sizes_hold_with_groups_of_many_sizes() -> None:
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 400, size=1000))
    split = split_sheets(examples((groups % 3 == 0).astype(int).tolist(), groups.tolist()), FRACTIONS, seed=1)
    shares = split["split"].value_counts(normalize=True)
    np.testing.assert_allclose(shares[list(SPLITS)], [0.6, 0.2, 0.2], atol=0.01)


def test_the_table_has_no_copies_and_keeps_the_order() -> None:
    split = split_sheets(examples([0, 1] * 5), FRACTIONS, seed=0)
    assert list(split) == ["row", "image_id", "label", "split", "copy", "flip_h", "flip_v"]
    assert split["row"].tolist() == list(range(10))
    assert not split[["copy", "flip_h", "flip_v"]].any(axis=None)


def test_another_seed_gives_another_split() -> None:
    first, second = (split_sheets(examples([0, 1] * 50), FRACTIONS, seed=seed)["split"] for seed in (0, 1))
    assert (first != second).any()


def test_the_rarest_class_reaches_every_split() -> None:
    split = split_sheets(examples([0] * 90 + [1] * 3), FRACTIONS, seed=0)
    assert sorted(split.loc[split["label"] == 1, "split"]) == sorted(SPLITS)


def test_a_class_of_too_few_sheets_is_an_error() -> None:
    with pytest.raises(InputError, match=r"label 1 has 2 independent sheets .*train, validation, test; add sheets"):
        split_sheets(examples([0] * 10 + [1, 1]), FRACTIONS, seed=0)


def test_near_duplicates_count_as_one_sheet_of_a_class() -> None:
    with pytest.raises(InputError, match="label 1 has 2 independent sheets"):
        split_sheets(examples([0] * 10 + [1] * 4, [*range(10), 10, 10, 10, 11]), FRACTIONS, seed=0)


def test_a_split_with_an_empty_class_is_an_error() -> None:
    # Label 0 wants groups 0, 1, 2 apart and label 1 wants 0, 1, 3 apart, so 2 and 3 meet and label 2 lacks a split.
    sheets = examples([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 2, 0, 1, 3, 2, 3, 0])
    with pytest.raises(InputError, match=r"the (train|validation|test) split got no sheet of label \d.*add sheets"):
        split_sheets(sheets, FRACTIONS, seed=0)


LABELLED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=100)


@given(LABELLED, st.integers(0, 2**32 - 1))
def test_every_row_once_groups_together_same_seed_same_split(rows: list[tuple[int, int]], seed: int) -> None:
    rows += [(label, 100 + 3 * label + copy) for label in range(3) for copy in range(3)]
    sheets = examples([label for label, _ in rows], [group for _, group in rows])
    try:
        split = split_sheets(sheets, FRACTIONS, seed)
    except InputError:
        assume(False)
    assert split["row"].tolist() == sheets["row"].tolist()
    assert set(split["split"]) == set(SPLITS)
    assert (split["split"].groupby(sheets["duplicate_group"]).nunique() == 1).all()
    assert (split.groupby("split")["label"].nunique() == sheets["label"].nunique()).all()
    pd.testing.assert_frame_equal(split, split_sheets(sheets, FRACTIONS, seed))


def test_split_of_the_same_sheets_is_taken():
    index = pd.DataFrame({"row": [0, 1, 2], "image_id": ["a", "b", "c"]})
    check_rows(pd.DataFrame({"row": [2, 0], "image_id": ["c", "a"]}), index, n_sheets=3)


@pytest.mark.parametrize(
    ("split", "n_sheets"),
    [({"row": [0], "image_id": ["b"]}, 2), ({"row": [2], "image_id": ["c"]}, 2), ({"row": [0], "image_id": ["a"]}, 3)],
    ids=["another order", "more sheets", "tensors of another number"],
)
def test_split_of_other_sheets_is_refused(split, n_sheets):
    index = pd.DataFrame({"row": [0, 1], "image_id": ["a", "b"]})
    with pytest.raises(InputError, match="drawn from other sheets"):
        check_rows(pd.DataFrame(split), index, n_sheets)


def test_split_with_copies_is_checked_against_the_same_index() -> None:
    sheets = index([0, 1] * 10, [0] * 20)
    split = flipped_copies(split_sheets(examples([0, 1] * 10), FRACTIONS, seed=0), {1: 2}, "orbit", 0.5, seed=0)
    check_rows(split, sheets, n_sheets=20)
    with pytest.raises(InputError, match="drawn from other sheets"):
        check_rows(split, sheets.assign(image_id=sheets["image_id"].to_numpy()[::-1]), n_sheets=20)


MULTI_INDEX = index([0, 1, 0] * 10, [0, 0, 1] * 10)


def test_draw_split_labels_splits_and_copies() -> None:
    splits = parameters(extra_copies={"crack": 3}, augmentation="orbit")
    found = draw_split(MULTI_INDEX, splits, CHIPS_AND_CRACK, seed=4)
    drawn = split_sheets(example_labels(MULTI_INDEX, "single_class"), FRACTIONS, seed=4)
    pd.testing.assert_frame_equal(found, flipped_copies(drawn, {2: 3}, "orbit", 0.5, seed=4))
    assert (found["copy"] > 0).sum() == 3 * 6
    check_rows(found, MULTI_INDEX, n_sheets=30)


def test_draw_split_takes_the_largest_area() -> None:
    sheets = index_with_areas([0, 9, 0, 5] * 10, [0, 0, 8, 6] * 10)
    found = draw_split(sheets, parameters(several_classes="largest_area"), CHIPS_AND_CRACK, seed=0)
    assert found["label"].tolist() == [0, 1, 2, 2] * 10


def test_automatic_flips_have_the_derived_probability() -> None:
    split = split_sheets(examples([0, 1] * 50), FRACTIONS, seed=0)
    copied = copy_rare_classes(split, parameters(extra_copies={"chips": 5}), ["chips"], seed=0)
    pd.testing.assert_frame_equal(copied, flipped_copies(split, {1: 5}, "random", flip_probability(), seed=0))
    certain = copy_rare_classes(split, parameters(extra_copies={"chips": 5}, flip_probability=1), ["chips"], seed=0)
    assert certain.loc[certain["copy"] > 0, ["flip_h", "flip_v"]].all(axis=None)


def test_no_augmentation_makes_no_copies_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    split = split_sheets(examples([0, 1] * 5), FRACTIONS, seed=0)
    none = parameters(augmentation="none", extra_copies={"chips": 5, "other": 5})
    pd.testing.assert_frame_equal(copy_rare_classes(split, none, ["chips"], seed=0), split)
    assert not [entry for entry in caplog.records if entry.levelname == "WARNING"]


def test_names_of_other_sources_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    split = split_sheets(examples([0, 1] * 5), FRACTIONS, seed=0)
    found = copy_rare_classes(split, parameters(extra_copies={"rust": 5, "pit": 1}), ["chips"], seed=0)
    pd.testing.assert_frame_equal(found, split)
    (message,) = caplog.messages
    assert "'rust', 'pit'" in message
    assert "'no defect', 'chips'" in message


def test_copies_of_a_binary_task_are_named_by_its_outputs(caplog: pytest.LogCaptureFixture) -> None:
    splits = parameters(labels="any_defect", extra_copies={"defect": 1})
    found = draw_split(MULTI_INDEX, splits, CHIPS_AND_CRACK, seed=0)
    assert set(found.loc[found["copy"] > 0, "label"]) == {1}
    assert not [entry for entry in caplog.records if entry.levelname == "WARNING"]


def test_the_log_counts_distinct_pictures(caplog: pytest.LogCaptureFixture) -> None:
    splits = parameters(extra_copies={"crack": 6}, augmentation="orbit")
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        draw_split(MULTI_INDEX, splits, CHIPS_AND_CRACK, seed=0)
    assert caplog.messages == ["'crack': 6 training sheets and 36 flipped copies, 24 distinct pictures"]


@given(LABELLED, st.sampled_from(["random", "orbit"]), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_copies_and_near_duplicates_stay_on_the_training_side(
    rows: list[tuple[int, int]], mode: str, n: int, seed: int
) -> None:
    rows += [(label, 100 + 3 * label + copy) for label in range(3) for copy in range(3)]
    label, group = (np.array(column) for column in zip(*rows, strict=True))
    sheets = index((label == 1).astype(int).tolist(), (label == 2).astype(int).tolist()).assign(duplicate_group=group)
    try:
        found = draw_split(sheets, parameters(extra_copies={"crack": n}, augmentation=mode), CHIPS_AND_CRACK, seed)
    except InputError:
        assume(False)
    train = found["split"] == "train"
    assert train[found["copy"] > 0].all()
    assert found.groupby("row")["split"].nunique().eq(1).all()
    assert not set(group[found.loc[train, "row"]]) & set(group[found.loc[~train, "row"]])
    sizes = found[train].groupby("row").size()
    assert (sizes == np.where(label[sizes.index] == 2, n + 1, 1)).all()
    assert (found["label"] == label[found["row"]]).all()


def test_every_class_is_a_bit_field() -> None:
    found = example_labels(index([0, 1, 0, 1], [0, 0, 1, 1]), "every_class")
    assert found["label"].tolist() == [0, 1, 2, 3]
    assert found["row"].tolist() == [0, 1, 2, 3]
    assert output_names("every_class", CHIPS_AND_CRACK) == CHIPS_AND_CRACK
    with pytest.raises(InputError, match="no sheet of class 2 in the data; add sheets of that class"):
        example_labels(index([0, 1], [0, 0]), "every_class")


def held_out(binary: str, multi: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits by their letters t, v and e (test), sheet by sheet; a dot is a sheet that the task leaves out."""
    names = {"t": "train", "v": "validation", "e": "test"}
    tables = []
    for letters in (binary, multi):
        rows = [row for row, letter in enumerate(letters) if letter != "."]
        split = [names[letters[row]] for row in rows]
        tables.append(pd.DataFrame({"row": rows, "image_id": [f"{row}.jpg" for row in rows], "split": split}))
    return tables[0], tables[1]


def test_multi_label_task_tests_on_what_either_task_tests_on() -> None:
    split = hold_out_together(examples([1, 2, 1, 2, 3, 0, 3]), *held_out("tvetvet", "teetvt."))
    assert split["split"].tolist() == ["train", "test", "test", "train", "validation", "test", "train"]
    assert split.columns.tolist() == ["row", "image_id", "label", "split", "copy", "flip_h", "flip_v"]
    assert split["label"].tolist() == [1, 2, 1, 2, 3, 0, 3]
    assert not split[["copy", "flip_h", "flip_v"]].any(axis=None)


def test_near_duplicates_of_a_tested_sheet_are_tested_even_if_no_task_tests_them() -> None:
    """Sheet 1 has several classes, so that the multi-class task leaves it out, and is like sheet 0, which it tests."""
    split = hold_out_together(examples([1, 3, 3, 0], [0, 0, 1, 2]), *held_out("tttv", "e.tv"))
    assert split["split"].tolist() == ["test", "test", "train", "validation"]


def test_class_without_training_or_test_sheets_is_named() -> None:
    with pytest.raises(InputError, match="no sheet of class 2 in the train split"):
        hold_out_together(examples([1, 2, 3]), *held_out("tve", "tve"))
    with pytest.raises(InputError, match="no sheet of class 1 in the test split"):
        hold_out_together(examples([3, 2, 2]), *held_out("tve", "tve"))


def test_split_of_other_sheets_cannot_be_followed() -> None:
    binary, multi = held_out("tve", "tve")
    with pytest.raises(InputError, match="drawn from other sheets"):
        hold_out_together(examples([3, 3, 3]), binary, multi.assign(image_id="x.jpg"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=12, max_size=40), st.integers(0, 99))
def test_no_tested_sheet_and_no_duplicate_of_one_is_trained_on(sheets: list[tuple[int, int]], seed: int) -> None:
    table = examples([label for label, _ in sheets], [group for _, group in sheets])
    rng = np.random.default_rng(seed)
    # As the tasks' own splits do it, all duplicates that a task has are in one split.
    binary = "".join(rng.choice(list("tve"), 6)[table["duplicate_group"]])
    multi = np.where(table["label"] == 3, ".", rng.choice(list("tve"), 6)[table["duplicate_group"]])
    splits = held_out(binary, "".join(multi))
    try:
        found = hold_out_together(table, *splits).set_index("row")["split"]
    except InputError:
        assume(False)
    for split in splits:
        assert (found[split.loc[split["split"] == "test", "row"]] == "test").all()
    assert found.groupby(table["duplicate_group"].to_numpy()).nunique().max() == 1
    of_binary = splits[0].set_index("row")["split"]
    assert (of_binary[found.index[found == "validation"]] == "validation").all()
    assert (of_binary[found.index[found == "train"]] == "train").all()


def test_sheet_of_several_classes_gets_the_most_copies_asked_of_any(caplog: pytest.LogCaptureFixture) -> None:
    split = hold_out_together(examples([0, 1, 2, 3, 3]), *held_out("tttte", "tttte"))
    wanted = parameters(labels="every_class", extra_copies={"chips": 1, "crack": 3, "no defect": 2})
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        found = copy_rare_classes(split, wanted, CHIPS_AND_CRACK, 0)
    copies = found[found["copy"] > 0]
    assert copies.groupby("row").size().to_dict() == {0: 2, 1: 1, 2: 3, 3: 3}
    assert (copies["label"].to_numpy() == split.set_index("row")["label"][copies["row"]].to_numpy()).all()
    assert any(
        message.startswith("'chips + crack': 1 training sheets and 3 flipped copies") for message in caplog.messages
    )
    assert copy_rare_classes(split, parameters(labels="every_class"), CHIPS_AND_CRACK, 0).equals(split)
