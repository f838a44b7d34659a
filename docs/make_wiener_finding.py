"""Write docs/research/the-wiener-finding.md: whether one Wiener filter beats the founder's network, and the chains.

    python docs/make_wiener_finding.py founder $D2F_DATA/val measured

`founder` holds the manifests of make_founding.py and the trained weights. docs/research/founder.yaml, a chain of the
network alone, and docs/research/founder-statistics.yaml, one of noise statistics in its place, are benched there on
images as they were found: those that they were trained on, others of the same sources, and whole pictures of other
sources; a finished bench is read. `measured` is the finished bench of
make_measured.py, or several of other chains; without any, the page tells of the network alone. The sentences are chosen
from the figures by rule.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple, TypeAlias

from make_measured import whole_pictures

from d2f.api.errors import D2FError
from d2f.api.inputs import ProtocolName
from d2f.chain.chain import load_chain
from d2f.evaluate.bench import JSON, SCORES, read_result
from d2f.plugins.catalog import Catalog
from d2f.report.tables import Bounded, markdown_table, with_bounds
from d2f.train.read import read_recipe
from d2f.weights import read_weights

PAGE = Path(__file__).resolve().parent / "research" / "the-wiener-finding.md"
RECIPE = PAGE.parents[2] / "plugins" / "d2f_resnet" / "founder.yaml"
OWN = [str(PAGE.with_name(name)) for name in ("founder.yaml", "founder-statistics.yaml")]
CHAINS = ("single", "robust", "deep")
CLEAN, FILTERED, NOISY = "clean", "wiener 7x7", "wiener 7x7 + noise"
COPIES = {CLEAN: "", FILTERED: "wiener:window=7", NOISY: "wiener:window=7+noise:sigma=2"}
"""Attacks, each a SPEC, by the name that the page calls their copy."""
PARTS = {
    "training": ("trained on", {CLEAN: ""}),
    "same": ("same sources, held out", COPIES),
    "turned": ("the other label of the same collections", {CLEAN: ""}),
    "others": ("other sources", COPIES),
}
"""The sets that the founder's network is benched on: what the page calls them, and their copies."""
SIDES = {
    "": (),
    "real": ("true_positive",),
    "generated": ("true_negative",),
    "both": ("true_positive", "true_negative"),
}
"""Whose share right falls, by the label that the filter pushes images to; `both`: each label to the other."""
NEARLY, ALL, LITTLE = 0.90, 0.95, 0.05
"""Least share of "nearly every", of either label; of "all"; a change that is no larger counts as none."""
EVASION, ALARMS = 0.10, 0.04
"""What a chain that survives the filter loses at most: the milestones of make_measured.py."""
COMMAND = "import sys; from d2f.cli.main import main; sys.exit(main())"
"""The `d2f` of this very Python, in a process of its own: it sets up the arithmetic before anything is imported."""

PAGE_TEXT = """# The Wiener finding

**{headline}**

What is told: a ResNet trained on balanced tiles of 224 pixels was right on nearly every unseen image of its sources,
until a 7x7 Wiener filter (MATLAB's `wiener2`) was applied; then it was wrong on all, and adding noise did not help.

## The founder's network

{network}

{network_table}

{statistics}Right: on the right side of even odds; an image that a detector abstains on is on neither. Brackets are
{level:.0f} % intervals over draws of whole collections.

{chains}## How it was made

Of the listed pictures, collections with at least 20 of a label, each image as it was found: its own pixels, format and
compression. As most sets are put together, a source has one label: of a collection with both, the one of which fewer
images were taken before. Two tenths of the images are held out, one tenth was watched; where a photograph and its
re-creations are known they are on one side, and so are near-duplicates. Earlier runs:
[Founding experiments](founding-experiments.md).

    d2f data fetch docs/research/founder-sources.csv pictures
    python docs/make_founding.py sources pictures founder
    python docs/resnet_torch.py plugins/d2f_resnet/founder.yaml -o founder/founder.safetensors
    d2f train plugins/d2f_noise_statistics/founder.yaml -o founder/statistics.safetensors
    python docs/make_wiener_finding.py founder $D2F_DATA/val measured{hours}

{made}
"""

STATISTICS_TEXT = """## Noise statistics in its place

{said}

{table}

"""

CHAINS_TEXT = """## The chains

{chains}

{chains_table}

*Escaped*: of all generated images, those called so clean and not filtered. *New alarms*: of all photographs, those
called generated only filtered. Of {whole} pictures that no chain was fitted to, under the protocol `whole`.

"""

Copies: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Benched:
    """A chain in a finished bench; its figures by copy and name."""

    name: str
    digest: str
    result: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Bounded]]

    def of(self, figure: str, copy: str = CLEAN) -> float:
        """Return a figure's value on one copy."""
        return float(self.figures[copy][figure][0] or 0.0)

    def rise(self, figure: str, copy: str, since: str = CLEAN) -> float:
        """Return how much greater a figure is on one copy than on another."""
        return self.of(figure, copy) - self.of(figure, since)


class Own(NamedTuple):
    """What was trained on the founder's sources: its benches by part, and what its weights file says of itself."""

    parts: dict[str, Benched]
    facts: Mapping[str, str]


def read(folder: str | Path, protocol: ProtocolName, chains: Mapping[str, str], copies: Copies) -> list[Benched]:
    """Return the systems of a finished bench whose names and digests are among `chains`."""
    result = read_result(str(folder))
    named = {attack["spec"]: attack["name"] for attack in result["attacks"]}
    lacking = [f"without the attack {spec}" for spec in copies.values() if spec not in named]
    if result["protocol"] != protocol or lacking:
        what = lacking[0] if lacking else f"under the protocol {result['protocol']}"
        raise D2FError.of("D2F006", f"the bench in '{folder}' does not serve: it was made {what}")
    return [
        Benched(name, digest, result, {copy: one["figures"][named[spec]] for copy, spec in copies.items()})
        for one in result["systems"]
        if chains.get(name := one["name"]) == (digest := one.get("digest", ""))
    ]


def network(facts: Mapping[str, str], hours: float | None, parts: Mapping[str, Benched]) -> Iterator[str]:
    """Yield what was trained, and whether it is right, where, and what the filter and the noise do.

    `facts` are what the weights file says of its training.
    """
    recipe: Any = read_recipe(RECIPE, Catalog.discover())
    trained, same, other_label, others = (parts[part] for part in PARTS)
    epochs, took = int(facts["epoch"]), f" and {hours:.1f} hours of a core" if hours else ""
    yield (
        f"ResNet-44 learnt from {facts['images']} images of {facts['collections']} collections: "
        f"{epochs * recipe.balance.tiles:,} tiles, as many of each label, in {epochs} epochs{took}. "
        f"Of the images that it was trained on it is right on {share(trained.of('balanced_accuracy'))} (mean of both "
        "labels)."
    )
    if trained.of("balanced_accuracy") < ALL:
        yield "So it has not learnt even those, and the training is unfinished."
    yield from held_out(same, other_label, others)


def statistics(facts: Mapping[str, str], parts: Mapping[str, Benched]) -> Iterator[str]:
    """Yield the same of noise statistics: what looks at single pixels learns such sources in minutes."""
    trained, same, other_label, others = (parts[part] for part in PARTS)
    yield (
        f"Noise statistics with a linear layer, fitted to {facts['images']} images of {facts['collections']} "
        "collections without laundering, see what a network needs many more updates for. Of those they are right on "
        f"{share(trained.of('balanced_accuracy'))} (mean of both labels)."
    )
    yield from held_out(same, other_label, others)


def held_out(same: Benched, other_label: Benched, others: Benched) -> Iterator[str]:
    """Say what is right where, and what filter and noise do."""
    yield f"On held-out images of the same sources {right(same)}."
    yield from (turned(same), *noise(same))
    yield f"On what the same collections have of the other label {right(other_label)}."
    yield f"On other sources {right(others)}."


def right(found: Benched) -> str:
    """Say how many images of either label are told rightly, clean."""
    generated, real = (found.of(figure) for figure in SIDES["both"])
    least = min(generated, real)
    few = "most of one label, not of the other"
    how = "nearly all images" if least >= NEARLY else "most images" if least > 0.5 else few
    return f"{how} are told rightly: {share(generated)} of the generated ones, {share(real)} of the photographs"


def push(found: Benched) -> str:
    """Return a key of `SIDES`: where the filter pushes."""
    fallen = tuple(figure for figure in SIDES["both"] if found.rise(figure, FILTERED) < -LITTLE)
    return next(label for label, figures in SIDES.items() if figures == fallen)


def wrong_on_all(found: Benched) -> bool:
    """Say whether the filter makes a network wrong on all images of the label that it pushes away from."""
    figures = SIDES[push(found)]
    return bool(figures) and all(found.of(figure, FILTERED) <= 1 - ALL for figure in figures)


def turned(found: Benched) -> str:
    """Say which images the filter turns, in which direction, and whether their order survives."""
    how_many = "all" if wrong_on_all(found) else "some"
    says = {
        "": "The filter turns neither label",
        "both": f"The filter turns {how_many} images of either label into the other",
        "real": f"The filter pushes towards `real`: {how_many} generated images are no longer found",
        "generated": f"The filter pushes towards `generated`: {how_many} photographs are called so",
    }
    sides = " and ".join(share(found.of(figure, FILTERED)) for figure in SIDES["both"])
    order = "is lost too" if found.rise("auc", FILTERED) < -LITTLE else "stays"
    areas = f"AUC {found.of('auc'):.3f} clean, {found.of('auc', FILTERED):.3f} filtered"
    return f"{says[push(found)]} (right on {sides}). The order of the images {order} ({areas})."


def noise(found: Benched) -> Iterator[str]:
    """Say whether noise on top of the filter brings back what the filter took."""
    lost, back = -found.rise("balanced_accuracy", FILTERED), found.rise("balanced_accuracy", NOISY, FILTERED)
    if lost > LITTLE:
        part = "most of it" if back > lost / 2 else "some of it" if back > LITTLE else "nothing"
        sides = " and ".join(share(found.of(figure, NOISY)) for figure in SIDES["both"])
        yield f"Adding noise brings {part} back: right on {sides}."


def headline(same: Benched, who: str = "the founder's network is", whose: str = "its") -> str:
    """Say in one sentence what of the finding comes out."""
    nearly, beaten = min(same.of(figure) for figure in SIDES["both"]) >= NEARLY, wrong_on_all(same)
    comes = ("The finding does not come out", "Half of the finding comes out", "The finding comes out")[nearly + beaten]
    first = f"{'' if nearly else 'not '}right on nearly every held-out image of {whose} sources"
    all_of = {"real": "generated images", "generated": "photographs"}.get(push(same), "images")
    then = f"makes all {all_of} wrong" if beaten else "does not turn all of them"
    return f"{comes}: {who} {first}, {'but' if nearly != beaten else 'and'} one filter {then}."


def stands(found: Benched) -> str:
    """Say whether a chain survives the filter: its order, its finds and its false alarms."""
    escaped, alarms = found.of("evasion", FILTERED), found.of("new_false_alarms", FILTERED)
    survives = found.rise("auc", FILTERED) >= -LITTLE and escaped <= EVASION and alarms <= ALARMS
    areas = f"AUC {found.of('auc'):.3f} clean and {found.of('auc', FILTERED):.3f} filtered"
    does = "survives" if survives else "does not survive"
    finds = f"{share(found.of('true_positive'))} of generated images found clean"
    return f"`{found.name}` {does} the filter: {areas}; {finds}, {share(escaped)} escaped; {share(alarms)} new alarms."


def network_table(parts: Mapping[str, Benched]) -> list[str]:
    """Return a row for each set and copy."""
    rows = [
        (PARTS[part][0], str(found.result["data"]["images"]), copy, *cells(found, copy, SIDES["both"]))
        for part, found in parts.items()
        for copy in found.figures
    ]
    return markdown_table(("images", "number", "copy", "generated right", "photographs right", "AUC"), rows)


def chains_table(chains: Iterable[Benched]) -> list[str]:
    """Return a row for each chain and copy."""
    shares = {
        "generated found": "true_positive",
        "called real": "miss",
        "false alarms": "false_positive",
        "inconclusive": "inconclusive",
        "escaped": "evasion",
        "new alarms": "new_false_alarms",
    }
    rows = [(found.name, copy, *cells(found, copy, shares.values())) for found in chains for copy in found.figures]
    return markdown_table(("chain", "copy", *shares, "AUC"), rows)


def cells(found: Benched, copy: str, shares: Iterable[str]) -> Iterator[str]:
    """Yield shares in per cent and the AUC, each with its interval; nothing where a copy is compared with itself."""
    for name in shares:
        value, low, high = found.figures[copy][name][:3]
        interval = "" if low is None or high is None else f" [{100 * low:.0f}, {100 * high:.0f}]"
        itself = copy == CLEAN and name in ("evasion", "new_false_alarms")
        yield "" if itself or value is None else f"{share(value)}{interval}"
    yield with_bounds(found.figures[copy]["auc"])


def share(value: float) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.1f} %"


def page(owns: Sequence[Own], hours: float | None, chains: Sequence[Benched]) -> str:
    """Return the page, from the benches of the founder's network, of what stands in its place, and of the chains."""
    first, *others = owns
    same = first.parts["same"]
    digests = ", ".join(f"`{one.name}` {one.digest[:12]}" for one in (*(own.parts["same"] for own in owns), *chains))
    made = f"Made on {same.result['date']} with d2f {same.result['d2f']}; digests (`d2f chain show NAME`): {digests}."
    said = {
        "chains": wrapped(" ".join(map(stands, chains))),
        "chains_table": "\n".join(chains_table(chains)),
        "whole": " or ".join(sorted({str(one.result["data"]["images"]) for one in chains})),
    }
    whole = [headline(same), *(headline(own.parts["same"], "noise statistics are", "their") for own in others)]
    texts = [(" ".join(statistics(own.facts, own.parts)), network_table(own.parts)) for own in others]
    return PAGE_TEXT.format(
        headline=wrapped(" ".join(whole)),
        network=wrapped(" ".join(network(first.facts, hours, first.parts))),
        network_table="\n".join(network_table(first.parts)),
        statistics="".join(STATISTICS_TEXT.format(said=wrapped(text), table="\n".join(table)) for text, table in texts),
        level=100 * same.result["level"],
        hours=f" --hours {hours}" if hours else "",
        chains=CHAINS_TEXT.format(**said) if chains else "",
        made=wrapped(made),
    )


def wrapped(text: str) -> str:
    """Return text in lines of the page's width."""
    return fill(text, 118, break_long_words=False, break_on_hyphens=False)


def bench(chains: Sequence[str], data: Path, folder: Path, attacks: Iterable[str]) -> None:
    """Bench chains on images as they were found, unless the folder holds a finished bench."""
    if (folder / JSON).exists() and not (folder / SCORES).exists():
        return
    options = ["--data", str(data), "--protocol", "as-found", "--workers", "1", "-o", str(folder)]
    options += ["--resume"] * (folder / SCORES).exists()
    options += [word for spec in attacks for word in (("--attack", spec) if spec else ("--grid", "none"))]
    code = subprocess.run([sys.executable, "-c", COMMAND, "bench", *chains, *options], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


def make(given: argparse.Namespace) -> None:
    """Bench what was not benched yet, and write the page."""
    folder, loaded = Path(given.folder), [load_chain(chain) for chain in given.own]
    owns = [Own({}, read_weights(own.plan.detectors[0].stage.weights[0]).metadata) for own in loaded]
    digests = {own.name: own.digest for own in loaded}
    images = {part: folder / f"{part}.csv" for part in PARTS}
    images["others"] = whole_pictures(given.data, folder / "others")
    gone = list[str]()
    for part, (_, copies) in PARTS.items():
        bench(given.own, images[part], folder / part, copies.values())
        found = {one.name: one for one in read(folder / part, "as-found", digests, copies)}
        gone += [f"{name} ({part})" for name in digests if name not in found]
        for own, name in zip(owns, digests, strict=True):
            if name in found:
                own.parts[part] = found[name]
    shipped = {chain.name: chain.digest for chain in map(load_chain, given.names if given.chains else ())}
    chains = {one.name: one for place in given.chains for one in read(place, "whole", shipped, COPIES)}
    if gone := gone + sorted(shipped.keys() - chains):
        raise D2FError.of("D2F006", f"no bench holds scores of these chains as they are now: {', '.join(gone)}")
    Path(given.output).write_text(page(owns, given.hours, [chains[name] for name in shipped]), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where the manifests and weights are, and benches are kept")
    parser.add_argument("data", help="folder or manifest of labelled images of other sources")
    parser.add_argument("chains", nargs="*", help="finished benches of the chains, made under the protocol whole")
    parser.add_argument(
        "--own", nargs="+", default=OWN, help="chains of the founder's network and of what stands in its place"
    )
    parser.add_argument("--names", nargs="+", default=CHAINS, help="the chains that the page tells of")
    parser.add_argument("--hours", type=float, help="what the training took, of one core")
    parser.add_argument("-o", "--output", default=str(PAGE), help="the page")
    try:
        make(parser.parse_args(arguments))
    except D2FError as error:
        print(error, file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
