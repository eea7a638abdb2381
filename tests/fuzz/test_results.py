"""The project's own tables and JSON files, damaged or tampered with: read whole, or refused by name."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import strategies as st
from tests.fuzz.hostile import HOW_MANY, REFUSED, named_outcome, spoilt, try_all, within

from steel_xai.datasets.json_file import JSONDataset
from steel_xai.datasets.table import CSVDataset

TABLE = b"row,image_id,split,label,predicted,p_0,p_1\n0,0001.jpg,test,1,1,0.125,0.875\n1,NA,validation,0,1,0.5,0.5\n"
METRICS = b'{\n  "data_source": "sample",\n  "n_test": 3,\n  "test": {"accuracy": 0.5, "auc": null}\n}'
REFUSED_TABLES = {
    "empty": (b"", "it is empty"),
    "cut short": (TABLE[:-4], "it ends in the middle of line 3"),
    "cells too many": (TABLE.replace(b"0.125", b"0.125,7"), "line 2 has .* cells"),
    "cells too many in every line": (b"row,image_id\n0,a,1\n1,b,2\n", "line 2 has more cells than the header"),
    "zeros": (bytes(100), "NUL"),
    "other encoding": (TABLE.decode().encode("utf-16"), "UTF-8"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(40), "UTF-8"),
    "columns": (b"a," * 100_000 + b"\n", "100001 columns"),
    "open quote": (TABLE.replace(b"NA", b'"NA'), "quote"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED_TABLES.values(), ids=REFUSED_TABLES.keys())
def test_a_table_that_cannot_be_read_whole_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with within(20):
        outcome, told = named_outcome(CSVDataset(filepath=str(path)).load)
    assert isinstance(outcome, str)
    assert re.search(rf"predictions\.csv cannot be read as a table: .*{reason}.*Make it anew", told)


def test_a_number_with_a_million_digits_is_no_hang(tmp_path):
    (tmp_path / "predictions.csv").write_bytes(b"row\n" + b"9" * 1_000_000 + b"\n")
    with within(20):
        named_outcome(CSVDataset(filepath=str(tmp_path / "predictions.csv")).load)


REFUSED_JSON = {
    "empty": b"",
    "cut short": METRICS[:-3],
    "NaN": METRICS.replace(b"null", b"NaN"),
    "infinite": METRICS.replace(b"null", b"-Infinity"),
    "deep": b"[" * 1_000_000,
    "huge number": b"1" + b"0" * 100_000,
    "zeros": bytes(100),
    "other encoding": METRICS.decode().encode("utf-16"),
    "two values": METRICS + METRICS,
}


@pytest.mark.parametrize("content", REFUSED_JSON.values(), ids=REFUSED_JSON.keys())
def test_json_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    with within(20):
        outcome, reason = named_outcome(JSONDataset(filepath=str(path)).load)
    assert outcome == REFUSED
    assert f"{path} is no readable JSON" in reason


@HOW_MANY
@pytest.mark.parametrize("kind", ["table", "json"])
def test_a_damaged_result_is_read_or_refused(cases, kind, tmp_path_factory, record_property):
    folder: Path = tmp_path_factory.mktemp("results")
    path = folder / ("predictions.csv" if kind == "table" else "metrics.json")
    dataset = CSVDataset(filepath=str(path)) if kind == "table" else JSONDataset(filepath=str(path))

    def survive(content: bytes) -> str:
        path.write_bytes(content)
        outcome, reason = named_outcome(dataset.load)
        if isinstance(outcome, str) and outcome == REFUSED:
            assert str(path) in reason
            return REFUSED
        if kind == "json":
            json.dumps(outcome, allow_nan=False)
        else:
            assert isinstance(outcome, pd.DataFrame)
            assert outcome.get("image_id", pd.Series(dtype="str")).map(type).isin([str]).all()
        return "accepted"

    counts = try_all(survive, spoilt(st.just(TABLE if kind == "table" else METRICS)), cases, record_property)
    assert min(counts["accepted"], counts[REFUSED]) > 0


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("make", [CSVDataset, JSONDataset])
def test_a_result_that_is_no_plain_file_is_refused(tmp_path, make_special, kind, make):
    make_special(tmp_path / "result", kind)
    with within(10):
        outcome, reason = named_outcome(make(filepath=str(tmp_path / "result")).load)
    assert isinstance(outcome, str)
    assert "result is a folder, a pipe or a device" in reason
