"""Models that learn from more labels, in the report: each number stands in its row, with its interval."""

import re

from tests.unit.report.test_render import text

from steel_xai.report import render_report

SETS = ["accuracy", "exact_match_ratio", "hamming_loss", "balanced_accuracy", "macro_f1", "micro_f1", "auc"]
OF_A_CLASS = ["precision", "recall", "f1", "auc"]


def estimate(mean):
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": 30}


def rows_of(page, first):
    rows = re.findall(r"(?s)<tr[^>]*>.*?</tr>", page)
    return [found for found in (text(f"<body>{row}") for row in rows) if found.strip().startswith(first)]


def row_of(page, first):
    return rows_of(page, first)[0]


def test_classes_stand_beside_the_baseline(folder):
    def of_class(value):
        return dict.fromkeys(OF_A_CLASS, value) | {"intervals": {key: [value - 0.1, value + 0.1] for key in OF_A_CLASS}}

    metrics = {
        "model": "resnet18",
        "weights": "random",
        "n_test": 30,
        "n_test_of_several_classes": 4,
        "n_test_by_class": {"no defect": 20, "chips": 12},
        "thresholds": {"chips": 0.35},
        "test_by_class": {"chips": of_class(0.8)},
        "baseline_by_class": {"chips": of_class(0.4)},
    }
    for side, value in (("test", 0.7), ("baseline", 0.2)):
        metrics[side] = dict.fromkeys(SETS, value)
        metrics[f"{side}_intervals"] = {key: [value - 0.05, value + 0.05] for key in SETS}
    folder.save("multilabel.metrics", metrics)
    page = render_report(folder.open())
    assert "ResNet18, random weights (n = 30 test sheets, 4 of several classes, data: sample)" in text(page)
    assert " ".join(row_of(page, "Exact match").split()) == "Exact match 0.700 [0.650, 0.750] 0.200 [0.150, 0.250]"
    assert row_of(page, "chips").split()[:3] == ["chips", "12", "0.35"]
    assert row_of(page, "chips").strip().endswith("0.400 [0.300, 0.500]")


def test_networks_that_learn_masks_have_both_means_and_their_classes_without_and_with_the_filter(folder):
    def scores(everywhere, present, of_class):
        with_class = {"mean": estimate(present), "by_class": {"chips": estimate(of_class)}}
        return {"dice": {"all_sheets": {"mean": estimate(everywhere)}, "sheets_with_class": with_class}}

    network = {"encoder": "vgg11_small", "minimum_areas": {"chips": 8}}
    network |= {"without_filter": scores(0.7, 0.6, 0.55), "with_filter": scores(0.8, 0.5, 0.45)}
    sentence = "The finding appears in part."
    metrics = {"n_test": 30, "networks": {"unet": network}, "cross_entropy_against_soft_dice": {"sentence": sentence}}
    folder.save("segmentation.metrics", metrics)
    page = render_report(folder.open())
    assert sentence in text(page)
    assert [" ".join(row.split()) for row in rows_of(page, "U-Net")] == [
        "U-Net vgg11 small none 0.700 [0.690, 0.710] 0.600 [0.590, 0.610] 0.550 [0.540, 0.560]",
        "U-Net vgg11 small minimum area 0.800 [0.790, 0.810] 0.500 [0.490, 0.510] 0.450 [0.440, 0.460]",
    ]


def test_gains_of_the_cascade_have_signs_and_finding_nothing_stands_apart(folder):
    dice = {"all_sheets": {"mean": estimate(0.8)}, "sheets_with_class": {"mean": estimate(0.0)}}
    gain = {"dice_all_sheets": estimate(0.1), "dice_sheets_with_class": estimate(-0.2)}
    names = ["gate", "labels", "labels_after_gate", "gate_and_labels", "whole_over_empty"]
    metrics = {
        "n_test": 30,
        "n_test_with_defect": 12,
        "gate": {"recall": 0.9, "precision": 0.8, "intervals": {"recall": [0.8, 1.0], "precision": [0.7, 0.9]}},
        "setups": {
            "empty": {"dice": dice},
            "gate_labels_unets": {"dice": dice, "networks_per_sheet": 0.5, "ms_per_sheet": 21.4},
        },
        "gains": dict.fromkeys(names, gain),
    }
    folder.save("cascade.metrics", metrics)
    page = render_report(folder.open())
    assert "0.900 [0.800, 1.000] of the sheets with a defect, with precision 0.800 [0.700, 0.900]" in text(page)
    assert (
        row_of(page, "labels behind the gate")
        .strip()
        .endswith("+0.100 [+0.090, +0.110] \N{MINUS SIGN}0.200 [\N{MINUS SIGN}0.210, \N{MINUS SIGN}0.190]")
    )
    assert row_of(page, "gate, labels, U-Nets").split()[-2:] == ["0.50", "21"]
    assert re.search(r'(?s)<tr class="control">\s*<td[^>]*>nothing found anywhere', page)
