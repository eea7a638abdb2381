"""Whether a result is what would come out if it was made now.

A result is stale if one of its inputs has another content than the one it was made from, or is stale itself; if a
parameter has another value; if the code has changed; if what made it was interrupted. Versions do not matter: a stage
that runs again and makes the same content leaves everything after it fresh.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from steel_xai.lineage.content import content_of, size_and_time
from steel_xai.lineage.records import RECORD, InputState
from steel_xai.results import Result

State = Literal["fresh", "stale", "missing"]

NO_RECORD = "made before records were kept"
BAD_RECORD = f"its record ({RECORD}) cannot be read"
CHANGED_FILE = "its file was changed after it was made"


@dataclass(frozen=True)
class Recipe:
    """What a result would be made from if it was made now; datasets in memory are replaced by what makes them."""

    inputs: tuple[str, ...]
    parameters: Mapping[str, Any]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """Whether a result is fresh, and if not, why."""

    state: State
    own_reasons: tuple[str, ...] = ()
    """That lie with the result, its parameters, its code or the content of its inputs."""
    inherited: tuple[str, ...] = ()
    """Inputs that are not fresh themselves, without those that make another one of them not fresh."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """All reasons in plain words."""
        from_inputs = (f"made from what is not fresh: {', '.join(self.inherited)}",) if self.inherited else ()
        return (*self.own_reasons, *from_inputs)


def current_content(result: Result) -> str | None:
    """Return the content of a result's file: as recorded if the file is the one recorded; None if unreadable."""
    try:
        record = result.record
        if record is not None and size_and_time(result.path) == (record.size, record.modified_ns):
            return record.content
        return content_of(result.path)
    except OSError:
        return None


def judge(
    recipes: Mapping[str, Recipe], results: Mapping[str, Result], raw_content: Callable[[str], str]
) -> dict[str, Verdict]:
    """Judge every result that has a recipe.

    Args:
        recipes: By dataset, how it would be made now.
        results: What is on disk, by dataset: those with a recipe, and inputs that are made elsewhere.
        raw_content: The content of an input that is no result.
    """
    verdicts: dict[str, Verdict] = {}
    known: dict[str, str] = {}

    def raw(name: str) -> str:
        if name not in known:
            known[name] = raw_content(name)
        return known[name]

    behind: dict[str, set[str]] = {}

    def inputs_behind(name: str) -> set[str]:
        if name not in behind:
            inputs = recipes[name].inputs if name in recipes else ()
            behind[name] = {*inputs}.union(*(inputs_behind(source) for source in inputs))
        return behind[name]

    def verdict_of(name: str) -> Verdict:
        if name not in verdicts:
            verdicts[name] = judge_one(name)
        return verdicts[name]

    def judge_one(name: str) -> Verdict:
        recipe, result = recipes[name], results.get(name)
        if result is None:
            return Verdict("missing", ("never made, or deleted",))
        if result.record is None:
            return Verdict("stale", (_without_record(result),))
        inherited = [name for name in recipe.inputs if name in recipes and verdict_of(name).state != "fresh"]
        nearest = tuple(name for name in inherited if not any(name in inputs_behind(other) for other in inherited))
        contents = {
            source: _state(results[source]) if source in results else InputState(version=None, content=raw(source))
            for source in recipe.inputs
            if source in results or source not in recipes
        }
        reasons = [
            *_changed_file(result),
            *([result.record.unfinished] if result.record.unfinished else []),
            *_changed_inputs(result.record.inputs, contents, recipe.inputs, inherited),
            *_changed_parameters(result.record.parameters, recipe.parameters),
            *_changed_code(result.record.sources, recipe.sources),
        ]
        return Verdict("stale" if reasons or inherited else "fresh", tuple(reasons), nearest)

    return {name: verdict_of(name) for name in recipes}


def find_stale(results: Mapping[str, Result], *, without_record: bool = True) -> dict[str, str]:
    """Name the results that do not belong to the newest version of what they were made from, each with a reason.

    Only looks at results and their records; parameters, code and raw data are left to ``kedro status``.

    Args:
        results: What is on disk, by dataset.
        without_record: Whether those made before records were kept are stale, and all that was made from them.
    """
    reasons: dict[str, str | None] = {}

    def reason_of(name: str) -> str | None:
        if name not in reasons:
            reasons[name] = None  # records of strangers may go in circles
            reasons[name] = next(reasons_of(results[name]), None)
        return reasons[name]

    def reasons_of(result: Result) -> Iterator[str]:
        if result.record is None:
            lack = _without_record(result)
            if without_record or lack != NO_RECORD:
                yield lack
            return
        yield from _changed_file(result)
        made_from = {name: state for name, state in result.record.inputs.items() if state.version is not None}
        contents = {name: _state(results[name]) for name in made_from if name in results}
        yield from _changed_inputs(made_from, contents, tuple(made_from), ())
        yield from (f"{name} is stale: {reason}" for name in contents if (reason := reason_of(name)))

    return {name: reason for name in results if (reason := reason_of(name))}


def _without_record(result: Result) -> str:
    return BAD_RECORD if (result.folder / RECORD).exists() else NO_RECORD


def _state(result: Result) -> InputState:
    return InputState(version=result.version, content=current_content(result) or "unreadable")


def _changed_file(result: Result) -> Iterator[str]:
    if result.record is not None and current_content(result) != result.record.content:
        yield CHANGED_FILE


def _changed_inputs(
    recorded: Mapping[str, InputState],
    current: Mapping[str, InputState],
    names: Iterable[str],
    known_stale: Iterable[str],
) -> Iterator[str]:
    for name in names:
        now = current.get(name)
        before = recorded.get(name)
        if now is None:
            if name not in known_stale:
                yield f"{name} was deleted"
        elif before is None:
            yield f"{name} is a new input"
        elif now.content != before.content:
            versions = "" if now.version in (None, before.version) else f" ({before.version} -> {now.version})"
            yield f"{name} has changed{versions}"
    yield from (f"{name} is no longer an input" for name in recorded if name not in names)


def _changed_parameters(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*recorded, *current}):
        if name not in recorded:
            yield f"{name}: new, {_shown(current[name])}"
        elif name not in current:
            yield f"{name}: {_shown(recorded[name])} -> not used"
        elif recorded[name] != current[name]:
            yield f"{name}: {_shown(recorded[name])} -> {_shown(current[name])}"


def _changed_code(recorded: Mapping[str, str], current: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(name for name in {*recorded, *current} if recorded.get(name) != current.get(name))
    if changed:
        yield f"code: {', '.join(changed)}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
