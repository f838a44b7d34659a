import sys

import pytest
from d2f_wiener.stage import Wiener

from d2f.plugins import catalog as code
from d2f.plugins.catalog import code_digest


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


def test_a_change_anywhere_in_the_package_changes_the_digest(imported, tmp_path):
    sources = {"__init__": "", "stage": "class Stage:\n    pass\n", "other": "SIDE = 3\n"}
    first = code_digest(imported(**sources))
    (tmp_path / "d2f_made" / "README.md").write_text("words", "utf-8")
    assert code_digest(imported(**sources)) == first
    assert code_digest(imported(**{**sources, "other": "SIDE = 4\n"})) != first
    assert code_digest(imported(**sources)()) == first
    assert code_digest(imported(**sources, more="")) != first


def test_packages_differ_and_a_class_without_a_file_has_none():
    from d2f_noise import Noise

    assert len(code_digest(Wiener)) == 64
    assert code_digest(Wiener) != code_digest(Noise)
    assert code_digest(type("Typed", (), {"__module__": "nowhere_at_all"})) is None
