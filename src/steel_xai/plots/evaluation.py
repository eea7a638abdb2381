"""Figures of what a trained classifier gets right."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.style import GREY, line, sample, tidy, title


def roc_curve(
    labels: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw ROC curves: that of the second output if there are two, else of each against the rest.

    Args:
        labels: Classes 0..K-1, [n]. An output without a sheet of its own, or without others, has no curve.
        probabilities: Of each output, [n, K].
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics import roc_curve as roc_points

    labels = np.asarray(labels)
    figure = Figure(figsize=(4.9, 5.5 + 0.2 * len(outputs)), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="chance (AUC 0.5)")
    for k, name in list(enumerate(outputs))[1 if len(outputs) == 2 else 0 :]:
        is_class = labels == k
        if is_class.all() or not is_class.any():
            continue
        false_rate, true_rate, _ = roc_points(is_class, probabilities[:, k], drop_intermediate=False)
        colour, style = line(k - (len(outputs) == 2))
        auc = roc_auc_score(is_class, probabilities[:, k])
        axes.step(
            false_rate,
            true_rate,
            where="post",
            color=colour,
            linestyle=style,
            label=f"{name}: AUC {auc:.3f} ({is_class.sum()} of {len(labels)} sheets)",
        )
    axes.set(
        xlabel="False positive rate",
        ylabel="True positive rate",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
        anchor="N",
    )
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.12), borderpad=0, borderaxespad=0)
    tidy(axes)
    title(figure, "ROC curve" if len(outputs) == 2 else "ROC curves, one against the rest", sample(labels, data_source))
    return figure


def confusion_matrix(
    labels: Sequence[int] | np.ndarray,
    predicted: Sequence[int] | np.ndarray,
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw how many sheets of each class (rows) are taken for which (columns): counts and shares of the row.

    Args:
        labels: Classes 0..K-1, [n].
        predicted: Predicted classes, [n].
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    from sklearn.metrics import confusion_matrix as count_pairs

    n_classes = len(outputs)
    counts = count_pairs(labels, predicted, labels=range(n_classes))
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    names = [fill(name, 16, break_long_words=False) for name in outputs]
    figure = Figure(figsize=(3.1 + 1.05 * n_classes, 2 + 0.72 * n_classes), layout="constrained", dpi=150)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]}\n{share:.0%}" if totals[row, 0] else "0"
        axes.text(column, row, text, ha="center", va="center", color="black" if share > 0.5 else "white")
    axes.set(
        xlabel="Predicted class",
        ylabel="True class (number of sheets)",
        xticks=range(n_classes),
        yticks=range(n_classes),
    )
    axes.set_xticklabels(names, fontsize=9)
    axes.set_yticklabels([f"{name} ({total})" for name, total in zip(names, totals[:, 0], strict=True)], fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="Share of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)
    accuracy = np.trace(counts) / max(1, counts.sum())
    title(figure, "Confusion matrix", f"accuracy {accuracy:.1%} · {sample(labels, data_source)}")
    return figure
