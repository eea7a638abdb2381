"""Parameters of the data stages: the sample, the tensors, and the split into examples."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steel_xai.parameters.base import Section, Seed, Share, Workers


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
    """How sheets become labelled examples of a task, and which of them are trained on more than once.

    ``several_classes`` says what a ``single_class`` task does with sheets of several classes: leave them out, or label
    them by the class with the largest area. ``every_class`` is the multi-label task's, which holds out what the other
    tasks hold out, so that its ``fractions`` do not count. ``extra_copies`` names defect classes whose training sheets
    get that many further copies, flipped at random with ``flip_probability`` (``auto``: the study's 1/sqrt(2)), or, as
    ``orbit``, through all distinct flips before any repeats.
    """

    labels: Literal["any_defect", "single_class", "every_class"]
    several_classes: Literal["drop", "largest_area"]
    fractions: SplitFractions
    augmentation: Literal["none", "random", "orbit"]
    extra_copies: dict[str, Annotated[int, Field(ge=0, le=100)]]
    flip_probability: Share | Literal["auto"]
