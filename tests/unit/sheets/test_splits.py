import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steel_xai.errors import InputError
from steel_xai.parameters import SplitFractions
from steel_xai.sheets.splits import SPLITS, check_rows, example_labels, output_names, split_sheets

FRACTIONS = SplitFractions(train=0.6, validation=0.2, test=0.2)


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
    assert caplog.messages == ["left out 1 sheets with more than one class"]


def test_outputs_are_named_in_the_order_of_their_labels() -> None:
    assert output_names("any_defect", ["chips", "crack"]) == ["no defect", "defect"]
    assert output_names("single_class", ["chips", "crack"]) == ["no defect", "chips", "crack"]


@pytest.mark.parametrize("labels", ["any_defect", "single_class"])
def test_no_defect_free_sheet_is_an_error(labels: str) -> None:
    with pytest.raises(InputError, match=r"no sheet is without a defect .*add sheets without a defect"):
        example_labels(index([1, 1, 0], [0, 0, 1]), labels)  # type: ignore[arg-type]


def test_no_defective_sheet_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no sheet has a defect .*check the annotations"):
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
