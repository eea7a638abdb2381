"""Typed parameters: every section of ``conf/*/parameters`` as a validated model.

Kedro checks the sections that a pipeline uses before any of its nodes runs; the project's hook checks the
whole tree, so that a misspelt section is named as well. Defaults live in ``conf/base/parameters``, not here.
"""

from typing import Annotated, Literal

from pydantic import Field

from steel_xai.parameters.architectures import OWN_ARCHITECTURES, TORCHVISION_ARCHITECTURES
from steel_xai.parameters.base import (
    MAX_CLASSES,
    ClassNames,
    Section,
    Seed,
    Size,
    TensorSize,
    validate,
)
from steel_xai.parameters.cascade import CascadeParameters
from steel_xai.parameters.compute import ComputeParameters
from steel_xai.parameters.data import (
    BlackEndRate,
    DuplicateParameters,
    ProcessingParameters,
    SampleParameters,
    SplitFractions,
    SplitParameters,
    StainDetectionParameters,
)
from steel_xai.parameters.explain import ExplainParameters
from steel_xai.parameters.inspection import InspectionParameters, LayerShapParameters
from steel_xai.parameters.interpretation import METHOD_NAMES, InterpretationParameters
from steel_xai.parameters.model import (
    BaselineParameters,
    ComparisonParameters,
    ComparisonSelection,
    EvaluationParameters,
    LoopParameters,
    NoiseRobustnessParameters,
    PatchParameters,
    PublishedScores,
    TaskParameters,
    TrainingParameters,
    VariantParameters,
)
from steel_xai.parameters.multilabel import MultilabelParameters
from steel_xai.parameters.segmentation import SegmentationParameters
from steel_xai.parameters.stain_audit import (
    AuditCheckParameters,
    AuditedAttribute,
    StainAuditParameters,
    StainRemedyParameters,
)

__all__ = [
    "MAX_CLASSES",
    "METHOD_NAMES",
    "OWN_ARCHITECTURES",
    "TORCHVISION_ARCHITECTURES",
    "AuditCheckParameters",
    "AuditedAttribute",
    "BaselineParameters",
    "BlackEndRate",
    "CascadeParameters",
    "ComparisonParameters",
    "ComparisonSelection",
    "ComputeParameters",
    "DuplicateParameters",
    "EvaluationParameters",
    "ExplainParameters",
    "InspectionParameters",
    "InterpretationParameters",
    "LayerShapParameters",
    "LoopParameters",
    "MultilabelParameters",
    "NoiseRobustnessParameters",
    "Parameters",
    "PatchParameters",
    "ProcessingParameters",
    "PublishedScores",
    "SampleParameters",
    "SegmentationParameters",
    "Size",
    "SplitFractions",
    "SplitParameters",
    "StainAuditParameters",
    "StainDetectionParameters",
    "StainRemedyParameters",
    "TaskParameters",
    "TrainingParameters",
    "VariantParameters",
    "validate",
]


class Parameters(Section):
    """The whole tree of parameters."""

    seed: Seed
    data_source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    raw_size: Size
    tensor_size: TensorSize
    channels: Literal[1, 3]
    class_names: ClassNames
    compute: ComputeParameters
    sample: SampleParameters
    data_processing: ProcessingParameters
    splits: SplitParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    binary: TaskParameters
    multi: TaskParameters
    multilabel: MultilabelParameters
    comparison: ComparisonSelection
    interpretation: InterpretationParameters
    explain: ExplainParameters
    inspection: InspectionParameters
    segmentation: SegmentationParameters
    cascade: CascadeParameters
    noise_robustness: NoiseRobustnessParameters
    stain_audit: StainAuditParameters
    stain_audit_check: AuditCheckParameters
    stain_remedy: StainRemedyParameters
