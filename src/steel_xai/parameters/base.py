"""What all sections of the parameters share: types of values, the base class, and how a refusal is worded.

Where a function checks what no bound of pydantic can say, a description says it for the tables of the reference.
"""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

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
Workers = Annotated[int, AfterValidator(_not_zero), Field(description="not 0; -1 uses every core")]
Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""Height and width in pixels."""
TensorSize = Annotated[Size, AfterValidator(_large_enough), Field(description=f"each at least {MIN_TENSOR_SIDE}")]
ClassNames = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=MAX_CLASSES,
        description=f"distinct, neither empty nor a number nor one of {', '.join(RESERVED_CLASS_NAMES)}",
    ),
    AfterValidator(_distinct_names),
]


class Section(BaseModel):
    """A section of the parameters: unknown keys are refused, values do not change during a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
