import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    hamming_loss,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from steel_xai.evaluation.baseline import baseline_of_every_class, baseline_probabilities
from steel_xai.evaluation.label_sets import (
    predict_and_choose,
    predict_sets,
    scores_of_classes,
    set_intervals,
    set_scores,
    truth_and_predictions,
)
from steel_xai.evaluation.multilabel import evaluate_multilabel
from steel_xai.evaluation.thresholds import MIN_POSITIVES, choose_threshold, choose_thresholds, scores_at
from steel_xai.inference import predict_every_class
from steel_xai.objectives import label_bits
from steel_xai.parameters import BaselineParameters, EvaluationParameters
from steel_xai.training import train_classifier

OUTPUTS = ["pit", "crack"]


@pytest.fixture
def judged():
    """Truth, predictions and probabilities of 80 sheets and 4 classes; a third has none, some several."""
    rng = np.random.default_rng(0)
    truth = rng.random((80, 4)) < [0.3, 0.1, 0.4, 0.15]
    probabilities = np.clip(0.5 * truth + 0.6 * rng.random((80, 4)), 0, 1).round(2)
    return truth, probabilities > 0.55, probabilities


def test_scores_of_sets_are_scikit_learns(judged):
    truth, predicted, probabilities = judged
    scores = set_scores(*judged)
    classes = range(4)
    balanced = [balanced_accuracy_score(truth[:, k], predicted[:, k]) for k in classes]
    expected = {
        "accuracy": jaccard_score(truth, predicted, average="samples", zero_division=1.0),
        "balanced_accuracy": np.mean(balanced),
        "f1": f1_score(truth, predicted, average="weighted"),
        "auc": roc_auc_score(truth, probabilities, average="macro"),
        "hamming_loss": hamming_loss(truth, predicted),
        "exact_match_ratio": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "micro_f1": f1_score(truth, predicted, average="micro"),
    }
    assert scores == pytest.approx(expected)


def test_scores_of_classes_are_scikit_learns(judged):
    truth, predicted, probabilities = judged
    for k, scores in enumerate(scores_of_classes(truth, predicted, probabilities, n_samples=100, seed=0)):
        pair = truth[:, k], predicted[:, k]
        assert scores["precision"] == pytest.approx(precision_score(*pair))
        assert scores["recall"] == pytest.approx(recall_score(*pair))
        assert scores["f1"] == pytest.approx(f1_score(*pair))
        assert scores["auc"] == pytest.approx(roc_auc_score(truth[:, k], probabilities[:, k]))
        assert (scores["n"], scores["n_predicted"]) == (truth[:, k].sum(), predicted[:, k].sum())
        for name, (low, high) in scores["intervals"].items():
            assert low <= scores[name] <= high


def test_accuracy_by_hand():
    """Of {1, 2} {1} is found: 1/2. Of {2} {1, 2}: 1/2. Of none none: 1. Of {1} {2}: 0."""
    truth = np.array([[1, 1], [0, 1], [0, 0], [1, 0]]) == 1
    predicted = np.array([[1, 0], [1, 1], [0, 0], [0, 1]]) == 1
    scores = set_scores(truth, predicted, predicted.astype(float))
    assert scores["accuracy"] == pytest.approx((0.5 + 0.5 + 1 + 0) / 4)
    assert scores["exact_match_ratio"] == pytest.approx(1 / 4)
    assert scores["hamming_loss"] == pytest.approx((1 + 1 + 0 + 2) / 8)


def test_one_who_finds_nothing_has_a_low_hamming_loss_but_no_accuracy_on_defective_sheets():
    truth = np.eye(4, dtype=bool)
    scores = set_scores(truth, np.zeros_like(truth), np.zeros((4, 4)))
    assert scores["hamming_loss"] == 0.25
    assert scores["accuracy"] == scores["exact_match_ratio"] == scores["macro_f1"] == 0


def test_class_that_never_occurs_and_is_never_predicted_does_not_count(judged):
    truth, predicted, probabilities = (part.copy() for part in judged)
    truth[:, 1] = predicted[:, 1] = False
    rest = [0, 2, 3]
    scores = set_scores(truth, predicted, probabilities)
    without = set_scores(truth[:, rest], predicted[:, rest], probabilities[:, rest])
    assert {name: scores[name] for name in ("f1", "macro_f1", "auc")} == pytest.approx(
        {name: without[name] for name in ("f1", "macro_f1", "auc")}
    )
    of_class = scores_of_classes(truth, predicted, probabilities, n_samples=100, seed=0)[1]
    assert [of_class[name] for name in ("precision", "recall", "f1", "auc", "n")] == [None, None, None, None, 0]
    assert of_class["intervals"]["f1"] == [None, None]


def test_scores_of_sheets_without_any_class_are_undefined_where_classes_are_needed():
    nothing = np.zeros((5, 2), dtype=bool)
    scores = set_scores(nothing, nothing, np.zeros((5, 2)))
    assert scores["accuracy"] == scores["exact_match_ratio"] == 1
    assert [scores[name] for name in ("f1", "auc", "macro_f1", "micro_f1", "balanced_accuracy")] == [None] * 5


def test_intervals_are_percentiles_over_resampled_sheets(judged):
    rng = np.random.default_rng(3)
    counts = rng.multinomial(80, np.full(80, 1 / 80), size=100)
    rows = [np.repeat(np.arange(80), count) for count in counts]
    resampled = [set_scores(*(part[chosen] for part in judged)) for chosen in rows]
    truth, predicted, probabilities = judged
    intervals = set_intervals(truth, predicted, probabilities, n_samples=100, seed=3)
    for name, ends in intervals.items():
        values = np.array([scores[name] for scores in resampled], dtype=float)
        assert ends == pytest.approx(np.percentile(values, [2.5, 97.5]).tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=12))
def test_threshold_has_the_largest_f1_there_is_and_is_nearest_to_one_half(sheets):
    is_class = np.array([one for one, _ in sheets])
    probabilities = np.array([p / 10 for _, p in sheets])

    def f1(threshold):
        predicted = probabilities >= threshold
        return 2 * (predicted & is_class).sum() / max(1, predicted.sum() + is_class.sum())

    found = choose_threshold(is_class, probabilities)
    best = max(f1(threshold) for threshold in np.r_[0.5, np.arange(0.05, 1, 0.1)])
    assert f1(found) == pytest.approx(best)
    if f1(0.5) == pytest.approx(best):
        assert found == 0.5


def test_threshold_by_hand_lies_between_the_classes():
    assert choose_threshold(np.array([0, 0, 1, 1]) == 1, np.array([0.1, 0.2, 0.3, 0.9])) == pytest.approx(0.25)
    assert choose_threshold(np.array([0, 0, 1, 1]) == 1, np.array([0.1, 0.6, 0.8, 0.9])) == pytest.approx(0.7)
    assert choose_threshold(np.array([0, 1]) == 1, np.array([0.4, 0.6])) == 0.5


def test_scores_at_thresholds_by_hand():
    scores = scores_at(np.array([1, 0, 1]) == 1, np.array([0.2, 0.5, 0.8]), np.array([0.0, 0.5, 0.6, 0.9]))
    np.testing.assert_allclose(scores["precision"], [2 / 3, 1 / 2, 1, np.nan])
    np.testing.assert_allclose(scores["recall"], [1, 1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(scores["f1"], [4 / 5, 1 / 2, 2 / 3, 0])


def test_class_with_too_few_sheets_keeps_one_half():
    n = 40
    truth = np.zeros((n, 2), dtype=bool)
    truth[: MIN_POSITIVES - 1, 0] = truth[:MIN_POSITIVES, 1] = True
    table = choose_thresholds(truth, np.where(truth, 0.3, 0.1), OUTPUTS)
    assert table["threshold"].tolist() == pytest.approx([0.5, 0.2])
    assert table["chosen"].tolist() == [False, True]
    assert table["n_positive"].tolist() == [MIN_POSITIVES - 1, MIN_POSITIVES]
    assert table["f1"].tolist() == [0, 1]
    assert table[["class", "output"]].to_numpy().tolist() == [[1, "pit"], [2, "crack"]]


def split_of_sets(n=60):
    """A pit on every other sheet, a crack on every fourth: sets {}, {pit}, {}, {pit, crack} in turn."""
    labels = np.tile([0, 1, 0, 3], n // 4)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "image_id": [f"{row}.jpg" for row in range(n)],
            "label": labels,
            "split": ["train"] * (n - 24) + ["test"] * 12 + ["validation"] * 12,
            "copy": 0,
            "flip_h": False,
            "flip_v": False,
        }
    )


def test_predictions_are_of_validation_then_test_sheets_with_a_column_a_class():
    split = split_of_sets(60).tail(4)[::-1].reset_index(drop=True)
    split["split"] = ["test", "validation", "test", "train"]
    table = predict_sets(split, np.array([[0.9, 0.2], [0.4, 0.8], [0.5, 0.1]]), np.array([0.5, 0.3]))
    columns = ["row", "image_id", "split", "label_1", "label_2", "p_1", "p_2", "predicted_1", "predicted_2"]
    assert table.columns.tolist() == columns
    assert table.to_numpy().tolist() == [
        [58, "58.jpg", "validation", 0, 0, 0.9, 0.2, 1, 0],
        [59, "59.jpg", "test", 1, 1, 0.4, 0.8, 0, 1],
        [57, "57.jpg", "test", 1, 0, 0.5, 0.1, 1, 0],
    ]
    truth, predicted, probabilities = truth_and_predictions(table, "test")
    assert truth.tolist() == [[True, True], [True, False]]
    assert predicted.tolist() == [[False, True], [True, False]]
    assert probabilities.tolist() == [[0.4, 0.8], [0.5, 0.1]]


def test_thresholds_are_chosen_on_the_validation_sheets_alone():
    split = split_of_sets()
    truth = label_bits(pd.concat([split.tail(12), split.iloc[36:48]])["label"].to_numpy(), 2)
    probabilities = np.where(truth, 0.3, 0.1)
    probabilities[12:] = 0.9
    predictions, thresholds = predict_and_choose(split, probabilities, OUTPUTS)
    assert thresholds["threshold"].tolist() == pytest.approx([0.2, 0.5])  # 6 of 12 have a pit, 3 a crack
    assert thresholds["chosen"].tolist() == [True, False]
    assert predictions.loc[predictions["split"] == "test", ["predicted_1", "predicted_2"]].to_numpy().all()


@pytest.fixture
def sheets(fake_sheets):
    """As their split says: the fake sheets' bright square is the pit, a dark one beside it the crack."""
    fake_sheets[3::4, :, 44:60, 10:26] -= 50
    return fake_sheets


@pytest.fixture
def baseline_parameters():
    return BaselineParameters(size=(16, 10), inverse_regularisation=[1e-3, 1e-1], folds=3)


def test_baseline_finds_each_class_by_itself(sheets, baseline_parameters):
    split = split_of_sets()
    probabilities = baseline_of_every_class(sheets, split, baseline_parameters, 0, 2)
    held_out = pd.concat([split[split["split"] == name] for name in ("validation", "test")])
    assert ((probabilities > 0.5) == label_bits(held_out["label"].to_numpy(), 2)).all()
    one = split.assign(label=split["label"] & 1)
    expected = baseline_probabilities(sheets, one, baseline_parameters, 0, 2)[:, 1]
    np.testing.assert_allclose(probabilities[12:, 0], expected)


def test_baseline_of_a_class_on_all_training_sheets_or_none_is_certain(sheets, baseline_parameters):
    split = split_of_sets()
    split.loc[split["split"] == "train", "label"] = 2
    probabilities = baseline_of_every_class(sheets, split, baseline_parameters, 0, 2)
    assert (probabilities == [0, 1]).all()


@pytest.fixture
def trained(sheets, training_parameters, tmp_path):
    return train_classifier(
        sheets,
        split_of_sets(),
        outputs=OUTPUTS,
        parameters=training_parameters.model_copy(update={"epochs": 1}),
        seed=0,
        folder=tmp_path,
        data_source="mill",
        activation="sigmoid",
    )[0]


def test_probabilities_are_sigmoids_of_validation_then_test_sheets(trained, sheets):
    split = split_of_sets()
    probabilities = predict_every_class(trained, sheets, split, batch_size=7, device="cpu")
    assert probabilities.shape == (24, 2)
    reversed_test = split.assign(split=split["split"].replace({"test": "validation", "validation": "test"}))
    swapped = predict_every_class(trained, sheets, reversed_test, batch_size=7, device="cpu")
    np.testing.assert_allclose(np.roll(swapped, 12, axis=0), probabilities, atol=1e-6)
    assert not np.allclose(probabilities.sum(axis=1), 1)


def test_record_says_what_was_trained_and_can_be_written_as_json(trained, sheets, baseline_parameters, caplog):
    split = split_of_sets()
    parameters = EvaluationParameters(
        batch_size=8,
        bootstrap_samples=100,
        timing_repeats=1,
        calibration_bins=5,
        target_accuracy=0.9,
        false_alarm_rate=0.1,
        throughput_sheets=1,
        baseline=baseline_parameters,
    )
    probabilities = predict_every_class(trained, sheets, split, batch_size=8, device="cpu")
    predictions, thresholds = predict_and_choose(split, probabilities, OUTPUTS)
    baseline = predict_and_choose(split, baseline_of_every_class(sheets, split, baseline_parameters, 0, 2), OUTPUTS)
    with caplog.at_level(logging.INFO, logger="steel_xai"):
        record = evaluate_multilabel(
            trained,
            predictions,
            thresholds,
            *baseline,
            sheets,
            split,
            data_source="mill",
            parameters=parameters,
            device="cpu",
        )
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["model"], record["weights"], record["n_train"], record["n_test"]) == ("tiny", "random", 36, 12)
    assert record["n_test_by_class"] == {"no defect": 6, "pit": 6, "crack": 3}
    assert record["n_test_of_several_classes"] == 3
    assert record["n_train_by_class"]["pit"] == {"sheets": 18, "copies": 0, "distinct_pictures": 18}
    assert record["n_train_by_class"]["no defect"]["sheets"] == 18
    assert record["thresholds_not_chosen"] == ["crack"]
    assert record["baseline"]["exact_match_ratio"] == 1
    assert record["test"] == set_scores(*truth_and_predictions(predictions, "test"))
    assert record["test"].keys() == record["test_intervals"].keys() == record["baseline_intervals"].keys()
    text = caplog.text
    assert "tiny (random weights), classes of 12 test sheets of 'mill': accuracy" in text
    assert "logistic regression on pixels: accuracy 1.000" in text
    assert "Fewer than 5 validation sheets have 'crack', too few to choose a threshold" in text


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121"])
def test_named_architectures_take_a_training_step_and_predict(architecture, training_parameters, tmp_path):
    sheets = np.random.default_rng(0).integers(0, 256, (8, 1, 32, 48), dtype=np.uint8)
    split = split_of_sets().head(8).assign(split=["train"] * 4 + ["validation"] * 2 + ["test"] * 2)
    changes = {"architecture": architecture, "epochs": 1, "batch_size": 4, "noise": 0.0, "learning_rate": 1e-3}
    classifier, history = train_classifier(
        sheets,
        split,
        outputs=OUTPUTS,
        parameters=training_parameters.model_copy(update=changes),
        seed=0,
        folder=tmp_path,
        data_source="mill",
        activation="sigmoid",
    )
    assert np.isfinite(history["train_loss"]).all()
    assert classifier.description.activation == "sigmoid"
    probabilities = predict_every_class(classifier, sheets, split, batch_size=4, device="cpu")
    assert probabilities.shape == (4, 2)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
