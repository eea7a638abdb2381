"""Kedro's ``run`` command, with a user's mistakes told in one line instead of a traceback."""

import functools
import warnings
from collections.abc import Callable
from copy import copy
from typing import Any

import click
from kedro.framework.cli import project

from steel_xai.errors import InputError


@click.group(name="steel-xai")
def cli() -> None:
    """Commands of this project; Kedro shows them beside its own."""


def _plain_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                # --pipeline is this project's documented way; Kedro 1.7 takes it and recommends --pipelines
                warnings.filterwarnings("ignore", message="Option '--pipeline' is deprecated")
                return command(*args, **kwargs)
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, InputError):
                    raise click.ClickException(str(cause)) from error
                cause = cause.__cause__
            raise

    return run


run = copy(project.run)
run.callback = _plain_errors(project.run.callback)  # type: ignore[arg-type]
cli.add_command(run)
