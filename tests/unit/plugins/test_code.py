import shutil
import sys
from pathlib import Path

import d2f_towers
import pytest
from d2f_clip_probe.stage import ClipProbe
from d2f_wiener.stage import Wiener

from d2f.plugins import catalog as code
from d2f.plugins.catalog import code_digest
from d2f.plugins.entries import plugin_packages


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import a package of this source, as a process that starts anew would."""

    def made(**files):
        folder = tmp_path / "d2f_made"
        folder.mkdir(exist_ok=True)
        for name, source in files.items():
            (folder / f"{name}.py").write_text(source, "utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "d2f_made"]:
            monkeypatch.delitem(sys.modules, name)
        code._package_digest.cache_clear()
        import d2f_made.stage

        return d2f_made.stage.Stage

    yield made
    code._package_digest.cache_clear()
    plugin_packages.cache_clear()


def test_a_change_anywhere_in_the_package_changes_the_digest(imported, tmp_path):
    sources = {"__init__": "", "stage": "class Stage:\n    pass\n", "other": "SIDE = 3\n"}
    first = code_digest(imported(**sources))
    (tmp_path / "d2f_made" / "README.md").write_text("words", "utf-8")
    assert code_digest(imported(**sources)) == first
    assert code_digest(imported(**{**sources, "other": "SIDE = 4\n"})) != first
    assert code_digest(imported(**sources)()) == first
    assert code_digest(imported(**sources, more="")) != first


def test_code_of_a_plugin_that_the_package_imports_is_covered_though_it_is_not_imported_yet(imported, tmp_path):
    sources = {"__init__": "", "stage": "class Stage:\n    def load(self):\n        from d2f_lent import half\n"}
    plugin, helper = tmp_path / "d2f_lent", tmp_path / "lent_helper.py"
    (tmp_path / "d2f_lent-1.dist-info").mkdir()
    (tmp_path / "d2f_lent-1.dist-info" / "METADATA").write_text("Name: d2f-lent\nVersion: 1\n", "utf-8")
    plugin.mkdir()
    helper.write_text("HALF = 0.5\n", "utf-8")
    # The two import each other.
    (plugin / "__init__.py").write_text("import lent_helper, d2f_made.stage\n", "utf-8")
    (plugin / "half.py").write_text("HALF = 0.5\n", "utf-8")
    before = code_digest(imported(**sources))
    (tmp_path / "d2f_lent-1.dist-info" / "entry_points.txt").write_text("[d2f]\nlent = d2f_lent\n", "utf-8")
    plugin_packages.cache_clear()
    first = code_digest(imported(**sources))
    assert before != first == code_digest(imported(**sources))
    helper.write_text("HALF = 0.25\n", "utf-8")
    assert code_digest(imported(**sources)) == first
    (plugin / "half.py").write_text("HALF = 0.25\n", "utf-8")
    assert code_digest(imported(**sources)) != first
    assert "d2f_lent" not in sys.modules


def test_the_towers_are_covered_where_clip_probe_computes_with_them(imported, tmp_path, monkeypatch):
    before = code_digest(ClipProbe)
    copied = shutil.copytree(Path(d2f_towers.__file__).parent, tmp_path / "towers")
    (copied / "shared.py").write_text("KEPT = 1\n", "utf-8")
    monkeypatch.setattr(d2f_towers, "__path__", [str(copied)])
    code._package_digest.cache_clear()
    assert code_digest(ClipProbe) != before


def test_packages_differ_and_a_class_without_a_file_has_none():
    from d2f_noise import Noise

    assert len(code_digest(Wiener)) == 64
    assert code_digest(Wiener) != code_digest(Noise)
    assert code_digest(type("Typed", (), {"__module__": "nowhere_at_all"})) is None
