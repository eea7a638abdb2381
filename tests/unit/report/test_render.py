import re

import pandas as pd
import pytest
from PIL import Image
from tests.unit.report.conftest import ATTRIBUTION, AUDIT, FIRST, METRICS, SECOND, StudyFolder

from steel_xai.errors import InputError
from steel_xai.report import headline, minutes_sentence, render_report


def text(page):
    """What a reader sees, in one line."""
    body = re.sub(r"(?s)<(style|script)>.*?</\1>", "", page.split("<body>")[1])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_no_results_are_an_error_that_says_what_to_run(folder):
    with pytest.raises(InputError, match="kedro run"):
        render_report(folder.open())


def test_sample_is_named_synthetic_and_other_sources_are_not(folder, tmp_path):
    folder.save("binary.metrics", METRICS)
    assert "nothing here is a result on steel" in text(render_report(folder.open()))
    other = StudyFolder(tmp_path, "severstal")
    other.save("binary.metrics", METRICS | {"data_source": "severstal"})
    assert "ynthetic" not in text(render_report(other.open()))


def test_sheets_seen_by_a_model_of_the_sample_are_told_apart(tmp_path):
    folder = StudyFolder(tmp_path, "severstal")
    folder.save("binary.metrics", METRICS)
    folder.save_model(data_source="sample")
    assert "Trained on synthetic sheets" in text(render_report(folder.open()))


def test_sections_appear_only_for_results(folder):
    folder.save("binary.metrics", METRICS)
    page = render_report(folder.open())
    assert 'id="performance"' in page
    assert 'id="interpretation"' not in page
    folder.save("binary.attribution_scores", ATTRIBUTION)
    assert 'id="interpretation"' in render_report(folder.open())


def test_headline_stands_beside_baseline_and_the_study(folder):
    folder.save("binary.metrics", METRICS)
    page = text(render_report(folder.open()))
    for number in ("0.810 [0.760, 0.860]", "0.500 [0.400, 0.600]", "0.939", "0.983"):
        assert number in page
        assert number in headline(folder.open())


def test_a_network_that_the_study_does_not_have_gets_no_number_of_it(folder):
    folder.save("binary.metrics", METRICS | {"model": "resnet18"})
    assert "0.939" not in text(render_report(folder.open()))
    assert "study" not in headline(folder.open())


def test_multi_class_network_with_copies_stands_beside_the_study_s_with_copies(folder):
    copies = {"n_train_by_class": {"chips": {"copies": 5}}}
    folder.save("multi.metrics", METRICS | copies)
    assert "augmented reduced SqueezeNet" in headline(folder.open())


def test_names_are_escaped(folder):
    evil = "<script>alert(1)</script>"
    by_class = {evil: METRICS["test_by_class"]["defect"], "no defect": METRICS["test_by_class"]["no defect"]}
    folder.save("binary.metrics", METRICS | {"test_by_class": by_class, "n_test_by_class": {evil: 3}})
    folder.save("binary.stain_audit", AUDIT | {"sentence": evil})
    index = pd.DataFrame({"label_1": [1, 0], "white_stain": [0, 1], "duplicate_group": [0, 1]})
    folder.save("sheet_index", index, layer="03_primary")
    folder.save("quarantine", pd.DataFrame({"image_id": [evil], "reason": [evil]}), layer="03_primary")
    page = render_report(folder.open(class_names=(evil,)))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") >= 4


def test_page_needs_nothing_from_elsewhere(folder, picture):
    folder.save("binary.metrics", METRICS)
    folder.save("binary.roc_curve", picture)
    page = render_report(folder.open())
    assert re.findall(r"https?:|\ssrc=(?!\"data:)|url\(|@import", page) == []
    assert re.findall(r'<link[^>]*href="(?!data:)', page) == []


def test_figure_is_embedded_with_caption_and_text_for_those_who_do_not_see_it(folder, picture):
    folder.save("binary.metrics", METRICS)
    folder.save("binary.roc_curve", picture)
    page = render_report(folder.open())
    assert re.search(r'<img src="data:image/\w+;base64,[^"]+" width="60" height="20"[^>]*alt="ROC curve\. [^"]+"', page)
    assert "Figure 1. ROC curve." in text(page)
    assert "AUC 0.840 [0.790, 0.890]" in text(page)


def test_stale_stage_shows_neither_number_nor_figure_but_the_way_to_renew_it(folder, picture):
    folder.save("binary.metrics", METRICS, inputs=[])
    folder.save("binary.attribution_scores", ATTRIBUTION, inputs=["binary.metrics"])
    folder.save("binary.attribution_ranking", picture, inputs=["binary.attribution_scores"])
    assert "0.410 [0.370, 0.460]" in text(render_report(folder.open()))
    folder.save("binary.metrics", METRICS | {"n_test": 300}, version=SECOND, inputs=[])
    page = render_report(folder.open())
    assert "0.410" not in text(page)
    assert "<img src" not in page
    assert re.search(r"binary.metrics has changed \([^)]*\): binary.attribution_scores", text(page))
    assert "kedro run --pipeline=interpretation" in text(page)
    assert "300 test sheets" in text(page)


def test_stale_metrics_are_in_neither_headline(folder):
    folder.save("binary.predictions", pd.DataFrame({"row": [1]}), layer="07_model_output", inputs=[])
    folder.save("binary.metrics", METRICS, inputs=["binary.predictions"])
    folder.save("binary.predictions", pd.DataFrame({"row": [2]}), SECOND, layer="07_model_output", inputs=[])
    assert "0.810" not in text(render_report(folder.open()))
    assert "0.810" not in headline(folder.open())
    assert "binary: no current metrics" in headline(folder.open())


def test_results_without_records_are_shown_and_their_provenance_is_called_unknown_once(folder, picture):
    folder.save("binary.metrics", METRICS)
    folder.save("binary.roc_curve", picture)
    page = text(render_report(folder.open()))
    assert page.count("The provenance of all results is unknown") == 1
    assert "0.810 [0.760, 0.860]" in page
    assert "out of date" not in page


def test_result_of_a_kept_record_is_shown_though_its_input_has_none(folder):
    folder.save("binary.predictions", pd.DataFrame({"row": [1]}), layer="07_model_output")
    folder.save("binary.metrics", METRICS, inputs=["binary.predictions"])
    assert "0.810 [0.760, 0.860]" in text(render_report(folder.open()))


def test_result_is_withheld_if_one_input_has_no_record_and_another_is_stale(folder):
    tables = {version: pd.DataFrame({"row": [version]}) for version in (FIRST, SECOND)}
    folder.save("binary.predictions", tables[FIRST], layer="07_model_output")
    folder.save("binary.split", tables[FIRST], layer="05_model_input", inputs=[])
    folder.save("binary.calibration", {"temperature": 1.0}, inputs=["binary.split"])
    folder.save("binary.metrics", METRICS, inputs=["binary.predictions", "binary.calibration"])
    folder.save("binary.split", tables[SECOND], SECOND, layer="05_model_input", inputs=[])
    page = text(render_report(folder.open()))
    assert "0.810" not in page
    assert "binary.calibration is stale: binary.split has changed" in page


def test_result_without_record_that_is_older_than_its_model_is_withheld(folder):
    folder.save("binary.metrics", METRICS, FIRST)
    split = pd.DataFrame({"split": ["train", "test"], "copy": 0})
    folder.save("binary.split", split, FIRST, layer="05_model_input")
    folder.save_model(version=SECOND)
    page = text(render_report(folder.open()))
    assert "0.810" not in page
    assert "binary.model is newer" in page
    assert "1 for training" in page


def test_damaged_metrics_are_named_with_the_way_out(folder):
    path = folder.save("binary.metrics", "{ half of it")
    with pytest.raises(InputError, match=re.escape(str(path))):
        render_report(folder.open())


def test_damaged_table_costs_only_its_own_section(folder, caplog):
    folder.save("binary.metrics", METRICS)
    folder.save("binary.noise_robustness", pd.DataFrame({"unknown": [1]}))
    page = text(render_report(folder.open()))
    assert "These results cannot be read (KeyError" in page
    assert "0.810 [0.760, 0.860]" in page
    assert "binary.noise_robustness" in caplog.text


def test_full_supervision_stands_in_the_table_of_explanations(folder):
    folder.save("binary.attribution_scores", ATTRIBUTION)
    supervised = ATTRIBUTION.head(1).assign(method="fcn32_vgg11", kind="supervised", dice=0.77)
    folder.save("binary.supervised_scores", supervised)
    page = render_report(folder.open())
    table = text("<body>" + page.split('id="table-1"')[1].split("</table>")[0])
    assert "Fcn32 vgg11 (trained on masks)" in table
    assert "GradCAM 64" in table
    assert "Local contrast (control)" in table


def test_random_network_stands_in_the_row_of_its_method(folder):
    folder.save("binary.attribution_scores", ATTRIBUTION)
    page = render_report(folder.open())
    row, *_ = re.findall(r"(?s)<tr>\s*<td[^>]*>GradCAM<.*?</tr>", page)
    assert "0.410 [0.370, 0.460]" in row
    assert ">0.100<" in row


def test_verdict_is_told_in_words(folder):
    folder.save("binary.stain_audit", AUDIT)
    page = text(render_report(folder.open()))
    assert "shortcut The model takes white stains for a sign of no defect." in page
    assert "not tested" in page
    folder.save("binary.metrics", METRICS)
    assert "verdict of the white-stain audit: shortcut" in headline(folder.open())


def test_results_that_no_section_knows_are_shown_as_they_are(folder, picture):
    folder.save("wear.metrics", {"dice": {"mean": 0.7512}, "epochs": [1, 2]})
    folder.save("wear.examples", picture)
    folder.save("rolls.metrics", pd.DataFrame({"step": ["defect"], "f1": [0.9], "f1_low": [0.8], "f1_high": [0.95]}))
    page = text(render_report(folder.open()))
    assert "Dice · mean 0.751" in page
    assert "Examples" in page
    assert "0.900 [0.800, 0.950]" in page


def test_minutes_count_a_node_of_several_outputs_once(folder):
    folder.save("binary.metrics", METRICS, inputs=[], node="binary.evaluate")
    folder.save("binary.calibration", "{}", inputs=[], node="binary.evaluate")
    folder.save("binary.stain_audit", AUDIT, inputs=[], node="binary.audit", seconds=30.0)
    assert minutes_sentence(folder.open()) == (
        "Minutes by stage: evaluation 1.0, stain audit 0.5; together 1.5; making the sample, loading and saving come "
        "on top."
    )


def test_no_minutes_are_made_up_where_none_were_recorded(folder):
    folder.save("binary.metrics", METRICS)
    assert minutes_sentence(folder.open()) == ""


def test_same_results_make_the_same_page(folder, picture):
    folder.save("binary.metrics", METRICS)
    folder.save("binary.roc_curve", picture)
    assert render_report(folder.open()) == render_report(folder.open())


def test_limits_name_classes_with_few_test_sheets(folder):
    folder.save("binary.metrics", METRICS | {"n_test_by_class": {"no defect": 92, "defect": 4}})
    assert "few test sheets of defect (4)" in text(render_report(folder.open()))


def test_large_photograph_is_packed_smaller(tmp_path):
    import base64

    import numpy as np

    from steel_xai.report.pictures import LARGE, embed

    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)).resize((900, 600)))
    noisy = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(noisy).save(path)
    assert path.stat().st_size > LARGE
    uri, width, height = embed(path)
    assert (width, height) == (900, 600)
    assert len(base64.b64decode(uri.split(",")[1])) < path.stat().st_size / 3


def test_drawing_is_packed_without_loss_on_white(tmp_path, picture):
    import base64
    import io

    from steel_xai.report.pictures import embed

    picture.save(tmp_path / "drawing.png")
    uri, _, _ = embed(tmp_path / "drawing.png")
    shown = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((20, 10)) == (0, 114, 178)


def test_report_of_a_study_too_small_for_intervals_is_written(folder):
    nothing = {name: [None, None] for name in METRICS["test"]}
    abstention = {
        "threshold": 0.9,
        "target_accuracy": 0.99,
        "n_test": 3,
        "test": {"accuracy": None, "coverage": 0.0, "n_answered": 0, "accuracy_interval": [None, None]},
    }
    folder.save("binary.metrics", METRICS | {"test_intervals": nothing, "abstention": abstention})
    page = text(render_report(folder.open()))
    assert "it answers 0 of 3 test sheets" in page
    assert "cannot be read" not in page
