"""Virtual environments for one test: they see the packages of this one, and keep what is installed to themselves."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMANDS = {
    "pip": "import sys; from pip._internal.cli.main import main; sys.exit(main())",
    "pytest": "import sys; from pytest import main; sys.exit(main())",
    "d2f": "import sys; from d2f.cli.main import main; sys.exit(main())",
}
"""Programs that an environment is given, and what each runs."""

PIP = {
    # pip reads "no build isolation: false" as "no build isolation"; setuptools is found outside.
    "PIP_NO_BUILD_ISOLATION": "false",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Parameters
    ----------
    folder : Path
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, *, with_d2f: bool) -> Environment:
        """Make an environment that sees the packages that this Python sees.

        Parameters
        ----------
        folder : Path
            Made.
        with_d2f : bool
            Whether the d2f under test is there, as it is installed here. Otherwise the packages are there without
            what `.pth` files add, and with them an editable d2f, and without the command `d2f`.
        """
        venv.EnvBuilder(symlinks=True).create(folder)
        made = cls(folder)
        outer = list(dict.fromkeys(sysconfig.get_paths()[key] for key in ("purelib", "platlib")))
        lines = [f"import site; site.addsitedir({path!r})" if with_d2f else path for path in outer]
        (made.site_packages / "outer.pth").write_text("\n".join([*lines, ""]), "utf-8")
        for name, program in COMMANDS.items():
            if with_d2f or name != "d2f":
                made._add_command(name, program)
        return made

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return self.folder / "bin"

    @property
    def site_packages(self) -> Path:
        """The folder of its own packages."""
        base = str(self.folder)
        return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the process environment of somebody who has activated it."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("D2F_", "PIP_", "PYTEST", "PYTHON"))
        }
        path = os.pathsep.join([str(self.bin), kept.get("PATH", "")])
        return {**kept, **PIP, "PATH": path, "VIRTUAL_ENV": str(self.folder), **(more or {})}

    def run(self, *command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs; what it prints on both streams is in `stdout`."""
        program = [str(self.bin / command[0]), *command[1:]]
        return subprocess.run(
            program,
            cwd=cwd,
            env=self.variables({"COLUMNS": "100", "NO_COLOR": "1", **more}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=600,
            check=False,
        )

    def _add_command(self, name: str, program: str) -> None:
        script = self.bin / name
        script.write_text(f"#!{self.bin / Path(sys.executable).name}\n{program}\n", "utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
