"""Neuron inspection: what excites single filters, in images made for them and on real sheets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.attribution.layers import choose_layer, find_stages
from steel_xai.errors import InputError
from steel_xai.inspection.activation_maximisation import (
    Objective,
    enlarged_sizes,
    filter_activations,
    frozen_copy,
    maximise_activation,
)
from steel_xai.inspection.receptive_field import ReceptiveField, receptive_fields
from steel_xai.inspection.sheet_activations import SheetActivations, activate_sheets
from steel_xai.inspection.spectrum import high_frequency_share
from steel_xai.intervals import FEWEST_VALUES, exact_interval, mean_with_interval

MODES = ("plain", "multi_scale")

_LEAST_CELLS = 3
"""Cells along a side of a layer's map of the smallest image: fewer would all see the image's border."""

_CONTEXT = 32
"""Least side in pixels of a patch, so that one sees where a small receptive field lies."""


@dataclass(frozen=True)
class MaximisationOptions:
    """How images are maximised; see ``maximise_activation``. Plain ascent has as many steps as all scales together."""

    start_size: int = 64
    factor: float = 1.4
    n_scales: int = 3
    steps: int = 50
    learning_rate: float = 0.015
    blur: tuple[int, int] = (3, 10)
    jitter: int = 0
    total_variation: float = 0.0
    objective: Objective = "mean"


@dataclass(frozen=True)
class Patch:
    """A cut from a real sheet around what activates a filter most.

    Attributes:
        row: The sheet.
        pixels: uint8 [h, w], of the same size for all patches of a layer.
        field: Top, left, bottom, right of the receptive field within the patch, in pixels, clipped to the sheet.
    """

    row: int
    pixels: np.ndarray
    field: tuple[int, int, int, int]


@dataclass(frozen=True)
class Neuron:
    """A filter with the images made for it by mode, greyscale [s, s] in 0..1, and its patches, strongest first."""

    layer: str
    channel: int
    images: dict[str, np.ndarray]
    patches: list[Patch]


@dataclass(frozen=True)
class NeuronInspection:
    """Neurons for the gallery, the receptive field of each layer, and the tables of `inspect_neurons`."""

    neurons: list[Neuron]
    fields: dict[str, ReceptiveField]
    table: pd.DataFrame
    summary: pd.DataFrame


def inspect_neurons(
    network: nn.Module,
    sheets: np.ndarray,
    rows: np.ndarray,
    *,
    layers: Sequence[str] | None,
    n_filters: int,
    n_patches: int,
    n_sheets: int,
    options: MaximisationOptions,
    cutoff: float,
    batch_size: int,
    n_samples: int,
    device: torch.device,
    seed: int,
) -> NeuronInspection:
    """Maximise filters of several layers, plain and multi-scale, and compare with what real sheets do.

    Plain images have the size of the last scale, so that both modes compare pixel by pixel. Both mean and peak of the
    filter's map are measured on images and sheets alike; on sheets the maps are larger and there are many of them, so
    that the comparison of peaks favours the sheets.

    Args:
        network: A classifier's, on the device.
        sheets: uint8 [N, C, h, w].
        rows: Sheets to search, repeated ones once; at most ``n_sheets`` of them, drawn at random.
        layers: Names of modules; None for the last one at each resolution, from fine to coarse.
        n_filters: Filters a layer, drawn at random of those that some sheet activates.
        n_patches: Patches a filter, from different sheets.
        n_sheets: See ``rows``.
        options: Of the maximisation.
        cutoff: Frequency in cycles a pixel above which energy counts as high.
        batch_size: Sheets a forward pass.
        n_samples: Resamples of the intervals.
        device: Where the network runs.
        seed: Of sheets, filters, starts and intervals.

    Returns:
        With ``table``, one row a filter and mode: ``layer, filter, mode, objective``; ``mean`` and ``peak`` of the
        image, ``sheet_mean`` and ``sheet_peak``, the greatest on any sheet; ``activation`` and ``sheet_maximum``, the
        two that the objective names; ``exceeds_mean`` and ``exceeds_peak``, whether the image's is greater than any
        sheet's; ``high_frequency_share``, NaN for a flat image.
        With ``summary``, see `summarise_neurons`.

    Raises:
        InputError: The network reads windows, a layer is unknown or has no maps, or no sheet activates any filter.
    """
    height, width = sheets.shape[2:]
    stages = find_stages(network.eval(), torch.zeros(1, 3, height, width, device=device))
    names = [stage.layer for stage in stages] if layers is None else [choose_layer(network, stages, x) for x in layers]
    drawn = np.sort(np.random.default_rng([seed, 0]).permutation(np.unique(rows))[:n_sheets])
    activations = activate_sheets(network, names, sheets, drawn, batch_size=batch_size, device=device)
    fields = receptive_fields(network, names, min(height, width))
    neurons: list[Neuron] = []
    tables = []
    for depth, layer in enumerate(tqdm(names, desc="neurons", unit="layer")):
        found, active = activations[layer], activations[layer].active()
        draw = np.random.default_rng([seed, 1, depth])
        filters = np.sort(draw.choice(active, min(n_filters, len(active)), replace=False))
        if len(filters):
            start = max(options.start_size, _LEAST_CELLS * max(fields[layer].stride))
            images, table = _maximise(network, layer, filters, start, sheets.shape[1], options, found, seed)
            tables.append(table)
            pictures = {mode: made.mean(dim=1).cpu().numpy() for mode, made in images.items()}
            for k, channel in enumerate(filters):
                patches = [
                    _patch(sheets, row, cell, fields[layer]) for row, cell in found.strongest(channel, n_patches)
                ]
                made = {mode: picture[k] for mode, picture in pictures.items()}
                neurons.append(Neuron(layer, int(channel), made, patches))
                for mode in MODES:
                    at = (table["filter"] == channel) & (table["mode"] == mode)
                    table.loc[at, "high_frequency_share"] = high_frequency_share(made[mode][None], cutoff)
    counts = {layer: (len(found.active()), len(found.least)) for layer, found in activations.items()}
    if not tables:
        raise InputError(
            f"inspection: no filter of {', '.join(names)} responds to any of {len(drawn)} sheets; choose other layers"
        )
    table = pd.concat(tables, ignore_index=True)
    return NeuronInspection(neurons, fields, table, summarise_neurons(table, counts, n_samples, seed))


def summarise_neurons(
    table: pd.DataFrame, counts: dict[str, tuple[int, int]], n_samples: int, seed: int
) -> pd.DataFrame:
    """Summarise a table of neurons by layer, and over all layers as layer ``all``, with 95 % intervals over filters.

    Args:
        table: As `inspect_neurons` makes it.
        counts: Numbers of active and of all filters by layer; what is not active is dead: no sheet activates it.
        n_samples: Resamples of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        One row a layer and mode: ``layer, mode, n_active, n_dead, n`` (filters inspected), ``exceeds_mean``
        and ``exceeds_peak`` (shares, each with ``_low, _high``, Clopper-Pearson), ``high_frequency_share`` and
        ``difference_to_plain`` (of that share, paired by filter; both with ``_low, _high, _n``, NaN for fewer than 5
        filters).
    """
    every = (sum(active for active, _ in counts.values()), sum(total for _, total in counts.values()))
    records = []
    for layer, (active, total) in {**counts, "all": every}.items():
        part = table if layer == "all" else table[table["layer"] == layer]
        shares = {mode: part.loc[part["mode"] == mode, "high_frequency_share"].to_numpy() for mode in MODES}
        for mode in MODES:
            of_mode = part[part["mode"] == mode]
            record = {"layer": layer, "mode": mode, "n_active": active, "n_dead": total - active, "n": len(of_mode)}
            for name in ("exceeds_mean", "exceeds_peak"):
                hits, n = int(of_mode[name].sum()), len(of_mode)
                low, high = exact_interval(hits, n)
                record |= {name: hits / n if n else np.nan, f"{name}_low": float(low), f"{name}_high": float(high)}
            for name, values in (
                ("high_frequency_share", shares[mode]),
                ("difference_to_plain", shares[mode] - shares["plain"]),
            ):
                found = mean_with_interval(values, n_samples, seed, fewest=FEWEST_VALUES)
                record |= {name: found["mean"], **{f"{name}_{key}": found[key] for key in ("low", "high", "n")}}
            records.append(record)
    return pd.DataFrame(records)


def _maximise(
    network: nn.Module,
    layer: str,
    filters: np.ndarray,
    start: int,
    n_channels: int,
    options: MaximisationOptions,
    found: SheetActivations,
    seed: int,
) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    """Make the images of a layer's filters in both modes, and the rows of the table, still without their spectrum."""
    sizes = enlarged_sizes(start, options.factor, options.n_scales)
    plans = {"plain": (sizes[-1:], options.steps * len(sizes)), "multi_scale": (sizes, options.steps)}
    frozen = frozen_copy(network, [layer])
    images, parts = {}, []
    for mode, (scales, steps) in plans.items():
        images[mode] = maximise_activation(
            network,
            layer,
            filters.tolist(),
            sizes=scales,
            steps=steps,
            learning_rate=options.learning_rate,
            blur=options.blur,
            jitter=options.jitter,
            total_variation=options.total_variation,
            objective=options.objective,
            n_channels=n_channels,
            seed=seed,
        )
        with torch.no_grad():
            chosen = torch.as_tensor(filters, device=images[mode].device)
            means, peaks = filter_activations(frozen, layer, chosen, images[mode])
        part = pd.DataFrame({"layer": layer, "filter": filters, "mode": mode, "objective": options.objective})
        part["mean"], part["peak"] = means.cpu().numpy(), peaks.cpu().numpy()
        part["sheet_mean"], part["sheet_peak"] = (
            of_sheets[:, filters].max(axis=0) for of_sheets in (found.mean, found.peak)
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["activation"], table["sheet_maximum"] = table[options.objective], table[f"sheet_{options.objective}"]
    for measure in ("mean", "peak"):
        table[f"exceeds_{measure}"] = table[measure] > table[f"sheet_{measure}"]
    return images, table.assign(high_frequency_share=np.nan)


def _patch(sheets: np.ndarray, row: int, cell: tuple[int, int], field: ReceptiveField) -> Patch:
    """Cut what a cell sees out of a sheet, with some surroundings where that is little."""
    image_size = (sheets.shape[2], sheets.shape[3])
    window = field.window(cell, image_size)
    corner, sides = [], []
    for axis in range(2):
        side = min(image_size[axis], max(_CONTEXT, field.size[axis]))
        centre = (window[axis].start + window[axis].stop) // 2
        corner.append(min(max(0, centre - side // 2), image_size[axis] - side))
        sides.append(side)
    cut = sheets[row, :, corner[0] : corner[0] + sides[0], corner[1] : corner[1] + sides[1]]
    top, left = window[0].start - corner[0], window[1].start - corner[1]
    height, width = window[0].stop - window[0].start, window[1].stop - window[1].start
    return Patch(row, cut.mean(axis=0).round().astype(np.uint8), (top, left, top + height, left + width))
