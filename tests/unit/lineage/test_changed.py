import pandas as pd
import pytest

from steel_xai.errors import InputError
from steel_xai.lineage.changed import check_unchanged, fields_of
from steel_xai.lineage.content import content_of, size_and_time
from steel_xai.lineage.records import Record, read_record, write_record
from steel_xai.results import Result

VERSION = "2026-01-01T00.00.00.000Z"
MADE = pd.DataFrame({"row": [0, 1], "p_0": [0.25, 0.75]})


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "predictions.csv" / VERSION / "predictions.csv"
    path.parent.mkdir(parents=True)
    MADE.to_csv(path, index=False)
    size, modified_ns = size_and_time(path)
    about: dict[str, object] = {
        "dataset": "predictions",
        "version": VERSION,
        "node": "predict",
        "pipeline": "model",
        "inputs": {},
    }
    about |= {"parameters": {}, "code": "", "sources": {}, "content": content_of(path), "size": size}
    about |= {"modified_ns": modified_ns, "made_at": "", "seconds": 1, "package_version": "", "git_commit": None}
    write_record(path.parent, Record.model_validate(about | {"fields": fields_of(MADE)}))
    return Result("predictions", VERSION, path, read_record(path.parent))


def change(result, table):
    table.to_csv(result.path, index=False)
    return pd.read_csv(result.path)


def test_fields_are_columns_or_keys():
    assert fields_of(MADE) == ["row", "p_0"]
    assert fields_of({"auc": 1, "f1": None}) == ["auc", "f1"]
    assert fields_of({1: "of one class"}) is None
    assert fields_of(b"bytes") is None


def test_a_result_as_it_was_made_is_used_without_a_word(result, caplog):
    check_unchanged(result, MADE, "`make it`")
    assert caplog.text == ""


def test_missing_columns_are_named_with_the_file_and_the_way_out(result):
    changed = change(result, MADE.rename(columns={"p_0": "p_zero"}))
    with pytest.raises(InputError, match=rf"{result.path} .*lacks the columns p_0\. .*`make it`"):
        check_unchanged(result, changed, "`make it`")


def test_rows_that_are_gone_are_warned_of(result, caplog):
    check_unchanged(result, change(result, MADE.head(1)), "`make it`")
    assert f"{result.path} was changed after it was made" in caplog.text


def test_of_what_was_made_without_a_record_nothing_is_said(result, caplog):
    changed = change(result, MADE[["row"]])
    check_unchanged(Result("predictions", VERSION, result.path, None), changed, "`make it`")
    assert caplog.text == ""
