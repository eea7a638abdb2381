"""Typed parameters: every section of ``conf/*/parameters`` as a validated model.

Kedro checks the sections that a pipeline uses before any of its nodes runs; the project's hook checks the
whole tree, so that a misspelt section is named as well. Defaults live in ``conf/base/parameters``, not here.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from steel_xai.errors import InputError

MAX_CLASSES = 8
"""A mask file holds a bit for each class in a byte."""
MIN_TENSOR_SIDE = 32
RESERVED_CLASS_NAMES = ("no defect", "all", "none", "several")
"""Names that labels and tables give to other groups of sheets than a class."""


def _not_zero(n_jobs: int) -> int:
    if n_jobs == 0:
        raise ValueError("0 workers do nothing; 1 works in one process, -1 uses every core")
    return n_jobs


def _large_enough(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < MIN_TENSOR_SIDE:
        raise ValueError(
            f"height and width must be at least {MIN_TENSOR_SIDE} pixels, because networks shrink them by 16"
        )
    return size


def _distinct_names(names: list[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    for name in stripped:
        if not name:
            raise ValueError("a class has an empty name")
        if name.isdigit():
            raise ValueError(f"'{name}' would be taken for the number of a class")
        if name in RESERVED_CLASS_NAMES:
            raise ValueError(f"'{name}' has a meaning of its own, as have {', '.join(RESERVED_CLASS_NAMES)}")
        if stripped.count(name) > 1:
            raise ValueError(f"'{name}' is there more than once")
    return names


Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy, torch and scikit-learn all accept."""
Workers = Annotated[int, AfterValidator(_not_zero)]
Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""Height and width in pixels."""
TensorSize = Annotated[Size, AfterValidator(_large_enough)]
ClassNames = Annotated[list[str], Field(min_length=1, max_length=MAX_CLASSES), AfterValidator(_distinct_names)]


class Section(BaseModel):
    """A section of the parameters: unknown keys are refused, values do not change during a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StainRate(Section):
    """Share of the sheets that carry white stains, by whether the sheet has a defect."""

    defect_free: Share
    defective: Share


class BlackEndRate(Section):
    """Share of the sheets whose left or right end is black; no sheet has both."""

    left: Share
    right: Share

    @model_validator(mode="after")
    def _one_end_at_most(self) -> Self:
        if self.left + self.right > 1:
            raise ValueError(f"left and right may add up to 1 at most, not {self.left + self.right:.4f}")
        return self


class SampleParameters(Section):
    """The synthetic sample of sheets. Each planted effect is a rate, so that it can be switched off."""

    seed: Seed
    n_sheets: Annotated[int, Field(ge=20)]
    n_unlabelled: Annotated[int, Field(ge=0)]
    class_shares: dict[Literal["none", "1", "2", "3", "4", "several"], Share]
    near_duplicate_rate: Share
    stain_rate: StainRate
    black_end_rate: BlackEndRate
    class_2_edge_rate: Share
    n_jobs: Workers

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = sum(self.class_shares.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"class_shares must add up to 1, not {total:.4f}")
        return self


class DuplicateParameters(Section):
    """When two sheets count as near-duplicate frames of one strip."""

    max_hash_distance: Annotated[int, Field(ge=0, le=63)]
    min_correlation: Share


class StainDetectionParameters(Section):
    """The white-stain detector, in grey levels of 0..255 and pixels of the tensor.

    A stain is saturated, stands out from its surroundings, is no long line, and lies on a calm surface: the
    standard deviation of grey levels around it stays below ``max_roughness``. Sheets with fewer stained pixels than
    ``min_area`` count as clean.
    """

    min_brightness: Annotated[int, Field(ge=1, le=255)]
    min_contrast: Annotated[int, Field(ge=1, le=255)]
    max_length_share: Share
    max_roughness: Annotated[float, Field(gt=0)]
    min_area: Annotated[int, Field(ge=1)]


class ProcessingParameters(Section):
    """From raw files to tensors."""

    n_jobs: Workers
    batch_size: Annotated[int, Field(gt=0)]
    duplicates: DuplicateParameters
    white_stains: StainDetectionParameters


class SplitFractions(Section):
    """Shares of the sheets in each split."""

    train: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _fractions_add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the fractions must add up to 1, not {total:.4f}")
        return self


class SplitParameters(Section):
    """How sheets become labelled examples of a task."""

    labels: Literal["any_defect", "single_class"]
    fractions: SplitFractions


class TrainingParameters(Section):
    """The training loop. ``auto`` values follow the weights a network starts from (ImageNet or random)."""

    architecture: Literal["reduced_squeezenet"]
    pretrained: Literal["auto", "require", "never"]
    batch_norm: bool | Literal["auto"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
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
    device: Literal["auto", "cpu", "cuda"]

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
    """What is measured on the trained model."""

    batch_size: Annotated[int, Field(gt=0)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    timing_repeats: Annotated[int, Field(gt=0)]
    baseline: BaselineParameters


class TaskParameters(Section):
    """The sections of one task: the shared ones, overlaid with what the task's block states."""

    splits: SplitParameters
    training: TrainingParameters
    evaluation: EvaluationParameters


class Parameters(Section):
    """The whole tree of parameters."""

    seed: Seed
    data_source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    raw_size: Size
    tensor_size: TensorSize
    channels: Literal[1, 3]
    class_names: ClassNames
    sample: SampleParameters
    data_processing: ProcessingParameters
    splits: SplitParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    binary: TaskParameters


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], values: Any) -> Model:
    """Return ``values`` as ``model``; InputError names each misspelt, missing or out-of-range parameter."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(problem) for problem in error.errors()]
        raise InputError(
            "Parameters refused: " + "; ".join(problems) + ". Mend them in conf/ or in --params."
        ) from error


def _describe(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"'{name}' is no parameter of this project"
    if problem["type"] == "missing":
        return f"'{name}' is missing"
    return f"'{name}': {problem['msg']} (given: {problem['input']!r})"
