"""The page of cards: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from steel_xai.description import ModelDescription
from steel_xai.explain.neighbours import N_NEAREST
from steel_xai.explain.pictures import scale_bar
from steel_xai.explain.records import BLACK_EDGE, WHITE_STAIN, Card

SAMPLE = "sample"
"""The data source whose sheets are synthetic."""

_SMALLEST_P = 0.001


def render_page(
    table: pd.DataFrame,
    cards: Sequence[Card],
    *,
    description: ModelDescription,
    metrics: Mapping[str, Any],
    temperature: float,
    threshold: float | None,
    threshold_is_chosen: bool,
    yardstick: tuple[float, float],
    method: str,
    data_source: str,
) -> str:
    """Write the page of some explained sheets.

    Args:
        table: As ``explain_files`` returns it.
        cards: Of the sheets that are shown.
        description: Of the model.
        metrics: Of the model.
        temperature: That calibrated the probabilities.
        threshold: Confidence from which on the model answers; None where it always does.
        threshold_is_chosen: Whether the evaluation chose it, and not the user.
        yardstick: As ``neighbours.Reference`` has it.
        method: Name of the attribution method.
        data_source: Of the sheets to which the nearest belong.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from steel_xai.plots.attribution import method_name
    from steel_xai.report.formats import sentence_case, words

    environment = Environment(
        loader=PackageLoader("steel_xai.explain"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"probability": probability, "percent": percent}
    explained = table[table["status"] == "explained"]
    height, width = description.tensor_size
    return environment.get_template("page.html").render(
        cards=[view(card, description.outputs) for card in cards],
        summary=summarise(table, description.outputs),
        refused=table.loc[table["status"] == "refused", ["path", "reason"]].to_dict("records"),
        n_explained=len(explained),
        model=description,
        network=sentence_case(words(description.architecture)),
        is_synthetic=description.data_source == SAMPLE,
        accuracy=metrics["test"]["accuracy"],
        accuracy_interval=metrics["test_intervals"]["accuracy"],
        n_test=metrics["n_test"],
        test_source=metrics["data_source"],
        abstention=metrics["abstention"],
        temperature=temperature,
        threshold=threshold,
        threshold_is_chosen=threshold_is_chosen,
        yardstick=yardstick,
        method=method_name(method),
        neighbours_source=data_source,
        neighbours_trained=data_source == description.data_source,
        scale_bar=scale_bar(),
        size=(width, height),
    )


def summarise(table: pd.DataFrame, outputs: Sequence[str]) -> dict[str, Any]:
    """Count ``files, explained, refused, answered, unknown, warned`` and, of ``classes`` by name, the answered."""
    explained = table[table["status"] == "explained"]
    answered = explained["answered"].astype(bool)
    by_class = explained.loc[answered, "predicted"].value_counts()
    return {
        "files": len(table),
        "explained": len(explained),
        "refused": len(table) - len(explained),
        "answered": int(answered.sum()),
        "unknown": int((~answered).sum()),
        # of a table that was saved without any, they are all missing
        "warned": int(explained["warnings"].replace("", None).notna().sum()),
        "classes": [(name, int(by_class.get(name, 0))) for name in outputs],
    }


def view(card: Card, outputs: Sequence[str]) -> dict[str, Any]:
    """Prepare what the template shows of a card."""
    row = card["row"]
    nearest = [
        {
            "picture": picture,
            "image_id": row[f"nearest_{i}"],
            "label": row[f"nearest_{i}_label"],
            "distance": row[f"nearest_{i}_distance"],
        }
        for i, picture in zip(range(1, N_NEAREST + 1), card["nearest"], strict=False)
    ]
    named = row["warnings"].split(";")
    return {
        **card,
        **row,
        "classes": [(name, row[f"p_{k}"]) for k, name in enumerate(outputs)],
        "nearest": nearest,
        "is_defect": row["predicted"] != outputs[0],
        "stain_warning": stain_sentence(row) if WHITE_STAIN in named else "",
        "edge_warning": edge_sentence(row) if BLACK_EDGE in named else "",
        "alt": alternative_text(row),
    }


def stain_sentence(row: Mapping[str, Any]) -> str:
    """Say on which evidence a decision rests on the white stains."""
    text = f"With the white stain painted over, {_change(row, 'stain')}"
    if row["stain_p_control"] is not None:
        text += f" Plain steel painted over in the same shape leaves it at {probability(row['stain_p_control'])}."
    return f"{text} The stain is {percent(row['stain_area_share'])} of the sheet and holds {_relevance(row, 'stain')}"


def edge_sentence(row: Mapping[str, Any]) -> str:
    """Say on which evidence a decision rests on the black edge."""
    return (
        f"With steel mirrored over the black end, {_change(row, 'edge')} The strip beside the edge is "
        f"{percent(row['edge_area_share'])} of the sheet and holds {_relevance(row, 'edge')}"
    )


def alternative_text(row: Mapping[str, Any]) -> str:
    """Describe a sheet's pictures in words."""
    said = row["predicted"] if row["answered"] else f"undecided, nearest to {row['predicted']}"
    outlined = f", {percent(row['mask_area_share'])} of the sheet outlined" if row["mask_rle"] else ""
    return f"{row['image_id']}: {said}{outlined}"


def probability(value: float) -> str:
    """Write a probability with two digits, three where it is near 0 or 1."""
    if value < _SMALLEST_P:
        return f"< {_SMALLEST_P}"
    if value > 1 - _SMALLEST_P:
        return f"> {1 - _SMALLEST_P}"
    return f"{value:.3f}" if value < 0.01 or value > 0.99 else f"{value:.2f}"


def percent(share: float) -> str:
    """Write a share in per cent, with a digit after the point where it is small."""
    return f"{100 * share:.{0 if share >= 0.1 or share == 0 else 1}f}\N{NO-BREAK SPACE}%"


def _change(row: Mapping[str, Any], name: str) -> str:
    before, after = probability(row["probability"]), probability(row[f"{name}_p_without"])
    said = row[f"{name}_predicted_without"]
    if said == row["predicted"]:
        return f"the model still says “{said}”, but its probability falls from {before} to {after}."
    return f"the model says “{said}” instead: “{row['predicted']}” falls from {before} to {after}."


def _relevance(row: Mapping[str, Any], name: str) -> str:
    return f"{percent(row[f'{name}_relevance_share'])} of the relevance."
