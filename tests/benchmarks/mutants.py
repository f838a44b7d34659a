"""Seeded mutants of the source, each run against the tests that reach its line: what share do they catch?

    pip install pytest-cov
    python -m pytest --cov=d2f --cov=plugins --cov-context=test --cov-report= --junitxml=.mutants.xml
    python -m tests.benchmarks.mutants --count 100 --seed 1 -o mutants.jsonl

The first run notes which test reaches which line, and how long it takes. Then one small change at a time (a comparison,
an operator, a constant, a condition) in a line that some function holds is written into a file of the working tree, the
tests that reach the line are run with ``-x``, the fastest first, as many as fit into `--seconds`, and the file is put
back. A mutant that no test reaches is missed. Again with the same output it goes on where it stopped. The working tree
must be clean.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "d2f").iterdir() if (path / "__init__.py").exists()),
    *sorted(f"d2f/{path.name}" for path in (ROOT / "d2f").glob("*.py") if path.stem not in ("__init__", "version")),
    "plugins",
)
COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}


class Mutation(ast.NodeTransformer):
    """Counts the places that can be changed, and changes the one with number `target`."""

    def __init__(self, target: int = -1) -> None:
        self.count, self.target, self.done, self.line, self.depth = 0, target, "", 0, 0

    def _hit(self, words: str, node: ast.AST) -> bool:
        if not self.depth:
            return False
        self.count += 1
        if self.count - 1 != self.target:
            return False
        self.line = getattr(node, "lineno", 0)
        self.done = f"line {self.line}: {words}"
        return True

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Change what functions do, not their defaults or what modules declare."""
        self.depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self.depth -= 1
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Turn a comparison round at its edge."""
        self.generic_visit(node)
        other = COMPARED.get(type(node.ops[0]))
        if other is not None and self._hit(f"{ast.unparse(node)} -> {other.__name__}", node):
            node.ops[0] = other()
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Take another operator."""
        self.generic_visit(node)
        other = COMPUTED.get(type(node.op))
        if other is not None and self._hit(f"{ast.unparse(node)} -> {other.__name__}", node):
            node.op = other()
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Swap `and` and `or`."""
        self.generic_visit(node)
        if self._hit(f"{ast.unparse(node)} -> other", node):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Add one to a number, or turn a truth value round."""
        if isinstance(node.value, bool):
            if self._hit(f"{node.value} -> {not node.value}", node):
                return ast.copy_location(ast.Constant(not node.value), node)
        elif isinstance(node.value, int | float) and self._hit(f"{node.value} + 1", node):
            return ast.copy_location(ast.Constant(node.value + 1), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """Negate a condition."""
        self.generic_visit(node)
        if ast.unparse(node.test) != "TYPE_CHECKING" and self._hit(f"if not ({ast.unparse(node.test)})", node):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        return node


def drawn(count: int, seed: int) -> Iterator[tuple[str, Path, int]]:
    """Yield (package, file, place), the packages in turn."""
    dice = random.Random(seed)
    places: dict[str, list[tuple[Path, int]]] = {}
    for package in PACKAGES:
        root = ROOT / package
        for file in [root] if root.is_file() else sorted(root.rglob("*.py")):
            mutation = Mutation()
            mutation.visit(ast.parse(file.read_text("utf-8")))
            places.setdefault(package, []).extend((file, number) for number in range(mutation.count))
    for found in places.values():
        dice.shuffle(found)
    taken = 0
    while taken < count and any(places.values()):
        for package, found in places.items():
            if found and taken < count:
                yield package, *found.pop()
                taken += 1


class Reached:
    """Which tests reach a line, the fastest first."""

    def __init__(self, coverage: Path, times: Path) -> None:
        from coverage import CoverageData

        self.data = CoverageData(str(coverage))
        self.data.read()
        self.seconds = {
            f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": float(case.get("time", 0))
            for case in ElementTree.parse(times).iter("testcase")
        }

    def tests(self, file: Path, line: int, seconds: float) -> list[str]:
        """Return node ids of tests that reach a line and together take at most `seconds`, one at least."""
        reached = self.data.contexts_by_lineno(str(file)).get(line, [])
        names = {name.partition("|")[0] for name in reached if "::" in name}
        ordered = sorted(names, key=lambda name: (self.seconds.get(name, 60.0), name))
        chosen, total = [], 0.0
        for name in ordered:
            total += self.seconds.get(name, 60.0)
            if chosen and total > seconds:
                break
            chosen.append(name)
        return chosen


def run(file: Path, number: int, reached: Reached, seconds: float) -> dict[str, object]:
    """Write one mutant, run the tests that reach it, put the file back."""
    text = file.read_text("utf-8")
    mutation = Mutation(number)
    tree = ast.fix_missing_locations(mutation.visit(ast.parse(text)))
    tests = reached.tests(file, mutation.line, seconds)
    row = {"file": file.relative_to(ROOT).as_posix(), "place": number, "change": mutation.done, "tests": len(tests)}
    if not tests:
        return {**row, "caught": False, "last": "no test reaches it", "seconds": 0.0}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    begun = time.monotonic()
    try:
        file.write_text(ast.unparse(tree), "utf-8")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20 * seconds, check=False)
        caught, last = done.returncode != 0, (done.stdout.strip().splitlines() or [""])[-1]
    except subprocess.TimeoutExpired:
        caught, last = True, "does not end"
    finally:
        file.write_text(text, "utf-8")
    return {**row, "caught": caught, "last": last, "seconds": round(time.monotonic() - begun, 1)}


def main() -> None:
    """Run the mutants and print what was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests a mutant; 20 times as long does not end")
    parser.add_argument("--coverage", type=Path, default=ROOT / ".coverage")
    parser.add_argument("--times", type=Path, default=ROOT / ".mutants.xml")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    if subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, check=True).stdout:
        sys.exit("the working tree has changes: commit them first")
    reached = Reached(given.coverage, given.times)
    rows = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.exists() else []
    before = {(row["file"], row["place"]) for row in rows}
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for package, file, number in drawn(given.count, given.seed):
        if (file.relative_to(ROOT).as_posix(), number) in before:
            continue
        row = {"package": package, **run(file, number, reached, given.seconds)}
        rows.append(row)
        with given.output.open("a", encoding="utf-8") as output:
            output.write(json.dumps(row) + "\n")
        print("caught " if row["caught"] else "MISSED ", row["file"], row["change"], row["seconds"], flush=True)
    every, caught = Counter(row["package"] for row in rows), Counter(row["package"] for row in rows if row["caught"])
    for package, count in every.items():
        print(f"{package:20} {caught[package]:3} of {count:3}")
    print(f"{sum(caught.values())} of {len(rows)} caught, {sum(caught.values()) / max(1, len(rows)):.0%}")


if __name__ == "__main__":
    main()
