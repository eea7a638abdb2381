"""Nodes of the pipeline ``splits``."""

from steel_xai.parameters import SplitParameters
from steel_xai.types import DataFrame, Figure


def label_examples(sheet_index: DataFrame, splits: SplitParameters) -> DataFrame:
    """Give every sheet the label that the task asks for."""
    from steel_xai.sheets.splits import example_labels

    return example_labels(sheet_index, splits.labels, splits.several_classes)


def split_examples(examples: DataFrame, splits: SplitParameters, seed: int) -> DataFrame:
    """Draw train, validation and test sheets."""
    from steel_xai.sheets.splits import split_sheets

    return split_sheets(examples, splits.fractions, seed)


def copy_rare_classes(sheet_split: DataFrame, splits: SplitParameters, class_names: list[str], seed: int) -> DataFrame:
    """Add flipped copies of the rare classes' training sheets."""
    from steel_xai.sheets import splits as domain

    return domain.copy_rare_classes(sheet_split, splits, class_names, seed)


def plot_class_distribution(
    split: DataFrame, splits: SplitParameters, class_names: list[str], data_source: str
) -> Figure:
    """Draw how many sheets of each class each split holds, and what the copies add to the training."""
    from steel_xai import plots
    from steel_xai.sheets.splits import output_names

    return plots.class_distribution(
        split,
        output_names(splits.labels, class_names),
        data_source=data_source,
        several_classes=splits.labels == "every_class",
    )
