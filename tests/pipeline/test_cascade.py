import json

import pytest

from steel_xai.cascade.submission import check_submission


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """A fresh clone after ``kedro run --pipeline=cascade --env=test``."""
    from .conftest import Project

    project = Project(tmp_path_factory.mktemp("cascade"))
    project.run("cascade")
    return project


def test_runs_alone_on_a_fresh_clone(cascade):
    metrics = cascade.load("cascade.metrics")
    json.dumps(metrics, allow_nan=False)
    assert set(metrics["setups"]) == {"empty", "unets", "gate_unets", "labels_unets", "gate_labels_unets"}
    for setup in metrics["setups"].values():
        assert 0 <= setup["dice"]["all_sheets"]["mean"]["mean"] <= 1
    assert sorted(cascade.load("cascade.unets")) == [1, 2, 3, 4]
    for name in ("cascade.scores", "cascade.examples"):
        assert cascade.load(name).size[0] > 500


def test_no_step_was_trained_on_a_scored_sheet(cascade):
    predictions = cascade.load("cascade.predictions")
    scored = set(predictions.loc[predictions["split"] == "test", "row"])
    for task in ("binary", "multilabel"):
        split = cascade.load(f"{task}.split")
        assert scored <= set(split.loc[split["split"] == "test", "row"])


def test_submission_has_every_unlabelled_sheet_and_class(cascade):
    sheets = cascade.load("raw_unlabelled_sheets")
    assert sheets
    check_submission(cascade.load("cascade.submission"), list(sheets), 4, (256, 1600))


def test_other_thresholds_need_no_new_training(cascade):
    before = cascade.load("cascade.unets")
    cascade.run("cascade_evaluation", {"cascade": {"thresholds": [0.5]}})
    assert cascade.load("cascade.thresholds")["gate_labels_unets"]["gate"] == 0.5
    assert cascade.load("cascade.unets")[1].description == before[1].description
