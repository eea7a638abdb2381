"""Parameters of a task's model: training, evaluation, and the comparison of variants."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steel_xai.parameters.architectures import Architecture
from steel_xai.parameters.base import Section, Share, Size, TensorSize
from steel_xai.parameters.data import SplitParameters
from steel_xai.parameters.explain import ExplainParameters
from steel_xai.parameters.interpretation import InterpretationParameters


class PatchParameters(Section):
    """Training on windows of the sheets: ``count`` windows of ``size`` (height, width) spread evenly over the width.

    A window with at least ``max_black`` of its pixels darker than grey level ``black_level`` is dropped.
    """

    count: Annotated[int, Field(ge=1)]
    size: TensorSize
    black_level: Annotated[int, Field(ge=1, le=255)]
    max_black: Annotated[float, Field(gt=0, le=1)]


class LoopParameters(Section):
    """The training loop, of whatever network. ``auto`` follows the weights it starts from (ImageNet or random)."""

    pretrained: Literal["auto", "require", "never"]
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"]
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(gt=0)]
    epochs: Annotated[int, Field(gt=0)]
    patience: Annotated[int, Field(gt=0)]
    monitor: Literal["accuracy", "loss"]
    warmup_epochs: Annotated[float, Field(ge=0)]
    gradient_clip: Annotated[float, Field(gt=0)] | None
    noise: Annotated[float, Field(ge=0)]
    random_flips: bool | Literal["auto"]
    # Not among what describes a model, which may be trained again from its description.
    logger: Literal["none", "tensorboard"] = "none"
    device: Literal["auto", "cpu", "cuda"]


class TrainingParameters(LoopParameters):
    """The training of a classifier.

    ``frozen_features`` trains the head only. ``class_weights`` scales a sheet's loss by 1/n_c, the number of training
    examples of its class. ``patches`` trains on windows instead of whole sheets. ``batch_norm: auto`` follows the
    weights. ``stain_augmentation`` is the probability with which an example, defective or not, gets a white stain from
    a training sheet pasted on.
    """

    architecture: Architecture
    frozen_features: bool
    class_weights: Literal["none", "inverse_frequency"]
    patches: PatchParameters | None
    batch_norm: bool | Literal["auto"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    stain_augmentation: Share

    @model_validator(mode="after")
    def _batch_norm_fits_the_weights(self) -> Self:
        if self.batch_norm is True and self.pretrained != "never":
            raise ValueError(
                "training.batch_norm: true does not fit the published weights, which have none; "
                "set training.pretrained: never, or training.batch_norm: auto"
            )
        return self


class BaselineParameters(Section):
    """Logistic regression on pixels."""

    size: Size
    inverse_regularisation: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2)]


class EvaluationParameters(Section):
    """What is measured on the trained model.

    ``target_accuracy`` is what answered sheets should reach when the model may say "I don't know", ``false_alarm_rate``
    the share of defect-free sheets that may be reported; both thresholds are chosen on the validation sheets.
    ``throughput_sheets`` raw files are timed from file to prediction.
    """

    batch_size: Annotated[int, Field(gt=0)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    timing_repeats: Annotated[int, Field(gt=0)]
    calibration_bins: Annotated[int, Field(ge=2)]
    target_accuracy: Annotated[float, Field(gt=0, le=1)]
    false_alarm_rate: Share
    throughput_sheets: Annotated[int, Field(gt=0)]
    baseline: BaselineParameters


class NoiseRobustnessParameters(Section):
    """Standard deviations of the noise, in normalised grey levels, and how often each is drawn."""

    levels: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)]
    repeats: Annotated[int, Field(gt=0)]


class PublishedScores(Section):
    """A row of the study's table; ``ms_per_batch_of_5`` was taken on its own machine."""

    accuracy: Share
    balanced_accuracy: Share | None = None
    f1: Share
    auc: Share
    ms_per_batch_of_5: Annotated[float, Field(gt=0)]


class VariantParameters(Section):
    """One model of a comparison: the task's own sections, overlaid with what the variant states.

    ``slow_on_cpu`` ones are left out without a GPU unless they are asked for by name.
    """

    splits: SplitParameters
    training: TrainingParameters
    slow_on_cpu: bool = False
    published: PublishedScores | None = None


class ComparisonSelection(Section):
    """Which variants of a task to run: a list of names, or all that the device is fit for."""

    run: list[str] | Literal["auto"]


class ComparisonParameters(ComparisonSelection):
    """The variants of a task by name, and which of them to run."""

    variants: Annotated[dict[str, VariantParameters], Field(min_length=1)]

    @model_validator(mode="after")
    def _run_names_variants(self) -> Self:
        for name in [] if self.run == "auto" else self.run:
            if name not in self.variants:
                raise ValueError(f"run names '{name}'; the variants are {', '.join(self.variants)}")
        return self


class TaskParameters(Section):
    """The sections of one task: the shared ones, overlaid with what the task's block states."""

    splits: SplitParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    comparison: ComparisonParameters
    interpretation: InterpretationParameters
    explain: ExplainParameters

    @model_validator(mode="after")
    def _one_class_a_sheet(self) -> Self:
        if self.splits.labels == "every_class":
            raise ValueError("splits.labels: every_class is for the multi-label task alone")
        return self
