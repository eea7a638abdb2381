"""Other models for the same task: the study's variants, and training without noise."""

from collections.abc import Sequence

from steel_xai.report.elements import Element, text_cell
from steel_xai.report.formats import interval, number, sentence_case, words
from steel_xai.report.frames import frame_table
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

_VARIANT_COLUMNS = {
    "variant": "Variant",
    "weights": "Weights",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "auc": "AUC",
    "ms_per_batch_of_5": "ms for 5 sheets",
    "parameters": "Parameters",
    "seconds_training": "Training, s",
    "published_accuracy": "Study: accuracy",
    "published_f1": "Study: F1",
    "published_auc": "Study: AUC",
    "problem": "Problem",
}


def _comparison(study: Study, task: str) -> Sequence[Element]:
    table = study.table(f"{task}.comparison")
    elements: list[Element] = []
    caption = "Each point is a variant; up and to the left is better. "
    if table is not None:
        shown = table.drop(columns=[name for name in ("problem",) if table[name].isna().all()])
        n = int(table["n_test"].max())
        elements.append(
            frame_table(
                f"Variants of the reference study (n = {n} test sheets, data: {study.data_source})",
                shown,
                names=_VARIANT_COLUMNS,
                formats={
                    "variant": lambda name: text_cell(sentence_case(words(name))),
                    "weights": lambda name: text_cell(words(name)),
                },
                note="95 % bootstrap intervals in brackets. The study's columns are of the Kaggle Severstal data, "
                "another data set, and times of another machine: they stand beside, not against, these rows.",
            )
        )
        best = table.loc[table["balanced_accuracy"].idxmax()]
        caption += f"The highest balanced accuracy has {words(best['variant'])}: " + interval(
            best["balanced_accuracy"], best["balanced_accuracy_low"], best["balanced_accuracy_high"]
        )
        caption += f", n = {n}."
    return [*elements, *study.figure(f"{task}.accuracy_against_time", "Accuracy against time", caption)]


def _noise(study: Study, task: str) -> Sequence[Element]:
    table = study.table(f"{task}.noise_robustness")
    caption = "Balanced accuracy under growing noise, with the noise augmentation in training and without. "
    elements: list[Element] = []
    if table is not None:
        strongest = table[table["level"] == table["level"].max()]
        ends = [
            f"{interval(row.balanced_accuracy, row.balanced_accuracy_low, row.balanced_accuracy_high)} trained with "
            f"noise {number(row.trained_with_noise, 2)}"
            for row in strongest.itertuples()
        ]
        caption += f"At the strongest noise ({number(table['level'].max(), 2)}): {'; '.join(ends)}."
        elements.append(
            frame_table(
                f"Under noise (n = {int(table['n'].max())} test sheets, data: {study.data(task)})",
                table,
                names={
                    "trained_with_noise": "Trained with noise",
                    "level": "Noise of the test sheets",
                    "accuracy": "Accuracy",
                    "balanced_accuracy": "Balanced accuracy",
                    "f1": "F1",
                    "auc": "AUC",
                },
                note="Standard deviations in normalised grey levels; means over draws of the noise, 95 % intervals "
                "over the sheets.",
            )
        )
    return [*study.figure(f"{task}.noise_robustness_curve", "Robustness to noise", caption), *elements]


PART = Part(
    "comparison",
    "Other models",
    "",
    (
        Stage(
            "model_comparison",
            ("comparison", "accuracy_against_time"),
            _comparison,
            label="model comparison",
            heading="Variants",
        ),
        Stage(
            "noise_robustness",
            ("noise_twin", "noise_robustness", "noise_robustness_curve"),
            _noise,
            label="noise robustness",
            heading="Noise",
        ),
    ),
)
