"""Parameters of the interpretation: which methods explain which sheets, and how their maps are scored."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from steel_xai.parameters.base import Section

METHOD_NAMES = (
    "deeplift",
    "deepshap",
    "gradcam",
    "guided_gradcam",
    "guided_backprop",
    "integrated_gradients",
    "lime",
    "layercam",
    "hirescam",
)


def _known_methods(names: list[str]) -> list[str]:
    for name in names:
        if name not in METHOD_NAMES:
            raise ValueError(f"'{name}' is no attribution method; there are {', '.join(METHOD_NAMES)}")
        if names.count(name) > 1:
            raise ValueError(f"'{name}' is there more than once")
    return names


Methods = Annotated[
    list[str], AfterValidator(_known_methods), Field(description=f"distinct, of {', '.join(METHOD_NAMES)}")
]
Count = Annotated[int, Field(ge=1)]


class AttributionOptions(Section):
    """Settings of the methods, see ``steel_xai.attribution.Options``.

    ``batch_size`` is how many images, or changed images, the network sees at a time on a CPU, ``cuda_batch_size`` on a
    GPU. So many sheets are also explained between two writes.
    """

    batch_size: Count
    cuda_batch_size: Count
    baseline: Literal["mean", "blur"]
    ig_steps: Count
    shap_baselines: Count
    lime_samples: Count
    lime_segments: Annotated[int, Field(ge=2)]
    cam_layer: str | None
    fine_layer: str | None


class InterpretedSheets(Section):
    """How many defective sheets are explained: ``test`` ones are scored, ``validation`` ones choose the thresholds.

    ``lime`` and ``random_network`` are how many of each LIME and the networks with random weights explain.
    """

    test: Annotated[int, Field(ge=5)]
    validation: Annotated[int, Field(ge=1)]
    lime: Count
    random_network: Count


class ExplanationChecks(Section):
    """How stability and faithfulness are measured, each on the first of the test sheets that every method explains.

    ``noise`` is the standard deviation of the Gaussian noise in normalised grey levels. ``fill`` stands where pixels
    are deleted, which goes in ``faithfulness_steps`` equal shares. ``randomised_sheets`` are explained once for every
    layer that is randomised.
    """

    stability_sheets: Count
    noise: Annotated[float, Field(gt=0)]
    faithfulness_sheets: Count
    faithfulness_steps: Annotated[int, Field(ge=2)]
    fill: Literal["mean", "blur"]
    randomised_sheets: Count


class ErrorAnalysis(Section):
    """The most confident errors, ``per_group`` false positives and false negatives of each class.

    ``edge_reach`` is how many raw pixels from the black edge count as near it.
    """

    per_group: Count
    edge_reach: Annotated[float, Field(gt=0)]


class InterpretationParameters(Section):
    """What is explained and how the maps become masks.

    ``target`` is the class that is explained: the sheet's true one (``label``), the ``predicted`` one, or for all
    sheets the one of the model's outputs that it names. ``threshold`` says whether k
    (a mask is where the blurred map exceeds its mean + k sd) is chosen on validation sheets or is the study's.
    ``blur`` is the standard deviation of the Gaussian in tensor pixels. ``ensembles`` are named averages of the ranks
    of several methods.
    """

    methods: Annotated[Methods, Field(min_length=1)]
    ensembles: dict[str, Annotated[Methods, Field(min_length=2)]]
    target: Annotated[str, Field(min_length=1, description="label, predicted, or one of the model's outputs")]
    sheets: InterpretedSheets
    options: AttributionOptions
    blur: Annotated[float, Field(ge=0)]
    threshold: Literal["validation", "study"]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    checks: ExplanationChecks
    errors: ErrorAnalysis

    @model_validator(mode="after")
    def _ensembles_are_made_of_methods(self) -> Self:
        for name, members in self.ensembles.items():
            if name in METHOD_NAMES:
                raise ValueError(f"an ensemble may not be called '{name}' like a method")
            for member in members:
                if member not in self.methods:
                    raise ValueError(f"ensemble '{name}' needs '{member}', which is not among the methods")
        return self
