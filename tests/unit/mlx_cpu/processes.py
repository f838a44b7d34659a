"""Python code run in a process of its own, where MLX is not yet imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code; the switches of d2f are those given and no others."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("D2F_")}
    arguments = [sys.executable, "-W", "always", "-c", code]
    return subprocess.run(arguments, env=variables | environment, capture_output=True, text=True, timeout=120)


def printed(code: str, **environment: str) -> Any:
    """Run code that ends well and prints one JSON value; return that."""
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
