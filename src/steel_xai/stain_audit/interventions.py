"""Interventional tests: what a stain does to the model's P(no defect), beside what a patch of plain steel does."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from steel_xai.batches import Examples
from steel_xai.classifier import Classifier
from steel_xai.device import place, select_device
from steel_xai.inference import evaluate_logits
from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.changes import Changed, paste_stains, remove_stains
from steel_xai.stain_audit.material import Material
from steel_xai.stain_audit.shifts import Direction, flips, shift

STATES = ("before", "treated", "control")


def intervene(
    classifier: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    material: Material,
    *,
    white_stains: StainDetectionParameters,
    min_sheets: int,
    n_samples: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Changed]]:
    """Paste stains on test sheets, inpaint them away on others, and measure what that does to P(no defect).

    Every treatment has a control on the same sheets: plain steel pasted in the stain's place with the same soft edge,
    and steel inpainted in the stains' shapes elsewhere on the sheet. A shortcut "stain, hence no defect" shows as
    pasting that raises P(no defect), and removal that lowers it, by more than their controls.

    Args:
        classifier: Its output 0 is "no defect".
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        material: Which sheets are changed, and by what.
        white_stains: Parameters of the detector.
        min_sheets: Fewer are not tested.
        n_samples: Resamples of the sheets behind each interval.
        batch_size: Of the network's forward passes.
        device: Where it runs.
        seed: Of places and resamples.

    Returns:
        Results that JSON can say. ``paste``, ``plain_patch`` and their paired ``difference`` are of defective sheets,
        those in ``defect_free`` of unstained defect-free ones, ``removal``, ``removal_control`` and
        ``removal_difference`` of stained defect-free ones. See `summarise` for what they hold; ``stains`` counts the
        stains to paste and tells whether they were ``cut out`` of sheets or ``drawn``.

        One row a changed sheet: ``group`` (defective, defect_free, stained), ``row``, and for ``before``, ``treated``
        and ``control`` each ``p_no_defect_*``, ``log_odds_*`` (natural) and ``predicted_*``.

        The changed sheets by group.
    """
    changes = {
        "defective": paste_stains(sheets, masks, material.defective, material, seed=seed),
        "defect_free": paste_stains(sheets, masks, material.defect_free, material, seed=seed),
        "stained": remove_stains(sheets, material.stained, white_stains, seed=seed),
    }
    tables = {
        group: measure(classifier, changed, batch_size=batch_size, device=device) for group, changed in changes.items()
    }
    options: dict[str, Any] = {"min_sheets": min_sheets, "n_samples": n_samples, "seed": seed}
    directions: dict[str, Direction] = {"defective": "greater", "defect_free": "greater", "stained": "less"}
    pasted, pasted_free, removed = (
        summarise(tables[group], changes[group].asked, direction=direction, **options)
        for group, direction in directions.items()
    )
    if material.unmasked and pasted["treated"]["reason"]:
        pasted["treated"]["reason"] += f"; {material.unmasked} more have no mask that tells where their defect is"
    paste_names = {"paste": "treated", "plain_patch": "control", "difference": "difference"}
    result = {
        "stains": {"n": len(material.stains), "origin": material.origin},
        **{name: pasted[part] for name, part in paste_names.items()},
        "defect_free": {name: pasted_free[part] for name, part in paste_names.items()},
        "removal": removed["treated"],
        "removal_control": removed["control"],
        "removal_difference": removed["difference"],
    }
    return result, pd.concat([table.assign(group=group) for group, table in tables.items()], ignore_index=True), changes


def measure(
    classifier: Classifier, changed: Changed, *, batch_size: int, device: Literal["auto", "cpu", "cuda"]
) -> pd.DataFrame:
    """Predict changed sheets before, with the treatment and with its control.

    Returns:
        One row a sheet: ``row`` and for ``before, treated, control`` each ``p_no_defect_*``, ``log_odds_*`` and
        ``predicted_*``.
    """
    columns: dict[str, NDArray[np.generic]] = {"row": changed.rows}
    for state in STATES:
        said = no_defect(classifier, getattr(changed, state), batch_size=batch_size, device=device)
        columns |= {f"{name}_{state}": values for name, values in said.items()}
    return pd.DataFrame(columns)


def no_defect(
    classifier: Classifier, pictures: NDArray[np.uint8], *, batch_size: int, device: Literal["auto", "cpu", "cuda"]
) -> dict[str, NDArray[np.generic]]:
    """Predict pictures uint8 [n, C, h, w]: ``p_no_defect``, its natural ``log_odds``, and ``predicted``, [n] each.

    Log-odds follow from the logits in double precision, so that they tell sheets apart whose P(no defect) is 0 or 1.
    """
    n, target = len(pictures), select_device(device)
    if n == 0:
        return {"p_no_defect": np.zeros(0), "log_odds": np.zeros(0), "predicted": np.zeros(0, np.int64)}
    straight = np.zeros(n, dtype=bool)
    examples = Examples(np.arange(n), np.zeros(n, np.int64), straight, straight)
    network = place(classifier.network, target)
    logits = evaluate_logits(network, pictures, examples, batch_size=batch_size, device=target).double().cpu()
    log_odds = logits[:, 0] - torch.logsumexp(logits[:, 1:], dim=1)
    return {
        "p_no_defect": torch.sigmoid(log_odds).numpy(),
        "log_odds": log_odds.numpy(),
        "predicted": logits.argmax(dim=1).numpy(),
    }


def summarise(
    table: pd.DataFrame, n_asked: int, *, direction: Direction, min_sheets: int, n_samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Summarise a table of `measure`: the ``treated`` sheets, their ``control`` and the paired ``difference`` of both.

    Args:
        table: Of `measure`.
        n_asked: Sheets that were to be changed.
        direction: Whither a shortcut moves P(no defect).
        min_sheets: Fewer are not tested.
        n_samples: Resamples of the sheets.
        seed: Of the resamples.

    Returns:
        ``treated`` and ``control`` each: ``n``; ``median_shift, shift_low, shift_high, p_value`` of P(no defect); the
        same of its log-odds as ``log_odds_shift, log_odds_low, log_odds_high, log_odds_p_value``; and what `flips`
        counts. ``difference``: ``n, median, low, high, p_value`` and the same ``log_odds_`` keys. Medians come with
        their 95 % bootstrap intervals over sheets, p-values are one-sided of Wilcoxon's signed-rank test. With too few
        sheets all but the counts is None and ``reason`` tells why; else that is None.
    """
    n = len(table)
    reason = None
    if n < max(min_sheets, 1):
        reason = f"{n} sheets could be changed of {n_asked} that there are; at least {max(min_sheets, 1)} are needed"

    def shifts(after: str, before: str, shift_names: list[str]) -> dict[str, Any]:
        parts: dict[str, Any] = {"n": n}
        names = {"p_no_defect": shift_names, "log_odds": ["log_odds_shift", "log_odds_low", "log_odds_high"]}
        for measured, (middle, low, high) in names.items():
            first, last = (table[f"{measured}_{state}"].to_numpy(float) for state in (before, after))
            found = shift(first, last, direction=direction, min_sheets=min_sheets, n_samples=n_samples, seed=seed)
            p_name = "p_value" if measured == "p_no_defect" else "log_odds_p_value"
            parts |= {middle: found["median"], low: found["low"], high: found["high"], p_name: found["p_value"]}
        return parts

    parts = {
        state: shifts(state, "before", ["median_shift", "shift_low", "shift_high"])
        | flips(_predicted(table, "before", reason), _predicted(table, state, reason))
        for state in ("treated", "control")
    }
    # (treated - before) - (control - before) is treated - control.
    parts["difference"] = shifts("treated", "control", ["median", "low", "high"])
    return {name: {**part, "reason": reason} for name, part in parts.items()}


def _predicted(table: pd.DataFrame, state: str, reason: str | None) -> NDArray[np.int64]:
    """Take the predictions, none where there are too few to say anything."""
    predicted: NDArray[np.int64] = table[f"predicted_{state}"].to_numpy()
    return predicted if reason is None else predicted[:0]
