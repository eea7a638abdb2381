"""How much of what speaks for an output, as a rule "no defect", lies on the stains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steel_xai.localisation import relevance_mass
from steel_xai.stain_audit.hodges_lehmann import shift_of
from steel_xai.stain_audit.shifts import signed_rank_p_value


def measure_attribution_share(
    maps: NDArray[np.floating], stains: NDArray[np.bool_], *, min_group: int
) -> dict[str, Any]:
    """Compare the share of relevance for an output that lies on stains with the stains' share of the area.

    Tested by a one-sided Wilcoxon signed-rank test over sheets (Wilcoxon 1945): the alternative is that stains hold
    more than their share. Relevance that speaks against the output is measured beside it: of a model that takes stains
    for defects it is this part that lies on them.

    Args:
        maps: Signed relevance for the output [n, h, w], finite; positive values speak for it.
        stains: Pixels of the stains [n, h, w]. A sheet without any is left out, and so is a map that says nothing for.
        min_group: With fewer sheets left nothing is tested.

    Returns:
        A JSON-able record. ``testable`` and ``note``, why not; ``n`` sheets, ``n_left_out``. ``relevance_share``,
        ``against_share`` and ``area_share``: medians, 0..1; ``ratio``: median over sheets of relevance over area share,
        with ``ratio_quartiles``. ``excess``: Hodges-Lehmann ``estimate, low, high`` of relevance share - area share,
        with Tukey's 95 % interval; ``p_value``. ``net``: the same estimate of relevance share - share of what speaks
        against, above 0 where stains speak for rather than against. None where nothing is tested.
    """
    speaks_for = np.maximum(maps, 0)
    used = np.asarray(stains).any(axis=(1, 2)) & speaks_for.any(axis=(1, 2))
    n = int(used.sum())
    testable = n >= min_group
    record: dict[str, Any] = {
        "testable": testable,
        "note": None if testable else f"{n} sheets with stains that can be found are too few: {min_group} are needed",
        "n": n,
        "n_left_out": len(maps) - n,
        **dict.fromkeys(("relevance_share", "against_share", "area_share", "ratio", "ratio_quartiles", "excess")),
        "p_value": None,
        "net": None,
    }
    if not testable:
        return record
    area = np.asarray(stains)[used].mean(axis=(1, 2))
    share = relevance_mass(speaks_for[used], stains[used])
    against = relevance_mass(np.maximum(-maps[used], 0), stains[used])
    excess, ratio = share - area, share / area
    return record | {
        "relevance_share": float(np.median(share)),
        "against_share": float(np.median(against)),
        "area_share": float(np.median(area)),
        "ratio": float(np.median(ratio)),
        "ratio_quartiles": [float(np.quantile(ratio, q)) for q in (0.25, 0.75)],
        "excess": shift_of(excess),
        "p_value": signed_rank_p_value(excess, "greater"),
        "net": shift_of(share - against),
    }
