"""The audit of one classifier, put together from its tests: what is, what interventions do, where relevance lies."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from steel_xai.attribution import Options, attribute
from steel_xai.attribution.cam import gradcam_all_classes
from steel_xai.batches import normalise
from steel_xai.classifier import Classifier
from steel_xai.device import place, select_device
from steel_xai.errors import InputError
from steel_xai.interpretation.explain import load_images
from steel_xai.interpretation.maps import true_masks
from steel_xai.parameters import AuditedAttribute, StainAuditParameters, StainDetectionParameters
from steel_xai.sheets.grey import grey_levels
from steel_xai.stain_audit import audit
from steel_xai.stain_audit.changes import Changed
from steel_xai.stain_audit.dose import measure_dose_response
from steel_xai.stain_audit.groups import WHITE_STAIN
from steel_xai.stain_audit.interventions import intervene
from steel_xai.stain_audit.material import collect_material

logger = logging.getLogger(__name__)

STAINS = "white stains"
EXAMPLES = {"defective": ("white stain pasted", 2), "stained": ("white stains painted over", 2)}
"""By group of sheets what was done to them, and how many of them are drawn."""

Device = Literal["auto", "cpu", "cuda"]


class Interventions(NamedTuple):
    """What pasting and removing stains does.

    Attributes:
        record: See ``interventions.intervene``.
        shifts: One row a changed sheet.
        changes: The changed sheets by group.
    """

    record: dict[str, Any]
    shifts: pd.DataFrame
    changes: dict[str, Changed]


class Examples(NamedTuple):
    """A few changed sheets, as ``plots.before_and_after`` takes them, with GradCAM of two outputs."""

    about: pd.DataFrame
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    changed: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    maps: NDArray[np.float32]
    classes: NDArray[np.integer]


def intervene_on_stains(
    classifier: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    split: pd.DataFrame,
    parameters: StainAuditParameters,
    white_stains: StainDetectionParameters,
    *,
    device: Device,
) -> Interventions:
    """Paste stains on test sheets and remove others; the classifier's seed draws places and resamples."""
    seed = classifier.description.seed
    masks = _or_empty(masks, sheets)
    material = collect_material(
        sheets, masks, sheet_index, split, white_stains=white_stains, max_sheets=parameters.max_sheets, seed=seed
    )
    return Interventions(
        *intervene(
            classifier,
            sheets,
            masks,
            material,
            white_stains=white_stains,
            min_sheets=parameters.min_sheets,
            n_samples=parameters.bootstrap_samples,
            batch_size=parameters.batch_size,
            device=device,
            seed=seed,
        )
    )


def measure_dose(
    classifier: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    split: pd.DataFrame,
    parameters: StainAuditParameters,
    white_stains: StainDetectionParameters,
    *,
    device: Device,
) -> pd.DataFrame:
    """Paste more and more stain; see ``dose.measure_dose_response``."""
    seed, dose = classifier.description.seed, parameters.dose
    masks = _or_empty(masks, sheets)
    material = collect_material(
        sheets, masks, sheet_index, split, white_stains=white_stains, max_sheets=parameters.max_sheets, seed=seed
    )
    return measure_dose_response(
        classifier,
        sheets,
        masks,
        material,
        max_stains=dose.max_stains,
        area_levels=dose.area_levels,
        max_sheets=dose.max_sheets,
        min_sheets=parameters.min_sheets,
        n_samples=parameters.bootstrap_samples,
        batch_size=parameters.batch_size,
        device=device,
        seed=seed,
    )


def _or_empty(masks: NDArray[np.uint8], sheets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the masks; where labels come without any, empty ones, as of sheets whose defects are unknown."""
    return masks if len(masks) else np.broadcast_to(np.zeros(1, np.uint8), (len(sheets), *sheets.shape[2:]))


def audit_stains(
    classifier: Classifier,
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    interventions: Mapping[str, Any],
    parameters: StainAuditParameters,
    white_stains: StainDetectionParameters,
    *,
    device: Device,
    data_source: str,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Judge whether the classifier takes white stains for a sign of no defect; see ``stain_audit.audit``."""
    target = select_device(device)
    network = place(classifier.network, target)

    def explain(rows: NDArray[np.integer]) -> NDArray[np.floating]:
        if not len(rows):
            return np.empty((0, *sheets.shape[2:]), np.float32)
        images = load_images(sheets, np.asarray(rows), target)
        output = torch.zeros(len(rows), dtype=torch.int64, device=target)
        method = parameters.method
        found = attribute(
            network, images, output, methods=[method], options=Options(), baselines=images, seeds=[0] * len(rows)
        )
        return found[method]

    return audit(
        predictions,
        sheet_index,
        sheets,
        attribute=WHITE_STAIN,
        name=STAINS,
        output=0,
        listed=None,
        explain=explain,
        interventional=interventions,
        **_settings(classifier, parameters, white_stains, data_source),
    )


def audit_attributes(
    classifier: Classifier,
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    listed: pd.DataFrame | None,
    parameters: StainAuditParameters,
    white_stains: StainDetectionParameters,
    *,
    class_names: Sequence[str],
    data_source: str,
) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    """Audit further attributes, which nobody can paste: records and sheets as ``audit`` returns them, by name.

    The user's own list is called ``listed``. Attributes suspected to speak for a class that the data do not have are
    left out with a warning: the parameters name them for whatever source is looked at.

    Raises:
        InputError: The user's list is suspected to speak for what the model has no output of.
    """
    asked = {f"attributes.{name}": (name, of, None) for name, of in parameters.attributes.items()}
    if listed is not None:
        asked["listed"] = ("listed", parameters.listed, listed)
    found = {}
    for key, (name, of, table) in asked.items():
        try:
            output = output_of(key, of, classifier.description.outputs, class_names)
        except InputError as error:
            if table is not None:
                raise
            logger.warning("%s are not audited: %s.", of.name.capitalize(), error)
            continue
        found[name] = audit(
            predictions,
            sheet_index,
            sheets,
            attribute=name,
            name=of.name,
            output=output,
            listed=table,
            explain=None,
            interventional=None,
            **_settings(classifier, parameters, white_stains, data_source),
        )
    return found


def choose_examples(
    classifier: Classifier,
    interventions: Interventions,
    masks: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    split: pd.DataFrame,
    *,
    device: Device,
) -> Examples | None:
    """Take the first changed sheets of each kind, with GradCAM of "no defect" and of the defect.

    That is the true class, on defect-free sheets the likeliest one as they were.

    Returns:
        None where no sheet was changed.
    """
    target = select_device(device)
    network = place(classifier.network, target)
    ids = sheet_index.set_index("row")["image_id"]
    labels = split.drop_duplicates("row").set_index("row")["label"]
    about, pictures, maps = [], [], []
    for group, (what, n) in EXAMPLES.items():
        changed = interventions.changes[group]
        shifts = interventions.shifts[interventions.shifts["group"] == group].reset_index(drop=True)
        for i, row in enumerate(changed.rows[:n].tolist()):
            states = np.stack([changed.before[i], changed.treated[i]])
            images = normalise(torch.from_numpy(states).to(target))
            classes = np.array([0, int(labels[row]) or _likeliest_defect(network, images)])
            maps.append(gradcam_all_classes(network, images)[:, classes])
            (truth,) = true_masks(masks, np.array([row]), states.shape[2:])
            pictures.append((grey_levels(states), changed.where[i], truth, classes))
            about.append(
                {
                    "image_id": ids[row],
                    "label": int(labels[row]),
                    "change": what,
                    "p_before": shifts.loc[i, "p_no_defect_before"],
                    "p_after": shifts.loc[i, "p_no_defect_treated"],
                }
            )
    if not about:
        return None
    states, where, truths, of_classes = (np.stack(part) for part in zip(*pictures, strict=True))
    return Examples(pd.DataFrame(about), states[:, 0], states[:, 1], where != 0, truths, np.stack(maps), of_classes)


def _likeliest_defect(network: torch.nn.Module, images: torch.Tensor) -> int:
    with torch.inference_mode():
        return 1 + int(network(images[:1])[0, 1:].argmax())


def output_of(key: str, attribute: AuditedAttribute, outputs: Sequence[str], class_names: Sequence[str]) -> int:
    """Find the output that an attribute is suspected to speak for; a defect class of a binary model is its output 1.

    Raises:
        InputError: The model has no such output.
    """
    if attribute.output in outputs:
        return list(outputs).index(attribute.output)
    if len(outputs) == 2 and attribute.output in class_names:
        return 1
    raise InputError(
        f"stain_audit.{key}.output is '{attribute.output}', but the model's outputs are {', '.join(outputs)}; name one "
        f"of them, or one of the classes {', '.join(class_names)}"
    )


def _settings(
    classifier: Classifier, parameters: StainAuditParameters, white_stains: StainDetectionParameters, data_source: str
) -> dict[str, Any]:
    return {
        "outputs": classifier.description.outputs,
        "stain_detection": white_stains,
        "per_group": parameters.per_group,
        "min_group": parameters.min_group,
        "caliper": parameters.caliper,
        "level": parameters.level,
        "min_effect": parameters.min_effect,
        "min_shift": parameters.min_shift,
        "n_samples": parameters.bootstrap_samples,
        "seed": classifier.description.seed,
        "data_source": data_source,
    }
