"""Every figure of the project: functions that return a Figure and never save it."""

from steel_xai.plots.attribution import attribution_ranking
from steel_xai.plots.attribution_maps import attribution_examples, attribution_gallery, class_evidence, error_panels
from steel_xai.plots.cascade import cascade_examples, cascade_scores
from steel_xai.plots.comparison import accuracy_against_time
from steel_xai.plots.confidence import abstention_curve, reliability_diagram
from steel_xai.plots.contact_sheet import contact_sheet
from steel_xai.plots.detection import recall_by_defect
from steel_xai.plots.evaluation import confusion_matrix, roc_curve
from steel_xai.plots.faithfulness import attribution_faithfulness
from steel_xai.plots.layer_shap import layer_shap
from steel_xai.plots.layers import layer_embedding, layer_probe
from steel_xai.plots.multilabel import class_scores, label_sets, threshold_curves
from steel_xai.plots.neurons import neuron_gallery, neuron_scores
from steel_xai.plots.robustness import noise_robustness
from steel_xai.plots.segmentation import (
    network_name,
    segmentation_dice,
    segmentation_examples,
    segmentation_training,
    sheets_by_number_of_classes,
)
from steel_xai.plots.stain_audit import (
    attribute_distributions,
    before_and_after,
    distributions_by_attribute,
    dose_response,
)
from steel_xai.plots.style import empty_figure
from steel_xai.plots.training import class_distribution, training_curves
from steel_xai.plots.weight_transfer import weight_transfer

__all__ = [
    "abstention_curve",
    "accuracy_against_time",
    "attribute_distributions",
    "attribution_examples",
    "attribution_faithfulness",
    "attribution_gallery",
    "attribution_ranking",
    "before_and_after",
    "cascade_examples",
    "cascade_scores",
    "class_distribution",
    "class_evidence",
    "class_scores",
    "confusion_matrix",
    "contact_sheet",
    "distributions_by_attribute",
    "dose_response",
    "empty_figure",
    "error_panels",
    "label_sets",
    "layer_embedding",
    "layer_probe",
    "layer_shap",
    "network_name",
    "neuron_gallery",
    "neuron_scores",
    "noise_robustness",
    "recall_by_defect",
    "reliability_diagram",
    "roc_curve",
    "segmentation_dice",
    "segmentation_examples",
    "segmentation_training",
    "sheets_by_number_of_classes",
    "threshold_curves",
    "training_curves",
    "weight_transfer",
]
