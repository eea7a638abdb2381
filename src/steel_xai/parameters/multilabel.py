"""Parameters of the multi-label task, whose sheets may have several classes."""

from typing import Self

from pydantic import model_validator

from steel_xai.parameters.base import Section
from steel_xai.parameters.data import SplitParameters
from steel_xai.parameters.inspection import LayerShapParameters
from steel_xai.parameters.model import EvaluationParameters, TrainingParameters


class MultilabelParameters(Section):
    """The sections that all trained tasks share, overlaid with what the task's block states, and its own.

    ``inner_layers`` is ``layer_shap`` of the inspection; its ``layers: null`` are layer1 and layer2 of a ResNet.
    """

    splits: SplitParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    inner_layers: LayerShapParameters

    @model_validator(mode="after")
    def _several_classes_a_sheet(self) -> Self:
        if self.splits.labels != "every_class":
            raise ValueError("splits.labels: the multi-label task has every_class")
        if self.training.patches is not None:
            raise ValueError("training.patches: windows have one label each, so they train no multi-label task")
        return self
