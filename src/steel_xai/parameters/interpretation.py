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


Methods = Annotated[list[str], AfterValidator(_known_methods)]
Count = Annotated[int, Field(ge=1)]


class AttributionOptions(Section):
    """Settings of the methods, see ``steel_xai.attribution.Options``."""

    batch_size: Count
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


class InterpretationParameters(Section):
    """What is explained and how the maps become masks.

    ``target`` is the class that is explained: the sheet's true one, or the predicted one. ``threshold`` says whether k
    (a mask is where the blurred map exceeds its mean + k sd) is chosen on validation sheets or is the study's.
    ``blur`` is the standard deviation of the Gaussian in tensor pixels. ``ensembles`` are named averages of the ranks
    of several methods.
    """

    methods: Annotated[Methods, Field(min_length=1)]
    ensembles: dict[str, Annotated[Methods, Field(min_length=2)]]
    target: Literal["label", "predicted"]
    sheets: InterpretedSheets
    options: AttributionOptions
    blur: Annotated[float, Field(ge=0)]
    threshold: Literal["validation", "study"]
    bootstrap_samples: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _ensembles_are_made_of_methods(self) -> Self:
        for name, members in self.ensembles.items():
            if name in METHOD_NAMES:
                raise ValueError(f"an ensemble may not be called '{name}' like a method")
            for member in members:
                if member not in self.methods:
                    raise ValueError(f"ensemble '{name}' needs '{member}', which is not among the methods")
        return self
