"""The command line's door: what it imports, what it prints, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import click
import pytest

from d2f import D2FError, Exit, Place, Problem, __version__
from d2f.cli import main as errors
from d2f.cli.main import COMMANDS, main
from tests.distributions import Distributions, stage_module

HEAVY = {"numpy", "scipy", "mlx", "PIL", "rich", "pydantic", "ruamel", "pyarrow", "packaging"}
COMMAND = """
    import click
    import d2f

    @click.command()
    @click.argument("word", default="plain")
    def command(word):
        "Do what WORD says."
        if word == "raise":
            raise ZeroDivisionError("division by zero")
        if word == "wrong":
            raise d2f.D2FError.of("D2F002", "there is no file 'a.jpg'", "look elsewhere")
        if word == "discover":
            from d2f.plugins.catalog import Catalog
            Catalog.discover()
        if word == "want":
            from d2f.plugins.catalog import Catalog
            Catalog.discover().find("detector", "blink")
        if word == "stop":
            raise KeyboardInterrupt
        if word == "some":
            return d2f.Exit.SOME_FAILED
        click.echo(word)
    """


def expect(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


@pytest.fixture
def frob(distributions: Distributions, monkeypatch: pytest.MonkeyPatch) -> Distributions:
    """A command ``frob`` in the table, for what becomes of what commands do."""
    distributions.add("d2f-frob", {"d2f_frob.py": COMMAND}, {})
    monkeypatch.setitem(COMMANDS, "frob", ("d2f_frob:command", "Do what WORD says."))  # type: ignore[arg-type]
    return distributions


class TestHelp:
    @pytest.mark.parametrize("option", ["--help", "--version"])
    def test_loads_no_plugin_and_nothing_heavy(self, distributions: Distributions, option: str) -> None:
        distributions.add_plugin("loud", "raise RuntimeError('imported')")
        code = f"""
            import sys
            from d2f.cli.main import main
            code = main(["{option}"])
            loaded = {{name.partition(".")[0] for name in sys.modules}}
            plugins = sorted(name for name in loaded if name.startswith("d2f_"))
            print(code, sorted(loaded & {HEAVY!r}), plugins, file=sys.stderr)
            """
        done = distributions.python(dedent(code))
        assert done.stderr == "0 [] []\n"

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr() == (f"d2f {__version__}\n", "")

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_of_the_table_is_built(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: d2f {name} ")

    def test_alone_it_shows_the_help_and_is_a_usage_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == Exit.USAGE
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("Usage: d2f [OPTIONS] COMMAND [ARGS]...\n")

    def test_a_group_lists_its_commands_without_importing_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plugin", "--help"]) == 0
        assert capsys.readouterr().out == expect("""
            Usage: d2f plugin [OPTIONS] COMMAND [ARGS]...

              See, diagnose and begin plugins and the stages they offer.

            Options:
              -h, --help  Show this message and exit.

            Commands:
              list   Every stage, where it comes from and its options.
              new    Write a small, complete plugin to begin with.
              check  Diagnose a plugin, a distribution or a stage.
            """)

    def test_shell_completion(
        self, frob: Distributions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("_D2F_COMPLETE", "zsh_source")
        assert main([]) == 0
        assert "_D2F_COMPLETE=zsh_complete" in capsys.readouterr().out
        monkeypatch.setenv("_D2F_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", "d2f fr")
        monkeypatch.setenv("COMP_CWORD", "1")
        assert main([]) == 0
        assert capsys.readouterr() == ("plain,frob\n", "")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (
                ["plgin"],
                """
                error[D2F001]: 'd2f' has no command 'plgin'
                   = did you mean 'plugin'?
                   = to see all commands: d2f --help

                1 error
                """,
            ),
            (
                ["plugin", "list", "--jsn"],
                """
                error[D2F001]: no such option '--jsn'
                   = did you mean '--json'?
                   = usage: d2f plugin list [OPTIONS]
                   = to see its options: d2f plugin list --help

                1 error
                """,
            ),
            (
                ["plugin", "check", "a", "b"],
                """
                error[D2F001]: got unexpected extra argument (b)
                   = usage: d2f plugin check [OPTIONS] [NAME]
                   = to see its options: d2f plugin check --help

                1 error
                """,
            ),
        ],
    )
    def test_is_told_like_any_error(
        self, arguments: list[str], text: str, distributions: Distributions, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == Exit.USAGE
        assert capsys.readouterr() == ("", expect(text))


class TestEnd:
    def test_an_error_of_the_user(self, frob: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["frob", "wrong"]) == Exit.USAGE
        assert capsys.readouterr() == (
            "",
            "error[D2F002]: there is no file 'a.jpg'\n   = look elsewhere\n\n1 error\n",
        )

    def test_what_a_command_returns_is_the_exit_code(self, frob: Distributions) -> None:
        assert main(["frob", "some"]) == Exit.SOME_FAILED

    def test_interrupted(self, frob: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["frob", "stop"]) == Exit.INTERRUPTED
        assert capsys.readouterr() == ("", "interrupted\n")

    def test_a_bug_is_kept_in_a_file(
        self, frob: Distributions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        assert main(["frob", "raise"]) == Exit.BUG
        (kept,) = tmp_path.glob("d2f-bug-*.txt")
        assert capsys.readouterr() == (
            "",
            expect(f"""
            error[D2F000]: d2f failed in a way that it should not: ZeroDivisionError: division by zero
              --> {kept}
               = this is a bug in d2f; please report it with that file
               = to see the traceback here: D2F_DEBUG=1 before the command, or d2f --debug

            1 error
            """),
        )
        assert kept.read_text("utf-8").endswith("\nZeroDivisionError: division by zero\n")

    def test_a_bug_is_shown_on_request(
        self, frob: Distributions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setenv("D2F_DEBUG", "1")
        assert main(["frob", "raise"]) == Exit.BUG
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last):\n")
        assert "please report it with the traceback\n" in err
        assert list(tmp_path.glob("d2f-bug-*")) == []

    def test_debug_option(
        self, frob: Distributions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("D2F_DEBUG", "")
        assert main(["--debug", "frob", "raise"]) == Exit.BUG
        assert capsys.readouterr().err.startswith("Traceback (most recent call last):\n")

    def test_a_bug_of_our_own(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("D2F_DEBUG", "1")
        monkeypatch.setattr("d2f.plugins.catalog.Catalog.discover", lambda: 1 / 0)
        assert main(["plugin", "list"]) == Exit.BUG
        assert "error[D2F000]: d2f failed in a way that it should not: ZeroDivisionError" in capsys.readouterr().err

    def test_a_reader_that_left_is_no_error(self, distributions: Distributions) -> None:
        code = "import sys; from d2f.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "plugin", "list", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
        assert (process.returncode, said) == (Exit.BROKEN_PIPE, b"")

    def test_a_broken_plugin_that_nobody_wants_costs_one_line(
        self, frob: Distributions, capsys: pytest.CaptureFixture[str]
    ) -> None:
        frob.add_plugin("blink", "import no_such_module")
        frob.add_plugin("soft", stage_module("soft"))
        assert main(["frob", "discover"]) == 0
        assert capsys.readouterr() == (
            "discover\n",
            "warning[D2F201]: plugin 'blink' failed to load  "
            "--> entry point  blink = d2f_blink  (d2f-blink 1.2)  = see: d2f plugin list\n",
        )

    def test_one_that_is_wanted_is_told_once(self, frob: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        frob.add_plugin("blink", "import no_such_module")
        assert main(["frob", "want"]) == Exit.PLUGIN
        assert capsys.readouterr() == (
            "",
            expect("""
            error[D2F201]: detector 'blink' is not usable: plugin 'blink' failed to load
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = ModuleNotFoundError: No module named 'no_such_module'   at d2f_blink.py:1
               = to see the traceback: d2f plugin check blink

            1 error
            """),
        )


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


PROBLEMS = (
    Problem("D2F105", "the key 'detectors' is missing", Place("b.yaml")),
    Problem("D2F126", "no detector looks at it", Place("a.yaml", 9, 3), severity="warning"),
    Problem("D2F111", "unknown preprocessor 'sotf'", Place("a.yaml", 4, 8, "views", "  - use: sotf", 4), "unknown"),
)


class TestPrinting:
    def test_by_file_then_line_then_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        errors.print_problems(PROBLEMS)
        assert capsys.readouterr() == (
            "",
            expect("""
            error[D2F105]: the key 'detectors' is missing
              --> b.yaml

            error[D2F111]: unknown preprocessor 'sotf'
              --> a.yaml:4:8  at views
            4 |   - use: sotf
              |        ^^^^ unknown

            warning[D2F126]: no detector looks at it
              --> a.yaml:9:3

            2 errors, 1 warning
            """),
        )

    def test_nothing_for_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        errors.print_problems(())
        assert capsys.readouterr() == ("", "")

    def test_colours_on_a_terminal_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        bright, plain = Terminal(), Terminal()
        errors.print_problems(PROBLEMS, bright)  # type: ignore[arg-type]
        monkeypatch.setenv("NO_COLOR", "1")
        errors.print_problems(PROBLEMS, plain)  # type: ignore[arg-type]
        assert "\x1b[31m" in bright.text
        assert "\x1b" not in plain.text
        assert click.unstyle(bright.text) == plain.text


def test_an_error_holds_at_least_its_problems() -> None:
    error = D2FError(PROBLEMS)
    assert str(error).count("\n  --> ") == 3


class TestStreams:
    """What only a process of its own can show."""

    def test_letters_that_the_output_lacks(self, distributions: Distributions) -> None:
        distributions.add_plugin("soft", stage_module("soft").replace("nothing at all", "nothing → at all"))
        code = "import sys; from d2f.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "plugin", "list"]
        environment = {**os.environ, "PYTHONPATH": str(distributions.folder), "PYTHONIOENCODING": "latin-1"}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Does nothing ? at all." in done.stdout

    @pytest.mark.parametrize(("closed", "code_expected"), [(">&-", 1), ("2>&-", 0), ("<&-", 0), ("<&- >&- 2>&-", 1)])
    def test_a_result_that_has_nowhere_to_go_is_an_error(self, tmp_path: Path, closed: str, code_expected: int) -> None:
        code = "import sys; from d2f.cli.main import main; sys.exit(main())"
        command = f'"$0" -c "$1" plugin list {closed}'
        done = subprocess.run(
            ["bash", "-c", command, sys.executable, code], cwd=tmp_path, capture_output=True, timeout=60
        )
        assert done.returncode == code_expected
        if closed == ">&-":
            assert b"error[D2F004]: standard output is closed" in done.stderr

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    @pytest.mark.parametrize("command", ["plugin list", "--help", "chain show fast", "doctor"])
    def test_a_full_disk_is_no_bug(self, tmp_path: Path, command: str) -> None:
        code = "import sys; from d2f.cli.main import main; sys.exit(main())"
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", code, *command.split()],
                cwd=tmp_path,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        assert done.returncode == 1
        assert done.stderr.startswith(b"error[D2F004]: the output cannot be written: No space left on device\n")
