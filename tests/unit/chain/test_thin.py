import pytest

from d2f.chain.thin import thinned_text

TEXT = """\
d2f: 1
name: x
views:
  soft: [{use: blur}]   # softly
  # about hard
  hard:
    - use: a   # first
    - {use: b}

# heads
detectors:
  # first one
  - use: a      # mine
    views: [plain, hard]
    with: {weights: x}   # w
  # second one
  - {id: q, use: b, views: [soft, hard]}
  # third
  - {use: c, views: [soft]}  # cc
# after
combine: {use: logistic, with: {weights: {a/plain: 1.0}}}
"""
EVERY = ["a/plain", "a/hard", "q/soft", "q/hard", "c/soft"]


def test_what_goes_takes_its_comments_along_and_the_rest_stays_as_it_is():
    assert thinned_text(TEXT, EVERY) == TEXT
    expected = TEXT.replace("  # second one\n  - {id: q, use: b, views: [soft, hard]}\n", "")
    assert thinned_text(TEXT, ["a/plain", "a/hard", "c/soft"]) == expected
    assert thinned_text(TEXT, ["a/hard", "c/soft"]) == expected.replace("[plain, hard]", "[hard]")
    windows = expected.replace("\n", "\r\n")
    assert thinned_text(TEXT.replace("\n", "\r\n"), ["a/plain", "a/hard", "c/soft"]) == windows


def test_views_that_nobody_looks_at_go():
    found = thinned_text(TEXT, ["q/hard"])
    assert "soft" not in found
    assert "# about hard\n  hard:\n    - use: a   # first\n" in found
    assert "  - {id: q, use: b, views: [hard]}\n# after\n" in found
    assert "views:\n" not in thinned_text(TEXT, ["a/plain"])


@pytest.mark.parametrize(
    ("text", "members", "expected"),
    [
        (
            "d2f: 1\nviews: {a: [{use: x}], b: [{use: y}]}\ndetectors: [{use: b, views: [plain, a]}, {use: c}]\n",
            ["b/a"],
            "d2f: 1\nviews: {a: [{use: x}]}\ndetectors: [{use: b, views: [a]}]\n",
        ),
        ("{d2f: 1, detectors: [{use: b}, {use: c}]}\n", ["c/plain"], "{d2f: 1, detectors: [{use: c}]}\n"),
    ],
)
def test_files_in_brackets(text, members, expected):
    assert thinned_text(text, members).strip() == expected.strip()
