"""What the audit's numbers mean, in plain words."""

from collections.abc import Mapping
from typing import Any

from steel_xai.stain_audit.observational import EQUAL, LOWER

Result = Mapping[str, Any]


def conclude(
    verdict: str,
    associated: bool | None,
    matched: bool | None,
    caused: bool | None,
    direction: str | None,
    name: str,
    output: str,
) -> str:
    """Say in one sentence what the verdict is and what it rests on."""
    claim = f'the model takes {name} for a sign of "{output}"'
    if verdict == "not testable":
        reason = "there are too few sheets"
        if caused is not None:
            reason = (
                "too few defect-free sheets have them, or have not, to be compared; pasting them on defective sheets "
                f'{"moves" if caused else "does not move"} these towards "{output}", which alone decides nothing'
            )
        elif associated:
            reason = "sheets with and without them differ, but too few are of like brightness, and nothing was pasted"
        return f"Not testable whether {claim}: {reason}."
    if verdict == "shortcut":
        return f"T{claim[1:]}: {_grounds(caused, output)}."
    return f"No evidence that {claim}: {_doubts(associated, matched, caused, direction)}."


def tell_groups(result: Result, name: str, output: str) -> str:
    """Tell the comparison of two groups of sheets."""
    if not result["testable"]:
        return f"Not testable: {result['note']}."
    sizes, medians, direction = result["group_sizes"], result["medians"], result["direction"]
    compared = "equal to" if direction == EQUAL else f"{direction} than"
    return (
        f'P("{output}") of {sizes["attributed"]} defect-free sheets with {name} is {compared} that of '
        f"{sizes['plain']} without (medians {medians['attributed']:.3f} and {medians['plain']:.3f}; effect size "
        f"{result['effect_size']:+.2f} [{result['effect_low']:+.2f}, {result['effect_high']:+.2f}], one-sided "
        f"p = {result['p_value']:.2g}; log-odds {_interval(result['shift_log_odds'], 'estimate', 2)})."
    )


def tell_paste(interventional: Result | None, name: str, output: str, *, defined: bool) -> str:
    """Tell what pasting did; None where it was not ``defined`` or there were too few sheets."""
    if interventional is None:
        return _nothing_done("paste", defined)
    paste, plain, difference = (interventional[part] for part in ("paste", "plain_patch", "difference"))
    return (
        f'Pasting {name} on {paste["n"]} defective sheets shifts their P("{output}") by {_shift(paste)} '
        f"(p = {paste['p_value']:.2g}) and flips {_flips(paste)} of those found defective; plain steel of the same "
        f"shape shifts it by {_shift(plain)} and flips {_flips(plain)}; paired difference "
        f"{_interval(difference, 'median')} (p = {difference['p_value']:.2g})."
    )


def tell_removal(removal: Result | None, name: str, output: str, *, defined: bool) -> str:
    """Tell what inpainting did; None where it was not ``defined`` or there were too few sheets."""
    if removal is None:
        return _nothing_done("remove", defined)
    return (
        f'Inpainting {name} on {removal["n"]} sheets shifts their P("{output}") by {_shift(removal)} '
        f"(p = {removal['p_value']:.2g})."
    )


def tell_attribution(attribution: Result | None, name: str, output: str) -> str:
    """Tell how much relevance lies on the attribute."""
    if attribution is None:
        return "Not tested: the attribute has no mask in the picture."
    if not attribution["testable"]:
        return f"Not testable: {attribution['note']}."
    return (
        f'On {attribution["n"]} sheets {attribution["relevance_share"]:.1%} of the relevance for "{output}" lies on '
        f"{name}, which take {attribution['area_share']:.2%} of the area (median ratio {attribution['ratio']:.1f}, "
        f"one-sided p = {attribution['p_value']:.2g}), and {attribution['against_share']:.1%} of that against it."
    )


def _grounds(caused: bool | None, output: str) -> str:
    if caused is None:
        return "sheets with them have the higher P, also at like brightness (an association, not an intervention)"
    return (
        "defect-free sheets with them have the higher P, and pasting them on defective sheets moves these towards "
        f'"{output}", plain steel in their place not at all or at most half as far'
    )


def _doubts(associated: bool | None, matched: bool | None, caused: bool | None, direction: str | None) -> str:
    if associated and caused is False:
        return (
            "sheets with them have the higher P, but pasting them does not raise it clearly, or not more than plain "
            "steel does"
        )
    if associated and not matched:
        return "sheets with them have the higher P, but not clearly so at like brightness"
    found = "sheets with them do not have a clearly higher P"
    if direction == LOWER:
        found = "sheets with them have the lower P, if any difference, which points the other way"
    return f"{found}; yet pasting them raises it, so the tests disagree" if caused else found


def _nothing_done(what: str, defined: bool) -> str:
    return "Not testable: too few sheets." if defined else f"Not tested: no way to {what} it is defined."


def _flips(result: Result) -> str:
    if result["flip_rate"] is None:
        return "none"
    return f"{result['flip_rate']:.0%} [{result['flip_low']:.0%}, {result['flip_high']:.0%}]"


def _shift(result: Result) -> str:
    return f"{result['median_shift']:+.3f} [{result['shift_low']:+.3f}, {result['shift_high']:+.3f}]"


def _interval(result: Result, of: str, digits: int = 3) -> str:
    return f"{result[of]:+.{digits}f} [{result['low']:+.{digits}f}, {result['high']:+.{digits}f}]"
