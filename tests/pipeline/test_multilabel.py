import numpy as np
import pytest

from .conftest import Project

CLASS_NAMES = ["multiple chips", "single vertical crack", "multiple vertical cracks", "large surface patches"]
CONTRACT = {
    *("data_source", "model", "weights", "n_train", "n_test", "seconds_training", "ms_per_batch_of_5"),
    *("test", "baseline", "thresholds"),
}


@pytest.fixture(scope="module")
def trained_multilabel(tmp_path_factory):
    """A fresh clone after ``kedro run --pipeline=multilabel --env=test``."""
    project = Project(tmp_path_factory.mktemp("multilabel"))
    project.run("multilabel")
    return project


def test_metrics_keep_their_contract(trained_multilabel):
    metrics, description = (trained_multilabel.load(f"multilabel.{name}") for name in ("metrics", "model"))
    assert metrics.keys() >= CONTRACT
    assert (metrics["model"], metrics["weights"]) == ("resnet18", "random")
    assert description.description.activation == "sigmoid"
    assert description.description.outputs == list(metrics["thresholds"]) == CLASS_NAMES
    for part in ("test", "baseline"):
        assert {"accuracy", "balanced_accuracy", "f1", "auc", "hamming_loss", "exact_match_ratio"} < metrics[
            part
        ].keys()
        for score, (low, high) in metrics[f"{part}_intervals"].items():
            assert 0 <= low <= metrics[part][score] <= high <= 1
    assert list(metrics["test_by_class"]) == CLASS_NAMES


def test_predictions_are_of_the_sheets_that_training_did_not_see(trained_multilabel):
    predictions, split, index = (
        trained_multilabel.load(name) for name in ("multilabel.predictions", "multilabel.split", "sheet_index")
    )
    assert sorted(predictions["row"]) == sorted(split.loc[split["split"] != "train", "row"])
    labels = [f"label_{k}" for k in range(1, 5)]
    np.testing.assert_array_equal(predictions[labels], index.set_index("row").loc[predictions["row"], labels])
    thresholds = trained_multilabel.load("multilabel.thresholds")
    for k, threshold in zip(thresholds["class"], thresholds["threshold"], strict=True):
        assert ((predictions[f"p_{k}"] >= threshold) == (predictions[f"predicted_{k}"] == 1)).all()


def test_split_holds_out_what_the_other_tasks_test_on(trained_multilabel):
    split, index = (trained_multilabel.load(name) for name in ("multilabel.split", "sheet_index"))
    assert split["row"].tolist() == index["row"].tolist()
    assert split.columns.tolist() == ["row", "image_id", "label", "split", "copy", "flip_h", "flip_v"]
    parts = split.set_index("row")["split"]
    for task in ("binary", "multi"):
        other = trained_multilabel.load(f"{task}.split")
        assert (parts[other.loc[other["split"] == "test", "row"]] == "test").all()
    assert parts.groupby(index["duplicate_group"].to_numpy()).nunique().max() == 1


def test_figures_and_relevance_of_layers_are_there(trained_multilabel):
    relevance = trained_multilabel.load("multilabel.layer_shap_relevance")
    assert set(relevance["layer"]) == {"layer1", "layer2"}
    assert set(relevance["output"]) == set(CLASS_NAMES)
    with trained_multilabel.session() as session:
        catalog = session.load_context().catalog
        for name in (
            "training_curves",
            "class_distribution",
            "class_scores",
            "label_sets",
            "threshold_curves",
            "layer_shap",
        ):
            assert catalog.get(f"multilabel.{name}").exists()
