"""Every preprocessor's card says its options as the stage has them, and its SPECs are understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from d2f.engine.spec import parse_spec, write_value
from d2f.plugins.catalog import Catalog

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = ("autoencoder", "crop", "gaussian-blur", "greyscale", "jpeg", "median", "noise", "resize", "webp", "wiener")
SECTIONS = ["Formula", "Source", "Options", "In one word"]


def card(name: str) -> str:
    return (PLUGINS / f"d2f_{name.replace('-', '_')}" / "README.md").read_text("utf-8")


def section(name: str, title: str) -> str:
    return card(name).partition(f"## {title}\n")[2].partition("\n## ")[0].strip()


def options_table(name: str) -> str:
    """Return the options of a preprocessor as a table, or that there are none."""
    model = Catalog.discover().find("preprocessor", name).Options
    if not model.model_fields:
        return "None."
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for key, field in model.model_fields.items():
        lines.append(f"| `{key}` | `{write_value(field.get_default())}` | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
class TestCard:
    def test_it_has_every_section(self, name: str) -> None:
        assert card(name).startswith(f"# {name}\n")
        titles = re.findall(r"^## (.*)$", card(name), re.MULTILINE)
        assert [title for title in titles if title in SECTIONS] == SECTIONS

    def test_its_options_are_the_stages(self, name: str) -> None:
        assert section(name, "Options") == options_table(name)

    def test_its_specs_are_understood(self, name: str) -> None:
        specs = re.findall(r"`([^`]+)`", section(name, "In one word"))
        assert specs
        for spec in specs:
            assert [step.stage.name for step in parse_spec(spec, Catalog.discover())] == [name]


def test_every_preprocessor_of_d2f_is_here() -> None:
    catalog = Catalog.discover()
    own = [name for name in catalog.names("preprocessor") if (PLUGINS / f"d2f_{name.replace('-', '_')}").is_dir()]
    assert set(NAMES) <= set(own)
