"""One command makes the page of the Wiener finding: of one scoring, naming no machine, of the chains that ship."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import make_wiener_finding
import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, ConfigDict

from d2f import Abstention, Weights, WholeImage
from d2f.chain.chain import load_chain
from d2f.evaluate.bench import JSON
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import allowed
from d2f.plugins.registry import load_plugins

SMALL = """\
d2f: 1
name: small
detectors:
  - {id: noise, use: noise-statistics}
calibrate:
  noise/plain: {use: platt, with: {slope: 0.5, bias: 0.3}}
verdict: {real_below: 0.4, generated_above: 0.6}
"""
HALVED = """\
d2f: 1
name: halved
views: {half: [{use: resize, with: {factor: 0.5}}]}
detectors:
  - {id: noise, use: noise-statistics, views: [plain, half]}
calibrate:
  noise/plain: {use: platt, with: {slope: 0.5, bias: 0.3}}
  noise/half: {use: platt, with: {slope: 0.4, bias: 0.1}}
verdict: {real_below: 0.4, generated_above: 0.6}
"""
TOWERED = SMALL.replace("name: small", "name: towered").replace("use: noise-statistics", "use: tower")


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tower:
    """Looks through weights that nobody fetched."""

    name = "tower"
    summary = "A toy."
    Options = NoOptions
    wants = WholeImage()
    weights = (Weights("tall", "ab" * 32, "MIT", ("pypi:nothing==1.0/tall.safetensors",)),)

    def __init__(self, options):
        pass

    def score(self, batch):
        return [Abstention("no weights")] * len(batch)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A few pictures and three chains in the working folder, one of which needs a tower that nobody fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for number in range(12):
        folder = Path("set", "generated/toy" if number % 2 else "real", f"hands{number // 2 % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        ramp = np.linspace(60, 190, 136)[None, :, None] + random.uniform(-20, 20, 3)
        pixels = ramp + random.normal(0, 2 if number % 2 else 6, (136, 136, 1))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    Path("small.yaml").write_text(SMALL, "utf-8")
    Path("halved.yaml").write_text(HALVED, "utf-8")
    Path("towered.yaml").write_text(TOWERED, "utf-8")
    return tmp_path


def make(*more):
    # What is installed, as the bench's own process finds it: the digest of a chain names its plugins' versions.
    registry = load_plugins(allowed(None))
    registry.add_stage("detector", Tower, None)
    catalog = Catalog(registry)
    return make_wiener_finding.main(["set", "kept", "--draws", "20", "-o", "page.md", *more], catalog)


def test_one_command_scores_once_and_writes_the_page_and_its_chart(place, capsys):
    assert make("--chains", "small.yaml", "halved.yaml", "towered.yaml") == 0
    page = Path("page.md").read_text("utf-8")
    assert re.match(r"# The Wiener finding\n\n\*\*(The|Half of the) finding [^*]*`small` is [^*]*\.\*\* Right on", page)
    assert str(place) not in page
    assert "python docs/make_wiener_finding.py $D2F_DATA/val wiener --chains small halved towered" in page
    told = " ".join(page.split())
    assert "The chain `towered` is left out: the weights 'tall' were not on the machine" in told
    assert "(to fetch them: `d2f weights pull tall`)." in told
    assert page.count("\n| small | ") == page.count("\n| halved | ") == 3 + 2 + 2
    assert page.count("\n| noise/plain | wiener 7x7 | ") == 4
    assert "`small` has one member only" in page
    assert "\n| view half | " in page
    assert "![Histograms of the log-odds of small and halved, clean and filtered](page.svg)" in page
    drawn = "".join(ElementTree.parse("page.svg").getroot().itertext())
    assert all(word in drawn for word in ("small", "halved", "wiener 7x7 + noise", "photographs"))

    scored, picture = Path("kept", JSON).stat().st_mtime_ns, Path("page.svg").read_bytes()
    assert make("--chains", "small.yaml", "halved.yaml", "towered.yaml") == 0
    assert Path("kept", JSON).stat().st_mtime_ns == scored
    assert (Path("page.md").read_text("utf-8"), Path("page.svg").read_bytes()) == (page, picture)

    Path("small.yaml").write_text(SMALL.replace("bias: 0.3", "bias: 0.2"), "utf-8")
    capsys.readouterr()
    assert make("--chains", "small.yaml") == 2
    assert "D2F004" in (said := capsys.readouterr().err)
    assert "'kept' holds another bench: it holds no scores of the chain 'small' as it is now" in said
    assert Path("kept", JSON).stat().st_mtime_ns == scored


def test_without_any_chain_nothing_is_written(place, capsys):
    assert make("--chains", "towered.yaml") == 2
    assert "no chain is left to measure" in capsys.readouterr().err
    assert not Path("page.md").exists()


@pytest.mark.parametrize("name", make_wiener_finding.CHAINS)
def test_the_page_is_of_the_chains_that_ship(name):
    """As far as they are those that the page records; of another one its figures say nothing."""
    if not make_wiener_finding.PAGE.exists():
        pytest.skip("the page was not made yet: python docs/make_wiener_finding.py $D2F_DATA/val wiener")
    page = make_wiener_finding.PAGE.read_text("utf-8")
    if f"The chain `{name}` is left out:" in page:
        pytest.skip(f"the page leaves '{name}' out")
    said = re.search(rf"^- `{name}` \(digest (\w{{12}}); real below ([\d.]+), generated above ([\d.]+)\)", page, re.M)
    assert said, "run: python docs/make_wiener_finding.py $D2F_DATA/val wiener"
    assert f"`{name}` {said[1]}" in " ".join(page.partition("\nWhat is told:")[0].split())
    shipped = load_chain(name)
    if said[1] != shipped.digest[:12]:
        pytest.skip(f"the page is of another chain '{name}' than the one that ships: make_wiener_finding.py")
    rule = shipped.file.verdict
    assert said.groups()[1:] == (f"{rule.real_below:g}", f"{rule.generated_above:g}")
