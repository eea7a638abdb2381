"""Commands of this project, and Kedro's ``run`` with a user's mistakes told in one line instead of a traceback."""

import contextlib
import errno
import functools
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli import project
from kedro.framework.cli.utils import _split_params, env_option, validate_conf_source

from steel_xai.errors import InputError
from steel_xai.interrupts import heard_interrupts
from steel_xai.one_step import cannot_write

NOT_FRESH, MISTAKE = 1, 2
"""Exit codes of ``kedro status``."""
INTERRUPTED = 130
"""Exit code of a run that Ctrl-C has ended, as shells have it: 128 and the number of the signal."""


@click.group(name="steel-xai")
def cli() -> None:
    """Commands of this project; Kedro shows them beside its own."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What the system says of a disk that takes no more, of a quota, of a file-size limit, of a read-only disk."""


class _Told(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def _plain_errors(command: Callable[..., Any], exit_code: int = 1) -> Callable[..., Any]:
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
                    raise _Told(str(cause), exit_code) from error
                if isinstance(cause, OSError) and cause.errno in _FULL:
                    raise _Told(str(cannot_write(Path(str(cause.filename or "a file")), cause)), exit_code) from error
                cause = cause.__cause__
            raise

    return run


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Go on without the log where it cannot be written; Python prints a traceback for each of its lines."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before


def _run(only_stale: bool, **options: Any) -> Any:
    try:
        with heard_interrupts(), _quiet_log():
            # the session reads only_stale from the command line; Kedro's own command does not know it
            return project.run.callback(**options)  # type: ignore[misc]
    except KeyboardInterrupt as error:
        raise _Told(
            "Interrupted. Results that were saved are whole; the same command with --only-stale makes the others, and "
            "goes on within the stage that was interrupted where it keeps its progress.",
            INTERRUPTED,
        ) from error


run = copy(project.run)
run.callback = _plain_errors(_run)
run.params = [
    *project.run.params,
    click.Option(
        ["--only-stale"],
        is_flag=True,
        help="Run only nodes whose results are missing, or were made from other inputs, parameters or code than those "
        "of now, and all that follow them.",
    ),
]
cli.add_command(run)

_conf_source = click.option(
    "--conf-source", callback=validate_conf_source, help="Path of a directory where configuration is stored."
)
_params = click.option(
    "--params", type=click.UNPROCESSED, default="", callback=_split_params, help="Parameters, as of `kedro run`."
)


@cli.command()
@click.option("--pipeline", "-p", default="__default__", help="Name of the registered pipeline to look at.")
@env_option
@_conf_source
@_params
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@functools.partial(_plain_errors, exit_code=MISTAKE)
def status(pipeline: str, env: str | None, conf_source: str | None, params: dict[str, Any], as_json: bool) -> None:
    """Say which results of a pipeline are fresh, stale or missing, and why.

    The exit code is 0 if all are fresh, 1 if not, 2 if there is nothing to be said.
    """
    from steel_xai.status import as_json as json_of
    from steel_xai.status import as_table, status_of

    with _session(env, conf_source, params) as session:
        found = status_of(session.load_context(), pipeline)
    click.echo(json_of(found) if as_json else as_table(found))
    if not found.is_fresh:
        sys.exit(NOT_FRESH)


@cli.command()
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many versions of each dataset stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@env_option
@_conf_source
@_plain_errors
def prune(keep: int, dry_run: bool, yes: bool, env: str | None, conf_source: str | None) -> None:
    """Remove old versions of results that nothing newer was made from."""
    from steel_xai.pruning import plan_pruning, remove
    from steel_xai.status import describe_pruning, megabytes

    with _session(env, conf_source, {}) as session:
        context = session.load_context()
    names = context.config_loader["globals"]
    plan = plan_pruning(Path(context.project_path, names["data_root"]), names["data_source"], keep)
    click.echo(describe_pruning(plan, keep))
    if dry_run or not plan.removals:
        return
    if not yes:
        click.confirm("Remove these versions?", abort=True)
    try:
        freed = remove(plan.removals)
    except OSError as error:
        raise InputError(f"cannot remove {error.filename}: {error.strerror}; mend the folder's permissions") from error
    click.echo(f"Freed {megabytes(freed)}.")


def _session(env: str | None, conf_source: str | None, params: dict[str, Any]) -> Any:
    from kedro.framework.project import settings

    return settings.SESSION_CLASS.create(env=env, conf_source=conf_source, runtime_params=params)
