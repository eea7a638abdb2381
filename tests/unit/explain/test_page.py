import re
from typing import Any

import pandas as pd
import pytest

from steel_xai.explain.page import edge_sentence, probability, render_page, stain_sentence, summarise
from steel_xai.explain.sheets import explain_files

from .conftest import RAW_SIZE

METRICS: dict[str, Any] = {
    "data_source": "fake",
    "test": {"accuracy": 0.9},
    "test_intervals": {"accuracy": [0.8, 0.95]},
    "n_test": 12,
    "abstention": {
        "n_validation": 12,
        "n_test": 12,
        "target_accuracy": 0.99,
        "threshold": 0.6,
        "note": None,
        "test": {"n_answered": 8, "accuracy": 1.0, "accuracy_interval": [0.63, 1.0]},
    },
}


@pytest.fixture
def results(make, images, fake_sheets, tmp_path):
    """Table and cards; one file's name and a refused one's are HTML."""
    renamed = [
        file._replace(image_id="<script>alert(1)</script>.png") if file.image_id in ("50.png", "50a.txt") else file
        for file in images
    ]
    return explain_files(renamed, make(), fake_sheets, raw_size=RAW_SIZE, folder=tmp_path / "work")


@pytest.fixture
def render(results, classifier):
    def render(source="fake", threshold=0.6, metrics=METRICS, cards=None):
        table, found = results
        return render_page(
            table,
            found if cards is None else cards,
            description=classifier.description.model_copy(update={"data_source": source}),
            metrics=metrics,
            temperature=2.0,
            threshold=threshold,
            threshold_is_chosen=True,
            yardstick=(0.01, 0.05),
            method="guided_backprop",
            data_source="fake",
        )

    return render


def test_page_has_a_card_a_sheet_and_lists_the_refused(render):
    page = render()
    assert page.count('<article class="card"') == 12
    assert "10x10, expected 128x80" in page
    assert "truncated PNG" in page


def test_names_of_files_are_escaped(render):
    page = render()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.png" in page


def test_page_needs_nothing_from_elsewhere(render):
    page = render()
    sources = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"https?://|@import|url\(", page)


def test_every_picture_has_an_alternative_text(render):
    pictures = re.findall(r"<img [^>]*>", render())
    assert len(pictures) > 12 * 5
    assert all(" alt=" in picture for picture in pictures)


def test_model_of_synthetic_sheets_is_called_that(render):
    assert "trained on synthetic sheets" in render(source="sample")
    assert "trained on synthetic sheets" not in render(source="fake")


def test_neighbours_of_another_source_are_not_called_training_sheets(render):
    assert "Nearest training sheets" in render()
    page = render(source="sample")
    assert "Nearest training sheets" not in page
    assert "which did not train this model" in page


def test_page_says_where_no_threshold_was_found(render):
    metrics = {
        **METRICS,
        "abstention": {**METRICS["abstention"], "threshold": None, "note": "No threshold reaches 99 %."},
    }
    assert "No threshold reaches 99 %." in render(threshold=None, metrics=metrics)


def test_page_says_that_it_shows_a_part(render, results):
    assert "2 of 12 sheets are shown" in render(cards=results[1][:2])
    assert "sheets are shown" not in render()


def test_summary_counts_a_table_that_was_saved_and_loaded(results, tmp_path):
    table, _ = results
    table.to_csv(tmp_path / "table.csv", index=False)
    loaded = pd.read_csv(tmp_path / "table.csv")
    for given in (table, loaded):
        summary = summarise(given, ["no defect", "defect"])
        assert (summary["files"], summary["explained"], summary["refused"], summary["warned"]) == (15, 12, 3, 0)
        assert summary["answered"] + summary["unknown"] == 12
        assert sum(n for _, n in summary["classes"]) == summary["answered"]


ROW: dict[str, Any] = {
    "predicted": "no defect",
    "probability": 0.97,
    "stain_predicted_without": "pit",
    "stain_p_without": 0.2,
    "stain_p_control": 0.965,
    "stain_area_share": 0.012,
    "stain_relevance_share": 0.6,
    "edge_predicted_without": "no defect",
    "edge_p_without": 0.5,
    "edge_area_share": 0.12,
    "edge_relevance_share": 0.9,
}


def test_warning_states_what_the_model_says_without_the_stain_and_after_the_control():
    assert stain_sentence(ROW) == (
        "With the white stain painted over, the model says “pit” instead: “no defect” falls from 0.97 to 0.20. "
        "Plain steel painted over in the same shape leaves it at 0.96. "
        "The stain is 1.2\N{NO-BREAK SPACE}% of the sheet and holds 60\N{NO-BREAK SPACE}% of the relevance."
    )
    assert "Plain steel" not in stain_sentence({**ROW, "stain_p_control": None})


def test_warning_of_an_edge_that_only_lowers_the_probability_says_so():
    assert "still says “no defect”, but its probability falls from 0.97 to 0.50" in edge_sentence(ROW)


def test_probabilities_near_the_ends_are_not_rounded_to_certainty():
    assert [probability(p) for p in (0.99999, 0.9951, 0.5, 0.004, 0.0)] == [
        "> 0.999",
        "0.995",
        "0.50",
        "0.004",
        "< 0.001",
    ]
