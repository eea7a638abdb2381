"""From the numbers of the tests to one verdict, by stated rules."""

from collections.abc import Mapping
from typing import Any, Literal

from steel_xai.stain_audit import sentences

Verdict = Literal["shortcut", "no evidence", "not testable"]
Result = Mapping[str, Any]

_MAX_CONTROL_SHARE = 0.5
"""A patch of plain steel may move a sheet by at most this share of what a stain does."""


def judge(
    *,
    observational: Result,
    matched: Result,
    attribution: Result | None,
    interventional: Result | None,
    level: float,
    min_effect: float,
    min_shift: float,
    name: str,
    output: str,
) -> dict[str, Any]:
    """Say whether a classifier takes an attribute for a sign of an output, as a rule stains for "no defect".

    Each test has one question, answered yes, no, or not at all (too few sheets):

    - Association: do defect-free sheets with the attribute have the output's higher probability P? Yes, if the
      one-sided ``p_value`` is below ``level`` and ``effect_size`` at least ``min_effect``.
    - Matched: the same of pairs of like brightness, so that brightness is not the cause.
    - Intervention: does pasting a stain on a defective sheet raise P, and is it the stain that does, not the paste?
      Yes, if the paste's ``p_value`` is below ``level`` and the lower end of its shift above 0; if its paired
      difference to a patch of plain steel has a ``p_value`` below ``level`` and its lower end above 0; if the patch
      alone shifts by at most half as much; and if it matters: the median shift is ``min_shift`` at least, or the paste
      flips more predictions than the patch, their intervals apart. With many sheets the least shift is significant.

    The verdict:

    - Groups large enough, intervention answered: ``shortcut`` if association and intervention say yes.
    - Groups large enough, no answer from the intervention (or none is defined): ``shortcut`` if association and matched
      say yes; ``not testable`` if association says yes and there are too few pairs to exclude brightness.
    - Groups too small: ``not testable``, whatever the intervention says. By itself it does not tell a shortcut from a
      slight dislike of pasted texture, which networks have that were trained without any shortcut.
    - Everything else: ``no evidence``.

    All of the tests that a rule names must say yes, so no correction for their number is needed: the chance of a false
    alarm is at most ``level`` (intersection-union test, Berger 1982). Directions count: a model that takes stains for
    bright defects differs between groups and under intervention too, the other way round, and gets ``no evidence``.

    Two more tests are answered and do not decide:

    - Removal: does inpainting the stains of stained sheets lower P? Yes, if its ``p_value`` is below ``level`` and the
      upper end of its shift below 0. Inpainting takes away texture as well.
    - Attribution: do stains hold more of the relevance for the output than of the area? Yes, if its ``p_value`` is
      below ``level`` and the lower end of the excess above 0. What is looked at need not mislead.

    Args:
        observational: What ``observational.compare_confidence`` returns.
        matched: The same of the pairs.
        attribution: What ``attribution_share.measure_attribution_share`` returns.
        interventional: ``paste`` and ``plain_patch``: ``n, median_shift, shift_low, shift_high, p_value, flip_rate,
            flip_low, flip_high``; ``difference``: ``median, low, high, p_value``; ``removal``: ``n, median_shift,
            shift_low, shift_high, p_value``. P rises where shifts are positive; p-values are one-sided, that of the
            removal for a fall; None where nothing was tested.
        level: Of each test.
        min_effect: Rank-biserial correlation, 0..1.
        min_shift: Of P, 0..1.
        name: Of the attribute in the plural, as in "sheets with white stains".
        output: Name of the output.

    Returns:
        ``verdict``: ``shortcut``, ``no evidence`` or ``not testable``; ``sentence``: why, in plain words; ``tests``: by
        name the answer ``holds`` (None where there is none) and its ``sentence``.
    """
    done = interventional if _was_tested(interventional, "paste", "plain_patch", "difference") else None
    removal = interventional["removal"] if interventional and _was_tested(interventional, "removal") else None
    associated = _associated(observational, level, min_effect)
    pairs_associated = _associated(matched, level, min_effect)
    caused = None if done is None else _caused(done, level, min_shift)
    verdict = _decide(associated, pairs_associated, caused)
    tests = {
        "observational": (associated, sentences.tell_groups(observational, name, output)),
        "matched": (pairs_associated, "Of like brightness: " + sentences.tell_groups(matched, name, output)),
        "paste": (caused, sentences.tell_paste(done, name, output, defined=interventional is not None)),
        "removal": (
            None if removal is None else bool(removal["p_value"] < level and removal["shift_high"] < 0),
            sentences.tell_removal(removal, name, output, defined=interventional is not None),
        ),
        "attribution": (_looked_at(attribution, level), sentences.tell_attribution(attribution, name, output)),
    }
    return {
        "verdict": verdict,
        "sentence": sentences.conclude(
            verdict, associated, pairs_associated, caused, observational["direction"], name, output
        ),
        "tests": {test: {"holds": holds, "sentence": sentence} for test, (holds, sentence) in tests.items()},
    }


def _was_tested(interventional: Result | None, *parts: str) -> bool:
    return interventional is not None and all(
        interventional[part] is not None and interventional[part]["p_value"] is not None for part in parts
    )


def _associated(result: Result, level: float, min_effect: float) -> bool | None:
    if not result["testable"]:
        return None
    return bool(result["p_value"] < level and result["effect_size"] >= min_effect)


def _caused(interventional: Result, level: float, min_shift: float) -> bool:
    paste, plain, difference = (interventional[part] for part in ("paste", "plain_patch", "difference"))
    moves = paste["p_value"] < level and paste["shift_low"] > 0
    not_the_paste = difference["p_value"] < level and difference["low"] > 0
    control_is_small = plain["median_shift"] <= _MAX_CONTROL_SHARE * paste["median_shift"]
    matters = paste["median_shift"] >= min_shift or _flips_more(paste, plain)
    return bool(moves and not_the_paste and control_is_small and matters)


def _flips_more(paste: Result, plain: Result) -> bool:
    if paste["flip_rate"] is None or plain["flip_rate"] is None:
        return False
    return bool(paste["flip_low"] > plain["flip_high"])


def _looked_at(attribution: Result | None, level: float) -> bool | None:
    if attribution is None or not attribution["testable"]:
        return None
    low = attribution["excess"]["low"]
    return bool(attribution["p_value"] < level and low is not None and low > 0)


def _decide(associated: bool | None, matched: bool | None, caused: bool | None) -> Verdict:
    needed = [associated]
    if associated:
        needed.append(matched if caused is None else caused)
    if None in needed:
        return "not testable"
    return "shortcut" if all(needed) else "no evidence"
