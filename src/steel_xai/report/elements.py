"""What a report is made of; the templates know how each kind looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from steel_xai.report.formats import interval, is_missing, number, percent, percent_interval

Align = Literal["left", "right"]

_NARROW, _SIDE = 800, 1000
"""Pixels of a figure's width up to which two stand side by side, or one beside its caption."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is read, and by what its column sorts (its text where nothing is stated)."""

    text: str
    sort: float | str | None = None


@dataclass(frozen=True)
class Row:
    """A row of a table; ``tone`` sets it apart: ``control`` (grey), ``own`` (the model of this report)."""

    cells: Sequence[Cell]
    tone: Literal["", "control", "own"] = ""


@dataclass(frozen=True)
class Column:
    """A column of a table; ``note`` explains it under the table."""

    title: str
    align: Align = "right"


@dataclass(frozen=True)
class Table:
    """A table whose columns sort."""

    kind: ClassVar[str] = "table"
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with a caption."""

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    caption: str
    uri: str
    width: int
    height: int

    @property
    def shape(self) -> str:
        """Name its place: ``side``, beside its caption, or ``full``, above it."""
        return "side" if self.width <= _SIDE else "full"

    @property
    def narrow(self) -> bool:
        """Tell whether two of them side by side can be read."""
        return self.width <= _NARROW


@dataclass(frozen=True)
class Paragraph:
    """Running text; a ``note`` stands apart."""

    kind: ClassVar[str] = "paragraph"
    text: str
    tone: Literal["", "note"] = ""


@dataclass(frozen=True)
class Facts:
    """Terms and what they are."""

    kind: ClassVar[str] = "facts"
    items: Mapping[str, str]


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    kind: ClassVar[str] = "points"
    items: Sequence[str]


@dataclass(frozen=True)
class Test:
    """One test of an audit: ``holds`` is None where it could not be made."""

    __test__: ClassVar[bool] = False  # no class of tests for pytest
    name: str
    holds: bool | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What an audit found, in a word, a sentence and its tests."""

    kind: ClassVar[str] = "verdict"
    attribute: str
    word: str
    sentence: str
    tests: Sequence[Test]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """Write it."""
        return interval(self.value, self.low, self.high)


@dataclass(frozen=True)
class Score:
    """One score of a model beside the baseline's and the reference study's."""

    name: str
    own: Estimate
    baseline: Estimate | None
    study: float | None


@dataclass(frozen=True)
class Scores:
    """The scores of one task's model, drawn on one scale from 0 to 1."""

    kind: ClassVar[str] = "scores"
    title: str
    model: str
    scores: Sequence[Score]
    note: str
    study_model: str | None = None


@dataclass(frozen=True)
class Withheld:
    """Results that are not shown, why, and what would renew them."""

    kind: ClassVar[str] = "withheld"
    reasons: Mapping[str, Sequence[str]]
    """The names of the results by the reason."""
    command: str | None


Element = Table | Figure | Paragraph | Facts | Points | Verdict | Scores | Withheld


@dataclass(frozen=True)
class Group:
    """Elements that stand in one row (``pair``) or alone."""

    kind: Literal["pair", "single"]
    elements: Sequence[Element]


@dataclass(frozen=True)
class Block:
    """A part of a section under a heading of its own, or none."""

    heading: str
    elements: Sequence[Element]


@dataclass(frozen=True)
class Finding:
    """What a reader should take home of each task, and the section that says more."""

    anchor: str
    topic: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A section with its place in the table of contents."""

    anchor: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)


def text_cell(text: str) -> Cell:
    """Make a cell of text."""
    return Cell(text, text.casefold())


def number_cell(value: float | None, digits: int = 3) -> Cell:
    """Make a cell of a number; what is missing sorts last."""
    return Cell(number(value, digits), None if is_missing(value) else value)


def interval_cell(
    value: float | None, low: float | None, high: float | None, digits: int = 3, *, sign: bool = False
) -> Cell:
    """Make a cell of a number and its interval."""
    return Cell(interval(value, low, high, digits, sign=sign), None if is_missing(value) else value)


def percent_cell(share: float | None, bounds: Sequence[float | None] | None = None) -> Cell:
    """Make a cell of a percentage, with its interval if it has one."""
    text = percent_interval(share, bounds) if bounds else percent(share)
    return Cell(text, None if is_missing(share) else share)


def groups(elements: Sequence[Element]) -> list[Group]:
    """Put narrow figures that follow one another into one row."""
    grouped: list[Group] = []
    for element in elements:
        last = grouped[-1].elements[-1] if grouped and grouped[-1].kind == "single" else None
        if isinstance(element, Figure) and isinstance(last, Figure) and element.narrow and last.narrow:
            grouped[-1] = Group("pair", [last, element])
        else:
            grouped.append(Group("single", [element]))
    return grouped
