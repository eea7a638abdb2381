"""Parameters of the white-stain audit, of its check and of the remedy."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steel_xai.parameters.base import Section, Seed

Count = Annotated[int, Field(ge=1)]


class AuditedAttribute(Section):
    """A binary attribute of sheets: its ``name`` in the plural, and the ``output`` it is suspected to speak for.

    A defect class that a task has no output of stands for the task's output ``defect``.
    """

    name: str
    output: str


class DoseParameters(Section):
    """The dose-response: up to ``max_stains`` on a sheet, stains of ``area_levels`` sizes, on ``max_sheets`` sheets."""

    max_stains: Count
    area_levels: Annotated[int, Field(ge=2)]
    max_sheets: Count


class StainAuditParameters(Section):
    """What the audit tests, and when it says ``shortcut``.

    Groups have at most ``per_group`` and at least ``min_group`` sheets. Matched sheets differ in brightness by
    ``caliper`` grey levels at most. ``level`` is that of each test, ``min_effect`` the rank-biserial correlation from
    which on a difference counts, ``min_shift`` the shift of P from which on what a pasted stain does counts. At most
    ``max_sheets`` sheets are changed, and at least ``min_sheets`` have to be. ``method`` explains the sheets in the
    attribution test: one whose positive part speaks for an output, which is not so of gradients at the image (a bright
    pixel's says that a brighter one would raise the logit). ``attributes`` are audited besides stains: ``black_edge``,
    or any 0/1 column of ``sheet_index``; ``listed`` is that of the user's ``attribute.csv``.
    """

    per_group: Count
    min_group: Annotated[int, Field(ge=5)]
    caliper: Annotated[float, Field(gt=0)]
    level: Annotated[float, Field(gt=0, lt=1)]
    min_effect: Annotated[float, Field(ge=0, lt=1)]
    min_shift: Annotated[float, Field(ge=0, lt=1)]
    max_sheets: Count
    min_sheets: Annotated[int, Field(ge=5)]
    method: Literal["gradcam", "hirescam", "layercam", "lime"]
    batch_size: Count
    bootstrap_samples: Annotated[int, Field(ge=100)]
    dose: DoseParameters
    attributes: dict[str, AuditedAttribute]
    listed: AuditedAttribute

    @model_validator(mode="after")
    def _most_is_no_less_than_least(self) -> Self:
        for most, least in (("per_group", "min_group"), ("max_sheets", "min_sheets")):
            if getattr(self, most) < getattr(self, least):
                raise ValueError(f"{most} is below {least}, so that nothing could be tested")
        return self


class AuditCheckParameters(Section):
    """The known-answer check: samples of ``n_sheets``, one a seed with stains as planted, one at an ``equal_rate``."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    n_sheets: Annotated[int, Field(ge=50)]
    equal_rate: Annotated[float, Field(gt=0, le=1)]


class StainRemedyParameters(Section):
    """The remedy: the model is trained again with this ``training.stain_augmentation``."""

    stain_augmentation: Annotated[float, Field(gt=0, le=1)]
