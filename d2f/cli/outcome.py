"""What becomes of what a command returns or raises: an exit code, and a message on stderr."""

from __future__ import annotations

import os
import sys

import click

from d2f.api.errors import D2FError, Exit, Place, Problem
from d2f.cli.errors import print_problems
from d2f.cli.notices import print_notices

DEBUG = "D2F_DEBUG"
"""Environment variable: show the traceback of a bug instead of writing it to a file."""

TELLS_ITSELF = ("plugin", "doctor")
"""Commands that speak of broken plugins at length."""


def run(group: click.Group, arguments: list[str]) -> int:
    """Run a command line and return its exit code; nothing is raised."""
    ctx = None
    try:
        ctx = group.make_context("d2f", arguments)
        with ctx:
            value = group.invoke(ctx)
        sys.stdout.flush()
        return _ended(ctx, (), value if isinstance(value, int) else Exit.OK)
    except D2FError as error:
        return _ended(ctx, error.problems, error.exit)
    except click.ClickException as error:
        return _ended(ctx, (usage_problem(error),), Exit.USAGE)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, EOFError, click.Abort):
        click.echo("interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _nobody_reads()
    except Exception as error:
        return _ended(ctx, (bug_problem(error, _giver(ctx)),), Exit.BUG)


def usage_problem(error: click.ClickException) -> Problem:
    """Return click's complaint about the command line as a problem."""
    ctx = getattr(error, "ctx", None)
    notes = [f"did you mean '{near}'?" for near in (getattr(error, "possibilities", None) or ())[:1]]
    if ctx is not None:
        usage = " ".join(ctx.get_usage().split()).removeprefix("Usage: ")
        notes += [f"usage: {usage}", f"to see what it takes: {ctx.command_path} --help"]
    message = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    return Problem("D2F001", message[:1].lower() + message[1:].removesuffix("."), notes=tuple(notes))


def bug_problem(error: Exception, giver: str = "d2f") -> Problem:
    """Return an exception that nobody foresaw as a problem; its traceback is shown or kept in a file."""
    import traceback

    text = "".join(traceback.format_exception(error))
    line = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    message = f"{giver} failed in a way that it should not: {line}"
    kept = None if os.environ.get(DEBUG) else _keep(text)
    if kept is None:
        click.echo(text, err=True)
        return Problem("D2F000", message, notes=(f"this is a bug in {giver}; please report it with the traceback",))
    notes = (
        f"this is a bug in {giver}; please report it with that file",
        f"to see the traceback here: {DEBUG}=1 before the command, or d2f --debug",
    )
    return Problem("D2F000", message, Place(kept), notes=notes)


def _ended(ctx: click.Context | None, problems: tuple[Problem, ...], exit_code: int) -> int:
    if ctx is not None and ctx.invoked_subcommand not in TELLS_ITSELF:
        print_notices(problems)
    print_problems(problems)
    return int(exit_code)


def _giver(ctx: click.Context | None) -> str:
    """Return who gave the command that was running: d2f, or the distribution that added it."""
    name = ctx.invoked_subcommand if ctx is not None else None
    if ctx is None or name is None or name in getattr(ctx.command, "table", ()):
        return "d2f"
    from d2f.cli.extra import extra_commands

    found = extra_commands(ctx.command.table)[0].get(name)  # type: ignore[attr-defined]
    return found[0].package if found else "d2f"


def _keep(text: str) -> str | None:
    import tempfile

    try:
        with tempfile.NamedTemporaryFile("w", prefix="d2f-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        return None
    return file.name


def _nobody_reads() -> int:
    # What is still buffered would raise again when the interpreter flushes it at exit.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return Exit.BROKEN_PIPE
