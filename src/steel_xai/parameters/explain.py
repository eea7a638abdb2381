"""Parameters of the explanations of new sheets."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from steel_xai.parameters.base import Section, Share
from steel_xai.parameters.interpretation import METHOD_NAMES


def _text(path: object) -> object:
    if isinstance(path, int | float):
        raise ValueError("a path that looks like a number; write ./2024 for a folder named 2024")
    return path


def _known_method(name: str) -> str:
    if name not in METHOD_NAMES:
        raise ValueError(f"'{name}' is no attribution method; there are {', '.join(METHOD_NAMES)}")
    return name


class ExplainParameters(Section):
    """Which sheets are explained, and how.

    ``images`` is a file, a folder or a glob. A mask is where the blurred map of ``method`` exceeds its mean + ``k`` sd.
    ``threshold`` is the confidence from which on the model answers: the one that the evaluation chose, or a number. A
    decision rests on a stain or a black end if the probability falls by ``min_shift`` or more without it. The page has
    the first ``max_cards`` sheets.
    """

    images: Annotated[str | None, BeforeValidator(_text)]
    method: Annotated[str, BeforeValidator(_known_method), Field(description=f"one of {', '.join(METHOD_NAMES)}")]
    k: Annotated[float, Field(ge=0)]
    threshold: Share | Literal["auto"]
    min_shift: Annotated[float, Field(gt=0, le=1)]
    max_cards: Annotated[int, Field(ge=1)]
