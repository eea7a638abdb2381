import numpy as np
import pandas as pd
import pytest

from steel_xai import fingerprint as module
from steel_xai.fingerprint import fingerprint


def test_same_content_in_memory_mapped_or_strided_hashes_alike(tmp_path, monkeypatch):
    array = np.arange(3000, dtype=np.int16).reshape(100, 5, 6)
    np.save(tmp_path / "array.npy", array)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 777)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r", allow_pickle=False)
    assert fingerprint(array) == fingerprint(mapped) == fingerprint(np.asfortranarray(array))


@pytest.mark.parametrize(
    "other", [np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.int8), np.ones((3, 2), np.uint8), np.zeros(6, np.uint8)]
)
def test_shape_type_and_values_count(other):
    assert fingerprint(np.zeros((3, 2), np.uint8)) != fingerprint(other)


def test_table_hashes_alike_after_a_round_trip_through_csv(tmp_path):
    table = pd.DataFrame({"image_id": ["a.jpg", "b.jpg"], "flip_h": [True, False], "share": [0.1, 1 / 3]})
    table.to_csv(tmp_path / "table.csv", index=False)
    assert fingerprint(pd.read_csv(tmp_path / "table.csv")) == fingerprint(table)
    assert fingerprint(table.iloc[::-1]) != fingerprint(table)


def test_keys_need_no_order_but_parts_do():
    assert fingerprint({"a": 1, "b": [2, None]}) == fingerprint({"b": [2, None], "a": 1})
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a", "b") != fingerprint("b", "a")


def test_empty_arrays_have_a_fingerprint():
    assert fingerprint(np.zeros((0, 3))) != fingerprint(np.zeros((0, 4)))


def test_what_json_cannot_say_is_refused():
    with pytest.raises(TypeError):
        fingerprint(object())
