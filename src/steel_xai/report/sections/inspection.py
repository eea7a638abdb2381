"""What the layers and neurons of the networks have learned."""

from collections.abc import Sequence

import pandas as pd

from steel_xai.report.elements import Element
from steel_xai.report.formats import interval, number, percent, percent_interval
from steel_xai.report.frames import frame_table
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

_PROBE_COLUMNS = {
    "module": "Module",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "random_network_balanced_accuracy": "The same, random weights",
    "shuffled_balanced_accuracy": "The same, shuffled labels",
    "balanced_gain": "Gain over random weights",
}


def _inspection(study: Study, task: str) -> Sequence[Element]:
    data = study.data(task)
    elements: list[Element] = []
    probe = study.table(f"{task}.layer_probe")
    elements += study.figure(f"{task}.layer_probe_curve", "What a linear probe reads off each layer", _probe(probe))
    if probe is not None:
        elements.append(
            frame_table(
                f"Linear probes (n = {int(probe['n_test'].max())} test sheets, data: {data})",
                probe,
                names=_PROBE_COLUMNS,
                signed=("balanced_gain",),
                note="A logistic regression on each module's output. 95 % bootstrap intervals over the test sheets.",
            )
        )
    elements += study.figure(
        f"{task}.layer_embedding",
        "Test sheets as each layer sees them",
        _embedding(study.table(f"{task}.layer_separation")),
    )
    elements += study.figure(
        f"{task}.neuron_gallery", "What excites single filters", _neurons(study.table(f"{task}.neuron_summary"))
    )
    elements += study.figure(
        f"{task}.neuron_scores", "Images made for single filters", _made_images(study.table(f"{task}.neuron_summary"))
    )
    elements += study.figure(
        f"{task}.layer_shap", "What inner layers rely on", _shap(study.table(f"{task}.layer_shap_relevance"))
    )
    return elements


def _probe(probe: pd.DataFrame | None) -> str:
    text = (
        "How well the classes can be read off each module, from the input on, beside two controls: the same network "
        "with random weights, and shuffled labels. Only what lies above the controls was learned. "
    )
    if probe is None or not len(probe):
        return text
    best = probe.loc[probe["balanced_accuracy"].idxmax()]
    features = probe[probe["area"] == "features"]
    last = (features if len(features) else probe).iloc[-1]
    gain = interval(last["balanced_gain"], last["balanced_gain_low"], last["balanced_gain_high"], sign=True)
    return (
        f"{text}The best is {best['module']} with a balanced accuracy of {number(best['balanced_accuracy'])}; the last "
        f"feature layer, {last['module']}, gains {gain} over random weights."
    )


def _embedding(separation: pd.DataFrame | None) -> str:
    text = (
        "t-SNE of the test sheets over depth: what matters is whether colours separate, not where the clouds lie. The "
        "numbers above each panel were taken before t-SNE. "
    )
    if separation is None or not len(separation):
        return text
    first, last = separation.iloc[0], separation.iloc[-1]
    return (
        f"{text}From {first['module']} to {last['module']} the balanced accuracy of the nearest neighbours goes from "
        f"{percent(first['knn_balanced_accuracy'])} to {percent(last['knn_balanced_accuracy'])}, the silhouette from "
        f"{number(first['silhouette'], 2)} to {number(last['silhouette'], 2)}."
    )


def _neurons(summary: pd.DataFrame | None) -> str:
    text = (
        "For each filter, above: images made by gradient ascent, plain and multi-scale; below: the patches of sheets "
        "that excite it most. Look for what the patches of one filter share: it is what the filter has learned to see. "
    )
    plain, multi_scale = (_of_all(summary, mode) for mode in ("plain", "multi_scale"))
    if plain is None or multi_scale is None:
        return text
    return (
        f"{text}Of {int(plain['n'])} filters {_exceeds(plain, 'mean')} respond more to their plain made image than to "
        f"any sheet on average over the picture (mean), {_exceeds(plain, 'peak')} at the strongest point (peak); to "
        f"their multi-scale image {_exceeds(multi_scale, 'mean')} (mean) and {_exceeds(multi_scale, 'peak')} (peak). "
        "Sheets are larger than made images, which favours their peaks."
    )


def _exceeds(row: pd.Series, measure: str) -> str:
    bounds = (row[f"exceeds_{measure}_low"], row[f"exceeds_{measure}_high"])
    return percent_interval(row[f"exceeds_{measure}"], bounds)


def _made_images(summary: pd.DataFrame | None) -> str:
    text = (
        "Left: how much of a made image's energy is fine noise, which no sheet has; right: how strongly it excites the "
        "filter, as a multiple of the greatest peak on a sheet. "
    )
    row = _of_all(summary, "multi_scale")
    if row is None:
        return text
    difference = interval(
        row["difference_to_plain"], row["difference_to_plain_low"], row["difference_to_plain_high"], 2, sign=True
    )
    return f"{text}Multi-scale ascent changes the share of noise by {difference} (n = {int(row['n'])} filters)."


def _of_all(summary: pd.DataFrame | None, mode: str) -> pd.Series | None:
    if summary is None:
        return None
    rows = summary[(summary["layer"] == "all") & (summary["mode"] == mode)]
    return rows.iloc[0] if len(rows) else None


def _shap(relevance: pd.DataFrame | None) -> str:
    text = (
        "Expected gradients of the chosen layers (unless others are named, the first and the middle one) for the most "
        "probable classes, over the sheet: red speaks for the class, blue against it. "
    )
    if relevance is None or not len(relevance):
        return text
    agreement = number(float(relevance["agreement"].median()), 2)
    n = relevance["row"].nunique()
    miss = (relevance["relevance"] - relevance["expected"]).abs() / relevance["expected"].abs()
    return (
        f"{text}Two halves of the samples agree with a median correlation of {agreement} (n = {n} sheets); little of a "
        "map with a low one is to be believed. What a map adds up to misses what more samples would bring it to by a "
        f"median of {percent(float(miss.median()))} of that (n = {len(relevance)} maps)."
    )


def _between_tasks(study: Study, task: str) -> Sequence[Element]:
    return study.figure(
        "weight_transfer_curve",
        "Weight transfer and layer similarity",
        _transfer(study.table("weight_transfer"), study.table("layer_similarity")),
    )


def _transfer(transfer: pd.DataFrame | None, similarity: pd.DataFrame | None) -> str:
    text = (
        "One model's weights are replaced by the other's, module after module from the input on, and the receiver is "
        "measured again; grey is a donor with random weights. Below: how alike the layers of both models are (linear "
        "CKA, 1 is equal up to rotation and scale). "
    )
    if transfer is not None:
        for receiver, rows in transfer.groupby("receiver", sort=False):
            own = rows[rows["treatment"] == "own"]
            replaced = rows[(rows["donor"] != "random") & (rows["area"] == "features")]
            if len(own) and len(replaced):
                end = replaced.iloc[-1]
                text += (
                    f"With the feature extractor of the {end['donor']} model the {receiver} model's accuracy goes from "
                    f"{number(own.iloc[0]['accuracy'])} to "
                    f"{interval(end['accuracy'], end['accuracy_low'], end['accuracy_high'])} (n = {int(end['n'])}). "
                )
    if similarity is not None:
        between = similarity[(similarity["first"] != "random") & ~similarity["second"].str.contains("random")]
        between = between[between["area"] == "features"]
        if len(between):
            end = between.iloc[-1]
            text += f"CKA at {end['module']}: {interval(end['cka'], end['low'], end['high'], 2)} (n = {int(end['n'])})."
    return text


PART = Part(
    "inspection",
    "What have the layers learned?",
    "",
    (
        Stage(
            "inspection",
            (
                "layer_probe",
                "layer_probe_curve",
                "layer_embedding_points",
                "layer_separation",
                "layer_embedding",
                "neurons",
                "neuron_summary",
                "neuron_gallery",
                "neuron_scores",
                "layer_shap_relevance",
                "layer_shap",
            ),
            _inspection,
            label="inspection",
        ),
        Stage(
            "inspection",
            ("weight_transfer", "layer_similarity", "weight_transfer_curve"),
            _between_tasks,
            label="inspection",
            of_task=False,
            heading="What the tasks share",
        ),
    ),
)
