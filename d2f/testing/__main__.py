"""`python -m d2f.testing labelled-set FOLDER`: what tests use, for a person who tries things out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from d2f.testing import write_labelled_set


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a tiny labelled set."""
    parser = argparse.ArgumentParser("python -m d2f.testing")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    writes = commands.add_parser("labelled-set", help="write a tiny set of simulated pictures of both labels")
    writes.add_argument("folder", metavar="FOLDER")
    writes.add_argument("count", metavar="COUNT", type=int, nargs="?", default=12, help="pictures of each label")
    writes.add_argument("--seed", type=int, default=0, help="sets of different seeds share no picture")
    given = parser.parse_args(arguments)
    root = write_labelled_set(given.folder, given.count, seed=given.seed)
    print(f"wrote {given.count} real and {given.count} generated pictures to {root}")


if __name__ == "__main__":
    main()
