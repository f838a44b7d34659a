"""The page, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

from d2f.evaluate.systems import ATTACKED
from wiener_finding.benched import Benched, Judged
from wiener_finding.directions import added_sentences, push_sentences
from wiener_finding.finding import against, escapes, first_paragraph, laying, never_right, noise, ranking, shift
from wiener_finding.left_out import added
from wiener_finding.numbers import listed
from wiener_finding.pushes import pushes
from wiener_finding.shares import Shares, measured
from wiener_finding.tables import added_table, push_table, side_by_side

SHIPPED = "single"
"""The chain whose network `WHY` speaks of."""

TOLD = """\
What is told: a ResNet trained on balanced tiles of 224 pixels was right on nearly every unseen image, until a 7x7
Wiener filter (MATLAB's `wiener2`) was applied to them; then it was wrong on all of them, and adding noise back did
not help. A published detector was seen to be pushed too, and in opposite directions: after the filter it took
photographs for generated ones, after JPEG generated images for real ones."""

WHY = """\
Why: the network of `single` learnt for 480 updates on a processor, from a few thousand images, and its first layer
takes 4x4 pixels at once ([Experiments](experiments.md#resnet)). What a 7x7 filter takes away are traces finer than
that. A network that has hardly learnt any has none to lose, and on pictures from other hands it was never right to
begin with."""

MADE = """\
from {images} images{drawn} of `{root}` ({real} photographs, {generated} generated, {components} components of hands and
near-duplicates; digest `{digest}`) under the protocol `crop`: both kinds cropped to the centre 320 pixels and
encoded by one rule, then the filter applied, `wiener:window=7` or `wiener:window=7+noise:sigma=2`, and its pixels
handed to the chain, whose own views follow. Each image was scored once clean and once under either filter; all
figures are put together from those scores, and the sentences are chosen from the figures by rule. Brackets are
{level:.0f} % intervals over {draws} draws of components; a change is said to show where its interval, taken on the
same draws, leaves out zero."""

SIDE_BY_SIDE = """\
*Accuracy* is that of the verdicts at the chain's own thresholds, mean of both kinds, `inconclusive` counted as
wrong. *Still called so*, *escaped* and *newly called real* are shares of all generated images: called `generated`
clean and filtered; called so clean and not filtered, `inconclusive` counted as an escape; called `real` filtered
and not clean. A filter over one kind leaves the other clean."""

DRAWN = """\
The chains' log-odds, clean and filtered, of photographs and of generated images each as shares of their kind; the
outlines are those of the clean images again. Dashed: the thresholds between `real`, `inconclusive` and `generated`."""

PUSHED = """\
The change of each member's calibrated log-odds when the filter is applied: greater means more generated. In nats,
and over the deviation of the member's clean log-odds, so that members of a weak calibration can be compared."""

LEFT_OUT = """\
The chain's AUC minus its AUC without a detector, a view, or a member. The ratio without it is what the chain's
combiner gives when those members abstain; nothing is fitted again. It says how much the chain as it stands leans on
the part: a chain fitted without it could make up for some of that, so that what a part is worth can be less, and
where two parts say the same, neither may show."""


def page(benched: Benched, root: str, command: str, left_out: Mapping[str, str], picture: str) -> str:
    """Return the page.

    Parameters
    ----------
    benched : Benched
        At least one chain; the finding is told of the first.
    root : str
        What the page calls the folder of images.
    command : str
        What makes the page.
    left_out : mapping of str to str
        Chains that were asked for, and why they are not here.
    picture : str
        File name of the chart, beside the page.
    """
    shares = {one.name: measured(one.whole, benched.labels, benched.draws) for one in benched.judged}
    first = benched.judged[0].name
    lines = ["# The Wiener finding", "", _wrapped(first_paragraph(first, shares[first])), ""]
    lines += [_wrapped(_measured_chains(benched)), "", TOLD, ""]
    if first == SHIPPED and never_right(shares[first]):
        lines += [WHY, ""]
    lines += [f"{_wrapped(f'The chain `{name}` is left out: {why}.')}\n" for name, why in left_out.items()]
    lines += [*_made(benched.result, root, command), ""]
    lines += _side_by_side(benched, shares, picture)
    lines += ["## Which way the filter pushes", "", PUSHED, ""]
    lines += [line for one in benched.judged for line in _pushed(one, benched)]
    lines += ["## What each detector and view adds", "", LEFT_OUT, ""]
    lines += [line for one in benched.judged for line in _added(one, benched)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _made(result: Mapping[str, Any], root: str, command: str) -> Iterator[str]:
    told = {**result["data"], "root": root}
    drawn = ", a part drawn by seed," if result["data"].get("limit") else ""
    text = MADE.format(**told, drawn=drawn, level=100 * result["level"], draws=result["draws"])
    yield from (f"Made on {result['date']} with d2f {result['d2f']} by", "", f"    {command}", "", _wrapped(text))


def _measured_chains(benched: Benched) -> str:
    digests = listed([f"`{one.name}` {one.chain.digest[:12]}" for one in benched.judged])
    return (
        f"All figures are of d2f {benched.result['d2f']} and of the chains of these digests: {digests}. A chain that "
        "has another digest now (`d2f chain show NAME`) was changed since, and no figure here is of it."
    )


def _side_by_side(benched: Benched, shares: Mapping[str, Shares], picture: str) -> Iterator[str]:
    first = benched.judged[0].name
    yield from ("## Side by side", "")
    for one in benched.judged:
        yield _wrapped(f"- `{one.name}` ({_facts(one)}). {' '.join(_told_of(one.name, first, shares))}", "  ")
    alt = f"Histograms of the log-odds of {listed([one.name for one in benched.judged])}, clean and filtered"
    yield from ("", f"![{alt}]({picture})", "", DRAWN, "", SIDE_BY_SIDE, "")
    for over in ATTACKED:
        table = side_by_side(shares, over)
        yield from (f"### Applied {table.title}", "", *table.markdown(), "")


def _told_of(name: str, first: str, shares: Mapping[str, Shares]) -> Iterator[str]:
    """The first paragraph has told of the first chain's sides and ranking."""
    if name != first:
        yield from (shift(shares[name]), ranking(shares[name]))
    yield from (noise(shares[name]), laying(shares[name]), escapes(shares[name]))
    if name != first:
        yield against(shares[name], first, shares[first])


def _facts(one: Judged) -> str:
    rule = one.chain.file.verdict
    said = f"real below {rule.real_below:g}, generated above {rule.generated_above:g}"
    return f"digest {one.chain.digest[:12]}; {said}"


def _pushed(one: Judged, benched: Benched) -> Iterator[str]:
    found = list(pushes(one.members, benched.labels, benched.draws))
    sentences = push_sentences(found, [member.name for member in one.members])
    yield from _section(one.name, sentences, push_table(found).markdown() if found else [])


def _added(one: Judged, benched: Benched) -> Iterator[str]:
    found = list(added(one, benched.labels, benched.draws))
    yield from _section(one.name, added_sentences(one.name, found), added_table(found).markdown() if found else [])


def _section(name: str, sentences: Iterator[str], table: Sequence[str]) -> Iterator[str]:
    yield from (f"### {name}", "", _wrapped(" ".join(sentences)), "")
    if table:
        yield from (*table, "")


def _wrapped(text: str, indent: str = "") -> str:
    return fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
