"""The command line: lazy groups, printed problems, signals, standard streams, exit codes."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from shutil import get_terminal_size
from textwrap import wrap
from types import FrameType
from typing import IO, Any, TextIO, TypeAlias

import click

from d2f.api.errors import D2FError, Exit, Place, Problem
from d2f.mlx_cpu.hook import claim_process
from d2f.version import __version__

Table: TypeAlias = Mapping[str, tuple[str, str]]
"""Of each command its ``module:object`` and one line of help."""


class LazyGroup(click.Group):
    """A group made of a table, so that ``--help`` imports none of its commands."""

    def __init__(self, *args: Any, table: Table, **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None where the table has none of this name."""
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their help, from the table alone."""
        if self.table:
            with formatter.section("Commands"):
                formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; without any argument, show the help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or say what was probably meant."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or ctx.resilient_parsing or name.startswith("-"):
            return (name, command, args[1:]) if command is not None else super().resolve_command(ctx, args)
        from d2f.api.errors import did_you_mean

        notes = (*did_you_mean(name, self.list_commands(ctx)), f"to see all commands: {ctx.command_path} --help")
        raise D2FError.of("D2F001", f"'{ctx.command_path}' has no command '{name}'", *notes)


COLOURS = {"error": "red", "warning": "yellow"}


def print_problems(problems: Iterable[Problem], stream: TextIO | None = None) -> None:
    """Print problems and their count, on stderr by default; nothing where there are none."""
    ordered = in_order(tuple(problems))
    if not ordered:
        return
    colour = wants_colour(stream or sys.stderr)
    texts = [painted(problem) if colour else str(problem) for problem in ordered]
    click.echo("\n\n".join([*texts, problem_counts(ordered)]), file=stream, err=stream is None, color=colour)


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems by file, as first named, then by line and column; those without a line come first."""
    files = list(dict.fromkeys(problem.place.file if problem.place else "" for problem in problems))

    def place(problem: Problem) -> tuple[int, int, int]:
        at = problem.place
        return (files.index(at.file), at.line, at.column) if at else (files.index(""), 0, 0)

    return sorted(problems, key=place)


def problem_counts(problems: Sequence[Problem]) -> str:
    """Return ``2 errors, 1 warning``."""
    counts = [(sum(problem.severity == word for problem in problems), word) for word in COLOURS]
    return ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts if count)


def painted(problem: Problem) -> str:
    """Return a problem with the terminal's colours."""
    colour = COLOURS[problem.severity]
    head, *rest = str(problem).split("\n")
    tag, _, message = head.partition(": ")
    lines = [click.style(tag, fg=colour, bold=True) + ": " + click.style(message, bold=True)]
    for line in rest:
        lines.append(click.style(line, fg=colour) if re.match(r" +\| +\^", line) else _accented(line))
    return "\n".join(lines)


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which nobody has switched colours off (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _accented(line: str) -> str:
    return re.sub(r"^( *)(-->|=|\d+ \|)", lambda found: found[1] + click.style(found[2], fg="blue", bold=True), line)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, a first signal raises KeyboardInterrupt, and a second ends the process at once.

    Signals that the process was started to ignore (``nohup``, a shell's background job) stay ignored.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._writing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._asked) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    @contextmanager
    def afterwards(self) -> Iterator[None]:
        """Hold the interruption back until the block is through, so that a row is written whole."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
        if self.signal:
            raise KeyboardInterrupt

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        if not self._writing:
            raise KeyboardInterrupt


_held: list[IO[str]] = []
"""Keeps file descriptor 1 taken while standard output is closed."""


def folded(line: str, stream: TextIO) -> str:
    """Return a line in the width of the terminal that it is for, further lines indented; as it is for anything else."""
    if not stream.isatty():
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    width = get_terminal_size().columns
    return "\n".join(wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)) or line


@contextmanager
def rows_only() -> Iterator[TextIO]:
    """Yield the standard output for rows alone; whatever else prints, C code and child processes too, gets stderr."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        number = -1
    if number != 1:
        stdout = sys.stdout
        with redirect_stdout(sys.stderr):
            yield stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    stream = open(kept, "w", encoding=sys.stdout.encoding, errors="replace", newline="\n")  # noqa: SIM115
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield stream
        with suppress(OSError, ValueError):
            stream.flush()
    finally:
        os.dup2(kept, 1)
        with suppress(OSError):
            stream.close()


class ClosedOutput(io.TextIOBase):
    """Standard output that the caller has closed: a result written there is an error, not lost without a word."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Raise D2F004 for anything but nothing."""
        if text:
            raise D2FError.of(
                "D2F004", "standard output is closed", "open it, or name a file with -o", exit=Exit.SOME_FAILED
            )
        return 0

    @property
    def buffer(self) -> ClosedOutput:
        """Bytes have no better place to go."""
        return self


def fit_streams() -> None:
    """Open what was closed, and let a question mark stand for a letter that their encoding lacks (as `ls` does).

    A stream that the caller has closed (``>&-``) is None; whatever file is opened next would get its number, and what
    libraries print to that number would land in that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # In the order of their numbers: each takes the lowest that is free, its own.
            opened = open(os.devnull, mode)  # noqa: SIM115
            setattr(sys, name, opened)
            if name == "stdout":
                _held.append(opened)
                sys.stdout = ClosedOutput()
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_notices(printed: Collection[Problem] = ()) -> None:
    """Print one line on stderr for each problem of a plugin that was discovered and is not among `printed`."""
    # Where no command has asked for plugins, none is loaded now.
    module = sys.modules.get("d2f.plugins.catalog")
    catalog = module.Catalog.discovered() if module is not None else None
    places = {problem.place for problem in printed if problem.place is not None}
    for problem in catalog.problems if catalog is not None else ():
        if problem.place is None or problem.place not in places:
            where = f"  --> {problem.place.file}" if problem.place is not None else ""
            line = f"warning[{problem.code}]: {problem.message}{where}  = see: d2f plugin list"
            click.echo(line, err=True)


DEBUG = "D2F_DEBUG"
"""Environment variable: show the traceback of a bug instead of writing it to a file."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a write that no command can foresee and that are no bug."""

DIAGNOSES = ("plugin", "doctor")
"""Commands that report broken plugins themselves."""


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
        # What is still buffered would raise again when the interpreter flushes it at exit.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except OSError as error:
        if error.errno not in DISK_FULL:
            return _ended(ctx, (bug_problem(error),), Exit.BUG)
        full = Problem("D2F004", f"the output cannot be written: {error.strerror}", notes=("make room, and repeat it",))
        return _ended(ctx, (full,), Exit.SOME_FAILED)
    except Exception as error:
        return _ended(ctx, (bug_problem(error),), Exit.BUG)


def usage_problem(error: click.ClickException) -> Problem:
    """Return click's complaint about the command line as a problem."""
    ctx = getattr(error, "ctx", None)
    notes = [f"did you mean '{near}'?" for near in (getattr(error, "possibilities", None) or ())[:1]]
    if ctx is not None:
        usage = " ".join(ctx.get_usage().split()).removeprefix("Usage: ")
        notes += [f"usage: {usage}", f"to see its options: {ctx.command_path} --help"]
    message = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    return Problem("D2F001", message[:1].lower() + message[1:].removesuffix("."), notes=tuple(notes))


def bug_problem(error: Exception) -> Problem:
    """Return an exception that nobody foresaw as a problem; its traceback is shown or written to a file."""
    import traceback

    text = "".join(traceback.format_exception(error))
    line = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    message = f"d2f failed in a way that it should not: {line}"
    kept = None if os.environ.get(DEBUG) else _keep(text)
    if kept is None:
        click.echo(text, err=True)
        return Problem("D2F000", message, notes=("this is a bug in d2f; please report it with the traceback",))
    notes = (
        "this is a bug in d2f; please report it with that file",
        f"to see the traceback here: {DEBUG}=1 before the command, or d2f --debug",
    )
    return Problem("D2F000", message, Place(kept), notes=notes)


def _ended(ctx: click.Context | None, problems: tuple[Problem, ...], exit_code: int) -> int:
    if ctx is not None and ctx.invoked_subcommand not in DIAGNOSES:
        print_notices(problems)
    print_problems(problems)
    return int(exit_code)


def _keep(text: str) -> str | None:
    import tempfile

    try:
        with tempfile.NamedTemporaryFile("w", prefix="d2f-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        return None
    return file.name


COMMANDS: Table = {
    "judge": ("d2f.cli.judge:judge", "Say in words whether images were generated."),
    "explain": ("d2f.cli.explain:explain", "Say why a chain judges an image so; write a report."),
    "chain": ("d2f.cli.chain:chain", "Run, check, show and fit chains."),
    "calibrate": ("d2f.cli.fit:calibrate", "Adapt a fitted chain to some dozens of images of your own."),
    "serve": ("d2f.cli.serve:serve", "Keep a chain loaded behind a page and an API."),
    "mcp": ("d2f.cli.serve:mcp", "Offer a chain to assistants as a tool."),
    "report": ("d2f.cli.explain:report", "Verify a report; print its schema."),
    "bench": ("d2f.cli.bench:bench", "Measure chains on labelled images, with intervals."),
    "attack": ("d2f.cli.attack:attack", "Apply preprocessors to images, such as wiener:window=7."),
    "train": ("d2f.cli.train:train", "Train a learned detector by a recipe."),
    "data": ("d2f.cli.data:data", "Count, cut, split and audit labelled images."),
    "weights": ("d2f.cli.weights:weights", "See, fetch and convert the weights of stages."),
    "doctor": ("d2f.cli.doctor:doctor", "Report what is in force on this machine."),
    "plugin": ("d2f.cli.plugin:plugin", "See, diagnose and begin plugins and the stages they offer."),
}
"""Every command that is built: its module and object, and its line of help."""


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"d2f {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a bug (also: D2F_DEBUG=1).")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli(debug: bool) -> None:
    """Tell AI-generated images from photographs by a chain of detectors."""
    if debug:
        # In the environment, so that worker processes have it too.
        os.environ[DEBUG] = "1"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if args is None:
        claim_process()
        fit_streams()
    if instruction := os.environ.get("_D2F_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "d2f", "_D2F_COMPLETE", instruction)
    return run(cli, list(sys.argv[1:] if args is None else args))


KEY = "d2f.cli.main"


class RememberingCommand(click.Command):
    """Keeps its arguments as they were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, then parse them."""
        ctx.meta[KEY] = tuple(args)
        return super().parse_args(ctx, args)


def called_with(ctx: click.Context, more: str = "", without: Collection[str] = ()) -> str:
    """Return the command line for a shell, with the flag `more` added and the flags `without` left out."""
    kept = [argument for argument in ctx.meta[KEY] if argument not in {more, *without}]
    if not more:
        return shlex.join([*ctx.command_path.split(), *kept])
    # After "--" a flag would be taken for an image.
    arguments = [more, *kept] if "--" in kept else [*kept, more]
    return shlex.join([*ctx.command_path.split(), *arguments])
