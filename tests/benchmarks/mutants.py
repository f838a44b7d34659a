"""Seeded mutants of the source, each run against the tests of its package: what share do the tests catch?

    python -m tests.benchmarks.mutants --count 100 --seed 1 -o mutants.jsonl

One small change at a time (a comparison, an operator, a constant, a condition) is written into a file of the working
tree, the tests named in `TESTS` run with ``-x``, and the file is put back. Again with the same output it goes on where
it stopped. The working tree must be clean.
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

ROOT = Path(__file__).resolve().parents[2]
TESTS: dict[str, tuple[str, ...]] = {
    "d2f/api": ("tests/unit/api", "tests/unit/chain", "tests/unit/engine"),
    "d2f/cache.py": ("tests/unit/test_cache.py", "tests/unit/evaluate"),
    "d2f/chain": ("tests/unit/chain", "tests/cli/test_chain_check.py", "tests/cli/test_chain_show.py"),
    "d2f/cli": ("tests/cli",),
    "d2f/data": ("tests/unit/data", "tests/cli/test_data.py"),
    "d2f/doctor.py": ("tests/unit/doctor", "tests/cli/test_doctor.py"),
    "d2f/engine": ("tests/unit/engine", "tests/cli/test_chain_run.py"),
    "d2f/evaluate": ("tests/unit/evaluate", "tests/cli/test_bench.py"),
    "d2f/files.py": ("tests/unit/test_files.py", "tests/unit/output"),
    "d2f/images": ("tests/unit/images",),
    "d2f/metrics": ("tests/unit/metrics",),
    "d2f/mlx_cpu": ("tests/unit/mlx_cpu",),
    "d2f/models": ("tests/unit/models",),
    "d2f/output": ("tests/unit/output", "tests/cli/test_resume.py"),
    "d2f/plugins": ("tests/unit/plugins", "tests/cli/test_plugin.py"),
    "d2f/progress.py": ("tests/cli/test_run_terminal.py", "tests/cli/test_train_network.py"),
    "d2f/report": ("tests/unit/report", "tests/unit/evaluate"),
    "d2f/scaffold": ("tests/unit/scaffold",),
    "d2f/testing": ("tests/unit/testing",),
    "d2f/train": ("tests/unit/train", "tests/cli/test_train.py"),
    "d2f/weights": ("tests/unit/weights",),
    "plugins": ("tests/plugins",),
}
COMPARED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}


class Mutation(ast.NodeTransformer):
    """Counts the places that can be changed, and changes the one with number `target`."""

    def __init__(self, target: int = -1) -> None:
        self.count, self.target, self.done = 0, target, ""

    def _hit(self, words: str, node: ast.AST) -> bool:
        self.count += 1
        if self.count - 1 != self.target:
            return False
        self.done = f"line {getattr(node, 'lineno', 0)}: {words}"
        return True

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
    for package in TESTS:
        root = ROOT / package
        files = [root] if root.is_file() else sorted(root.rglob("*.py")) if root.is_dir() else []
        for file in files:
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


def run(package: str, file: Path, number: int, limit: float) -> dict[str, object]:
    """Write one mutant, run its tests, put the file back."""
    text = file.read_text("utf-8")
    mutation = Mutation(number)
    tree = ast.fix_missing_locations(mutation.visit(ast.parse(text)))
    tests = [name for name in TESTS[package] if (ROOT / name).exists()]
    if package == "plugins":
        stem = file.parent.name.removeprefix("d2f_")
        tests = sorted(str(path) for path in (ROOT / "tests/plugins").glob(f"test_{stem}*.py")) or ["tests/contract"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    begun = time.monotonic()
    try:
        file.write_text(ast.unparse(tree), "utf-8")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
        caught, last = done.returncode != 0, (done.stdout.strip().splitlines() or [""])[-1]
    except subprocess.TimeoutExpired:
        caught, last = True, "time limit"
    finally:
        file.write_text(text, "utf-8")
    seconds = round(time.monotonic() - begun, 1)
    return {"package": package, "file": file.relative_to(ROOT).as_posix(), "place": number, "change": mutation.done,
            "caught": caught, "last": last, "seconds": seconds}  # fmt: skip


def main() -> None:
    """Run the mutants and print what was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a mutant may take; more counts as caught")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout:
        sys.exit("the working tree has changes: commit them first")
    rows = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.exists() else []
    before = {(row["file"], row["place"]) for row in rows}
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for package, file, number in drawn(given.count, given.seed):
        if (file.relative_to(ROOT).as_posix(), number) in before:
            continue
        row = run(package, file, number, given.limit)
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
