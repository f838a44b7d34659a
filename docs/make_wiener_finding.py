"""Write docs/research/the-wiener-finding.md: whether one Wiener filter beats a chain, measured now.

    python docs/make_wiener_finding.py $D2F_DATA/val wiener

runs `d2f bench` with the chains clean, under the filter, and under the filter with noise on top into the folder
`wiener` (again with the same folder: it goes on where it stopped), and writes the page and its chart. A folder that
holds a finished bench of the same chains and images, such as that of make_measured.py, is read, and nothing is scored.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wiener_finding.benched import ATTACKS, read, refusal
from wiener_finding.chart import draw
from wiener_finding.page import page

from d2f.api.errors import D2FError
from d2f.chain.chain import Chain, load_chain
from d2f.data.dataset import limited, load_dataset
from d2f.evaluate.bench import JSON, SCORES, read_result
from d2f.plugins.catalog import Catalog
from d2f.weights.sources import located, missing_weights

PAGE = Path(__file__).resolve().parent / "research" / "the-wiener-finding.md"
CHAINS = ("single", "robust", "deep")
COMMAND = "import sys; from d2f.cli.main import main; sys.exit(main())"
"""The `d2f` of this very Python, in a process of its own: it sets up the arithmetic before anything is imported."""


def lacking(chain: Chain) -> str:
    """Return why a chain cannot be measured here: weights that are not on this machine; empty where all are."""
    steps = (step.stage for view in chain.plan.views.values() for step in view)
    for stage in (*(detector.stage for detector in chain.plan.detectors), *steps):
        for record in getattr(stage, "weights", ()):
            if located(record) is None:
                fetch = [note for note in missing_weights(record).notes if note.startswith("to fetch")]
                where = f"the weights '{record.name}' were not on the machine that made this page"
                return f"{where} ({fetch[0].replace(': ', ': `')}`)" if fetch else where
    return ""


def scored(given: argparse.Namespace, names: Sequence[str], chains: Sequence[Chain]) -> int:
    """See to it that the folder holds a finished bench of these chains; return an exit code, 0 or 1 if it does."""
    folder, options = Path(given.folder), list(_options(given))
    if (folder / SCORES).exists():
        options.append("--resume")
    elif (folder / JSON).exists():
        images = load_dataset(given.data)
        why = refusal(read_result(given.folder), chains, limited(images, given.limit) if given.limit else images)
        if not why:
            return 0
        if not given.overwrite:
            note = "choose another folder, or replace it with --overwrite"
            raise D2FError.of("D2F004", f"'{given.folder}' holds another bench: {why}", note)
        options.append("--overwrite")
    return subprocess.run([sys.executable, "-c", COMMAND, "bench", *names, *options], check=False).returncode


def _options(given: argparse.Namespace) -> Iterator[str]:
    yield from ("--data", given.data, "--protocol", "crop", "--workers", given.workers, "--draws", given.draws)
    yield from ("-o", given.folder)
    for spec in ATTACKS.values():
        yield from ("--attack", spec)
    if given.limit:
        yield from ("--limit", str(given.limit))
    if given.cache:
        yield from ("--cache", given.cache)


def make(given: argparse.Namespace, catalog: Catalog | None = None) -> int:
    """Measure and write; stages of the chains are looked up in `catalog`, by default in what is installed."""
    loaded = {name: load_chain(name, catalog=catalog) for name in given.chains}
    reasons = {name: lacking(chain) for name, chain in loaded.items()}
    chains = {name: chain for name, chain in loaded.items() if not reasons[name]}
    if not chains:
        told = tuple(f"{name}: {why}" for name, why in reasons.items())
        raise D2FError.of("D2F502", "no chain is left to measure", *told)
    if not given.page:
        code = scored(given, list(chains), list(chains.values()))
        if code not in (0, 1):
            return code
    benched = read(Path(given.folder), list(chains.values()))
    output = Path(given.output)
    picture = output.with_suffix(".svg")
    draw(benched.judged, benched.labels, picture)
    command = f"python docs/make_wiener_finding.py {given.called} wiener"
    if tuple(given.chains) != CHAINS:
        command += f" --chains {' '.join(chain.name for chain in loaded.values())}"
    if limit := benched.result["data"].get("limit"):
        command += f" --limit {limit}"
    left_out = {loaded[name].name: why for name, why in reasons.items() if why}
    output.write_text(page(benched, given.called, command, left_out, picture.name), "utf-8")
    return 0


def main(arguments: Sequence[str] | None = None, catalog: Catalog | None = None) -> int:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder or manifest of labelled images")
    parser.add_argument("folder", help="where the bench keeps its files")
    parser.add_argument("--chains", nargs="+", default=CHAINS, metavar="CHAIN", help="the finding is told of the first")
    parser.add_argument("--page", action="store_true", help="write the page only, of a bench that has run")
    parser.add_argument("--called", default="$D2F_DATA/val", help="what the page calls the images' folder")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--draws", default="1000", help="bootstrap draws")
    parser.add_argument("--limit", type=int, help="take so many images only, drawn by seed")
    parser.add_argument("--cache", metavar="DIR", help="store scores and features there, as `d2f bench` does")
    parser.add_argument("--overwrite", action="store_true", help="replace another bench that the folder holds")
    parser.add_argument(
        "-o", "--output", default=str(PAGE), metavar="PAGE", help="the page; its chart stands beside it"
    )
    given: Any = parser.parse_args(arguments)
    try:
        return make(given, catalog)
    except D2FError as error:
        print(error, file=sys.stderr)
        return error.exit


if __name__ == "__main__":
    sys.exit(main())
