"""Nodes of the cascade."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import ComputeParameters, LoopParameters
from steel_xai.parameters.cascade import CascadeParameters
from steel_xai.parameters.segmentation import SegmentationNetworkParameters
from steel_xai.raw_files import RawFile
from steel_xai.types import Array, Classifier, DataFrame, Figure, Segmenter


def hand_over_model(split: DataFrame, model: Classifier) -> tuple[DataFrame, Classifier]:
    """Give a task's split and model to a pipeline outside of its namespace."""
    return split, model


def train_unets(
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    network: SegmentationNetworkParameters,
    training: LoopParameters,
    dice_smoothing: float,
    negatives_per_positive: float,
    compute: ComputeParameters,
    class_names: list[str],
    data_source: str,
    seed: int,
    training_folder: Path,
) -> tuple[dict[int, Segmenter], DataFrame]:
    """Train a U-Net for each class."""
    from steel_xai.cascade.training import train_unets
    from steel_xai.sheets.splits import check_rows

    check_rows(split, sheet_index, len(sheets))
    return train_unets(
        sheets,
        masks,
        split,
        class_names=class_names,
        network=network,
        parameters=training,
        dice_smoothing=dice_smoothing,
        negatives_per_positive=negatives_per_positive,
        seed=seed,
        folder=training_folder,
        data_source=data_source,
        devices=compute.devices,
    )


def predict_held_out(
    gate: Classifier,
    labels: Classifier,
    unets: dict[int, Segmenter],
    sheets: Array,
    masks: Array,
    gate_split: DataFrame,
    split: DataFrame,
    class_names: list[str],
    data_source: str,
    cascade: CascadeParameters,
) -> tuple[DataFrame, DataFrame]:
    """Let every step judge the sheets that none of them was trained on."""
    from steel_xai.cascade.held_out import choose_held_out, predict_held_out
    from steel_xai.cascade.steps import Steps, check_lineage

    steps = Steps(gate, labels, unets, class_names)
    check_lineage(steps, sheets, masks, gate_split, split, data_source)
    return predict_held_out(
        steps,
        sheets,
        masks,
        choose_held_out(gate_split, split),
        minimum_areas=cascade.minimum_areas,
        batch_size=cascade.batch_size,
        device=cascade.training.device,
    )


def choose_thresholds(
    predictions: DataFrame, counts: DataFrame, class_names: list[str], cascade: CascadeParameters
) -> dict[str, Any]:
    """Choose the thresholds of every set-up on the validation sheets."""
    from steel_xai.cascade.held_out import arrays_of
    from steel_xai.cascade.thresholds import choose_thresholds

    return choose_thresholds(arrays_of(predictions, counts, "validation"), cascade.thresholds, class_names)


def measure_cascade(
    gate: Classifier,
    labels: Classifier,
    unets: dict[int, Segmenter],
    sheets: Array,
    predictions: DataFrame,
    counts: DataFrame,
    thresholds: dict[str, Any],
    class_names: list[str],
    data_source: str,
    seed: int,
    cascade: CascadeParameters,
) -> dict[str, Any]:
    """Score the steps and the set-ups on the test sheets."""
    from steel_xai.cascade.metrics import measure_cascade
    from steel_xai.cascade.steps import Steps

    return measure_cascade(
        Steps(gate, labels, unets, class_names),
        sheets,
        predictions,
        counts,
        thresholds,
        data_source=data_source,
        parameters=cascade,
        seed=seed,
    )


def plot_scores(metrics: dict[str, Any]) -> Figure:
    """Draw the Dice of every set-up and the gains of the steps."""
    from steel_xai import plots

    return plots.cascade_scores(metrics)


def plot_examples(
    gate: Classifier,
    labels: Classifier,
    unets: dict[int, Segmenter],
    sheets: Array,
    masks: Array,
    predictions: DataFrame,
    counts: DataFrame,
    thresholds: dict[str, Any],
    class_names: list[str],
    data_source: str,
    cascade: CascadeParameters,
) -> Figure:
    """Draw test sheets with the masks of every set-up."""
    from steel_xai import plots
    from steel_xai.cascade.examples import choose_examples, masks_of_setups, true_masks
    from steel_xai.cascade.steps import Steps
    from steel_xai.interpretation.maps import grey_sheets

    chosen = choose_examples(predictions, counts, thresholds, class_names, cascade.figure_sheets)
    if not len(chosen.rows):
        return plots.empty_figure("No test sheet has a defect, and no step changes anything.", data_source)
    predicted = masks_of_setups(
        Steps(gate, labels, unets, class_names),
        sheets,
        chosen.rows,
        predictions,
        thresholds,
        batch_size=cascade.batch_size,
        device=cascade.training.device,
    )
    truth = true_masks(masks, chosen.rows, len(class_names))
    return plots.cascade_examples(
        chosen.captions,
        grey_sheets(sheets, chosen.rows),
        truth,
        predicted,
        class_names,
        about=chosen.rule,
        data_source=data_source,
    )


def write_submission(
    gate: Classifier,
    labels: Classifier,
    unets: dict[int, Segmenter],
    sheets: Array,
    thresholds: dict[str, Any],
    raw_unlabelled_sheets: dict[str, RawFile],
    class_names: list[str],
    raw_size: tuple[int, int],
    cascade: CascadeParameters,
) -> DataFrame:
    """Find the masks of the sheets without labels, and check what is written of them."""
    from steel_xai.cascade.steps import Steps
    from steel_xai.cascade.submission import check_submission, images_among, write_submission
    from steel_xai.cascade.thresholds import WHOLE, read_thresholds

    images = images_among(raw_unlabelled_sheets)
    table = write_submission(
        Steps(gate, labels, unets, class_names),
        read_thresholds(thresholds[WHOLE], class_names),
        images,
        raw_size=(raw_size[0], raw_size[1]),
        tensor_shape=sheets.shape[1:],
        batch_size=cascade.batch_size,
        device=cascade.training.device,
    )
    check_submission(table, list(images), len(class_names), (raw_size[0], raw_size[1]))
    return table
