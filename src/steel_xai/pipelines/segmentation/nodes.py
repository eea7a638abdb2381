"""Nodes of the segmentation references."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import ComputeParameters, InterpretationParameters, LoopParameters, SplitParameters
from steel_xai.parameters.segmentation import SegmentationNetworkParameters, SegmentationParameters
from steel_xai.types import Array, DataFrame, Figure, Segmenter


def hand_over_split(split: DataFrame) -> DataFrame:
    """Give the split that both tasks' test sheets are test sheets of to a pipeline outside of its namespace."""
    return split


def train_network(
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    network: SegmentationNetworkParameters,
    training: LoopParameters,
    dice_smoothing: float,
    compute: ComputeParameters,
    class_names: list[str],
    data_source: str,
    seed: int,
    training_folder: Path,
) -> tuple[Segmenter, DataFrame]:
    """Train on the masks of the training sheets and keep the best validation epoch."""
    from steel_xai.segmentation.training import train_segmenter
    from steel_xai.sheets.splits import check_rows

    check_rows(split, sheet_index, len(sheets))
    return train_segmenter(
        sheets,
        masks,
        split,
        classes=dict(enumerate(class_names, start=1)),
        network=network,
        parameters=training,
        dice_smoothing=dice_smoothing,
        seed=seed,
        folder=training_folder,
        data_source=data_source,
        devices=compute.devices,
    )


def gather_networks(**networks: Segmenter) -> dict[str, Segmenter]:
    """Put the networks together under their names."""
    return networks


def measure_networks(
    networks: dict[str, Segmenter],
    sheets: Array,
    masks: Array,
    split: DataFrame,
    class_names: list[str],
    data_source: str,
    seed: int,
    segmentation: SegmentationParameters,
) -> tuple[DataFrame, dict[str, Any]]:
    """Score every network on the test sheets, without and with a filter chosen on the validation sheets."""
    from steel_xai.segmentation.evaluation import measure_networks

    return measure_networks(
        networks,
        sheets,
        masks,
        split,
        class_names=class_names,
        data_source=data_source,
        parameters=segmentation,
        seed=seed,
    )


def plot_training_curves(networks: dict[str, Segmenter], **histories: DataFrame) -> Figure:
    """Draw loss and Dice over the epochs of every network."""
    from steel_xai import plots

    descriptions = {name: networks[name].description for name in histories}
    losses = {name: description.loss for name, description in descriptions.items()}
    (data_source,) = {description.data_source for description in descriptions.values()}
    return plots.segmentation_training(histories, losses, data_source=data_source)


def plot_scores(metrics: dict[str, Any], class_names: list[str]) -> tuple[Figure, Figure]:
    """Draw the Dice by class, and how many classes are found on a sheet."""
    from steel_xai import plots

    source, networks = metrics["data_source"], metrics["networks"]
    return (
        plots.segmentation_dice(networks, class_names, data_source=source),
        plots.sheets_by_number_of_classes(networks, data_source=source),
    )


def plot_examples(
    networks: dict[str, Segmenter],
    counts: DataFrame,
    sheets: Array,
    masks: Array,
    class_names: list[str],
    data_source: str,
    segmentation: SegmentationParameters,
) -> Figure:
    """Draw the best, the median and the worst test sheets of the network that is best on validation sheets."""
    from steel_xai import plots
    from steel_xai.segmentation.examples import choose_examples, predict_examples

    chosen = choose_examples(counts, segmentation.figure_sheets)
    grey, truth, predicted = predict_examples(networks, chosen.rows, sheets, masks, segmentation)
    return plots.segmentation_examples(
        chosen.captions,
        grey,
        truth,
        predicted,
        class_names,
        chosen_by=chosen.network,
        n=chosen.n,
        data_source=data_source,
    )


def score_networks(
    networks: dict[str, Segmenter],
    sheets: Array,
    masks: Array,
    segmentation_split: DataFrame,
    split: DataFrame,
    splits: SplitParameters,
    interpretation: InterpretationParameters,
    segmentation: SegmentationParameters,
    seed: int,
) -> DataFrame:
    """Score the networks as the explanations of a task's model are scored, on the same sheets."""
    from steel_xai.segmentation.supervised import score_like_explanations

    return score_like_explanations(
        networks,
        sheets,
        masks,
        split,
        segmentation_split,
        labels=splits.labels,
        parameters=interpretation,
        seed=seed,
        timing_repeats=segmentation.timing_repeats,
        device=segmentation.training.device,
    )
