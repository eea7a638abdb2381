import numpy as np
import pytest

from steel_xai.evaluation.calibration import apply_temperature
from steel_xai.explain import analysis, sheets
from steel_xai.explain.sheets import explain_files, order_of_importance
from steel_xai.inference import predict
from steel_xai.sheets.rle import decode_rle

from .conftest import RAW_SIZE


@pytest.fixture
def explain(make, images, fake_sheets, tmp_path):
    def explain(files=images, **changed):
        return explain_files(files, make(**changed), fake_sheets, raw_size=RAW_SIZE, folder=tmp_path / "work")

    return explain


def test_probabilities_are_the_calibrated_ones_of_the_evaluation(explain, classifier, fake_sheets, fake_split):
    table, _ = explain()
    expected = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cpu")
    expected = expected[expected["split"] == "test"]
    softmax = expected[["p_0", "p_1"]].to_numpy()
    found = table[table["status"] == "explained"]
    np.testing.assert_allclose(found[["p_0", "p_1"]].astype(float), apply_temperature(softmax, 2.0), atol=1e-5)
    np.testing.assert_allclose(found["confidence"].astype(float), softmax.max(axis=1), atol=1e-5)
    assert found["predicted"].tolist() == [["no defect", "defect"][k] for k in expected["predicted"]]


def test_sheets_below_the_threshold_are_not_answered(explain):
    confidence = explain()[0]["confidence"].dropna().astype(float)
    threshold = float(confidence.median())
    table, _ = explain(threshold=threshold)
    explained = table[table["status"] == "explained"]
    assert 0 < explained["answered"].sum() < len(explained)
    assert (explained["answered"] == (explained["confidence"] >= threshold)).all()


def test_every_sheet_is_answered_where_no_threshold_was_found(explain):
    assert explain(threshold=None)[0]["answered"].dropna().all()


def test_files_that_are_no_sheets_are_listed_with_their_reasons(explain):
    table, cards = explain()
    refused = table[table["status"] == "refused"].set_index("image_id")["reason"].to_dict()
    assert refused == {
        "50a.txt": "neither a JPEG nor a PNG",
        "53a.jpg": "truncated PNG",
        "55a.png": "10x10, expected 128x80",
    }
    assert len(table) == 15
    assert table["image_id"].is_monotonic_increasing
    assert len(cards) == 12


def test_outline_of_a_defect_lies_on_it_and_clean_sheets_have_none(explain):
    table, _ = explain()
    explained = table[table["status"] == "explained"].set_index("image_id")
    for image_id, row in explained.iterrows():
        mask = decode_rle(row["mask_rle"], *RAW_SIZE)
        assert mask.mean() == pytest.approx(row["mask_area_share"], abs=1e-9)
        if row["predicted"] == "no defect":
            assert row["mask_rle"] == ""
        elif int(image_id.removesuffix(".png")) % 2:
            inside = mask[36:76, 16:56].mean()
            assert inside > 2 * mask.mean()
    assert (explained["mask_rle"] != "").any()


def test_explanation_does_not_depend_on_the_other_files(explain, images):
    table, _ = explain(files=images[7:10], method="deepshap")
    alone, _ = explain(files=images[8:9], method="deepshap")
    row = table[table["image_id"] == alone["image_id"][0]].reset_index(drop=True)
    assert alone["mask_rle"][0] == row["mask_rle"][0]
    assert alone["p_1"][0] == pytest.approx(row["p_1"][0], abs=1e-6)


def test_killed_run_goes_on_behind_its_finished_chunks(explain, monkeypatch):
    monkeypatch.setattr(sheets, "CHUNK", 4)
    whole, cards = explain()
    calls = []

    def explain_batch(*arguments):
        calls.append(len(arguments[1]))
        if len(calls) == killed_at:
            raise RuntimeError("killed")
        return analysis.explain_batch(*arguments)

    monkeypatch.setattr(sheets, "explain_batch", explain_batch)
    killed_at = 4
    with pytest.raises(RuntimeError, match="killed"):
        explain()
    calls.clear()
    again, again_cards = explain()
    assert len(calls) == 1
    assert again.equals(whole)
    assert again_cards == cards


@pytest.mark.parametrize("content", [b"", None, b"[]", b"\xff\xfe"], ids=["empty", "cut", "other files", "bytes"])
def test_damaged_chunk_is_made_anew_with_a_warning(explain, monkeypatch, tmp_path, caplog, content):
    monkeypatch.setattr(sheets, "CHUNK", 4)
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda folder: None)  # as if the run had been killed at its end
        whole, cards = explain()
    path = sorted((tmp_path / "work").glob("chunks-*/*.json"))[1]
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    caplog.clear()
    again, again_cards = explain()
    assert again.equals(whole)
    assert again_cards == cards
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(path) in warning


def test_changed_file_and_changed_settings_are_explained_anew(explain, images, monkeypatch):
    monkeypatch.setattr("shutil.rmtree", lambda folder: None)  # as if every run had been killed at its end
    calls = []

    def explain_batch(*arguments):
        calls.append(len(arguments[1]))
        return analysis.explain_batch(*arguments)

    monkeypatch.setattr(sheets, "explain_batch", explain_batch)
    one = images[:1]
    explain(files=one)
    explain(files=one)
    assert len(calls) == 1
    explain(files=one, k=2.0)
    assert len(calls) == 2
    one[0].path.write_bytes(images[1].path.read_bytes())
    explain(files=one)
    assert len(calls) == 3


def test_cards_are_of_the_most_important_sheets(explain):
    table, cards = explain(max_cards=3)
    order = order_of_importance(table)
    assert [card["row"]["image_id"] for card in cards] == table["image_id"].iloc[order[:3]].tolist()
    assert all(len(card["nearest"]) == 3 and card["sheet"] and card["heat"] for card in cards)


def test_order_is_warnings_then_undecided_then_least_confident(explain):
    table, _ = explain(threshold=0.0)
    table.loc[5, "warnings"] = "white_stain"
    table.loc[9, "answered"] = False
    order = order_of_importance(table)
    assert order[:2].tolist() == [5, 9]
    assert table.loc[order[2:], "confidence"].astype(float).is_monotonic_increasing
    assert set(order) == set(table.index[table["status"] == "explained"])


def test_folder_without_any_sheet_gives_a_table_of_refusals(explain, images):
    table, cards = explain(files=[file for file in images if file.image_id == "50a.txt"])
    assert table["status"].tolist() == ["refused"]
    assert cards == []
