"""Weights trained on the images that a chain is fitted to: each image is scored by weights that did not see it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from d2f import D2FError, Weights, WholeImage
from d2f.api.errors import WeightsMissing
from d2f.cache import caching
from d2f.data.dataset import load_dataset
from d2f.evaluate.fit import FitRequest, fit_chain, fit_thresholds_only, scored_unseen
from d2f.files import file_sha256
from d2f.weights import as_record, read_weights, resolve, short_digests, write_weights
from tests.unit.evaluate.toys import toy_chain, write_set

QUICK = FitRequest(attacks=("noise:sigma=2",), folds=3, today=date(2026, 11, 21), workers=1)
OWN, FIRST = 100.0, 200.0


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    weights: str = Field(description="A path.")


class Biased:
    """The noise of a picture and what the weights add to it, so that a score tells whose it is."""

    name = "biased"
    summary = "A toy."
    Options = Options
    wants = WholeImage()
    absent = ""

    def __init__(self, options: Options) -> None:
        self.weights: tuple[Weights, ...] = (as_record(resolve(options.weights, ())),)
        self.trained_on = None

    def load(self):
        if Biased.absent and Biased.absent in self.weights[0].name:
            raise WeightsMissing.of("D2F502", "no tower here", "fetch it")
        held = read_weights(self.weights[0])
        self.bias, self.trained_on = float(held.arrays["bias"]), held.trained_on

    def score(self, batch):
        return [float(np.diff(pixels[..., 1].astype(float), axis=1).std()) + self.bias for pixels in batch]


@pytest.fixture(autouse=True)
def fresh():
    Biased.absent = ""


@pytest.fixture
def images(tmp_path):
    write_set(tmp_path / "set", 20, collections=4)
    return load_dataset(tmp_path / "set")


def write(path: Path, bias: float, images, seen, **facts: str) -> str:
    path.parent.mkdir(exist_ok=True)
    known = None if seen is None else short_digests(file_sha256(images[i].path) for i in seen)
    return write_weights(path, {"bias": np.array(bias)}, {"d2f": "1", **facts}, known)


def folds(folder: Path, images, modulus: int = 3, first: float = FIRST, **facts: str) -> list[str]:
    """Weights that saw all images but each third, as cross-validation leaves them; their digests."""
    return [
        write(folder / f"fold-{k + 1}.safetensors", first + k, images, _without(k, modulus), **facts)
        for k in range(modulus)
    ]


def _without(number: int, modulus: int) -> list[int]:
    return [i for i in range(40) if i % modulus != number]


def chain(folder: Path, *ids: str, noise: bool = True):
    """A chain of `noise` and of detectors whose own weights are FOLDER/ID.safetensors."""
    lines = ["  - {id: noise, use: noise-level, views: [plain, blurred]}"] if noise else []
    lines += [f"  - {{id: {name}, use: biased, with: {{weights: {folder / name}.safetensors}}}}" for name in ids]
    views = "views:\n  blurred: [{use: gaussian-blur, with: {sigma: 0.6}}]\n" if noise else ""
    text = "\n".join(["d2f: 1", "name: toy", f"{views}detectors:", *lines, "combine: {use: logistic}", ""])
    return toy_chain(folder, text, True, Biased)


def biases(table, member: str):
    """Which weights scored each image: what they added to the noise of its plain view, shape (images, copies)."""
    added = table.scores[:, :, table.members.index(member)] - table.scores[:, :, table.members.index("noise/plain")]
    return np.round(added, 6)


def problem(chain, images, request):
    with pytest.raises(D2FError) as caught:
        scored_unseen(chain, images, request)
    return caught.value.problems[0]


def test_each_image_is_scored_by_the_first_weights_that_did_not_see_it(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, range(30))
    folds(tmp_path / "folds", images)
    request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds")})
    table, notes = scored_unseen(chain(tmp_path, "one"), images, request)
    expected = [OWN if i >= 30 else FIRST + i % 3 for i in range(40)]
    assert biases(table, "one/plain").tolist() == [[bias, bias] for bias in expected]
    assert notes == ()
    plain, _ = scored_unseen(chain(tmp_path, "one"), images, replace(QUICK, allow_overlap=True))
    assert np.array_equal(table.scores[:, :, :2], plain.scores[:, :, :2])


def test_two_detectors_have_folds_of_their_own(images, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", OWN, images, range(40))
    folds(tmp_path / "thirds", images)
    folds(tmp_path / "halves", images, 2, 300.0)
    request = replace(QUICK, oof_weights={"two": str(tmp_path / "halves"), "one": str(tmp_path / "thirds")})
    table, _ = scored_unseen(chain(tmp_path, "one", "two"), images, request)
    assert biases(table, "one/plain")[:, 0].tolist() == [FIRST + i % 3 for i in range(40)]
    assert biases(table, "two/plain")[:, 0].tolist() == [300.0 + i % 2 for i in range(40)]


def test_cached_scores_are_the_same_and_the_chains_own_are_not_taken_for_them(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, range(40))
    folds(tmp_path / "folds", images)
    ticks: list[None] = []
    request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds")}, tick=lambda: ticks.append(None))
    expected, _ = scored_unseen(chain(tmp_path, "one"), images, request)
    with caching(tmp_path / "cache") as cache:
        cached = replace(request, cache=cache)
        own, _ = scored_unseen(
            chain(tmp_path, "one"), images, replace(cached, oof_weights={}, allow_overlap=True, tick=None)
        )
        assert (biases(own, "one/plain") == OWN).all()
        for count in (2, 3):
            table, _ = scored_unseen(chain(tmp_path, "one"), images, cached)
            np.testing.assert_array_equal(table.scores, expected.scores)
            bare = [replace(one, scores=None, changed=None, refused=None, cached=0) for one in (table, expected)]
            assert bare[0] == bare[1]
            assert len(ticks) == 40 * count


@pytest.mark.parametrize("keep", [None, "cache"])
@pytest.mark.parametrize("gone", [False, True])
def test_an_image_that_cannot_be_read_may_be_the_only_one_of_its_weights(images, tmp_path, keep, gone):
    broken = Path(images[7].path)
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    write(tmp_path / "one.safetensors", OWN, images, [i for i in range(40) if i != 7])
    folds(tmp_path / "folds", images)
    if gone:
        broken.unlink()
    with caching(keep and tmp_path / keep) as cache:
        request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds")}, cache=cache)
        table, _ = scored_unseen(chain(tmp_path, "one"), images, request)
    assert [path for path, _ in table.unread] == [str(broken)]
    assert biases(table, "one/plain")[:, 0].tolist() == [FIRST + i % 3 for i in range(40) if i != 7]


def test_the_fitted_file_names_the_out_of_fold_weights(images, tmp_path):
    own = write(tmp_path / "one.safetensors", OWN, images, range(40))
    replaced = folds(tmp_path / "folds", images)
    write(tmp_path / "folds" / "unused.safetensors", 900.0, images, range(40))
    request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds")})
    text = fit_chain(chain(tmp_path, "one"), images, request).text
    fitted = YAML(typ="safe", pure=True).load(text)["fitted"]
    assert fitted["oof_weights"] == {"one": sorted(replaced)}
    assert list(fitted["weights"].values()) == [own]
    loaded = toy_chain(tmp_path, text, False, Biased)
    assert loaded.file.fitted.oof_weights == {"one": sorted(replaced)}
    # Thresholds found once more, without out-of-fold weights and with: what the rest was fitted with stays.
    for oof_weights, expected in (({}, None), (request.oof_weights, {"one": sorted(replaced)})):
        again = replace(QUICK, attacks=(), oof_weights=oof_weights, allow_overlap=True)
        found = YAML(typ="safe", pure=True).load(fit_thresholds_only(loaded, images, again).text)["fitted"]
        assert found["oof_weights"] == {"one": sorted(replaced)}
        assert found["thresholds"].get("oof_weights") == expected


def test_without_oof_weights_the_file_says_nothing_of_them(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, range(40))
    fit = fit_chain(chain(tmp_path, "one"), images, replace(QUICK, allow_overlap=True))
    assert fit.notes == (
        f"40 of 40 images trained the weights of 'one', such as {images[0].path}: the fit is optimistic",
    )
    assert "oof_weights:" not in fit.text
    loaded = toy_chain(tmp_path, fit.text, False, Biased)
    assert "oof_weights:" not in fit_thresholds_only(loaded, images, replace(QUICK, allow_overlap=True)).text


def test_where_all_saw_an_image_it_is_refused_or_noted_once(images, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", OWN, images, range(40))
    folds(tmp_path / "thirds", images)
    folds(tmp_path / "partial", images)
    write(tmp_path / "partial" / "fold-1.safetensors", FIRST, images, range(40))
    oof_weights = {"one": str(tmp_path / "thirds"), "two": str(tmp_path / "partial")}
    request = replace(QUICK, oof_weights=oof_weights)
    refused = problem(chain(tmp_path, "one", "two"), images, request)
    sentence = (
        f"14 of 40 images trained the weights of 'two' and all of its out-of-fold weights, such as {images[0].path}"
    )
    assert (refused.code, refused.message) == ("D2F604", sentence)
    table, notes = scored_unseen(chain(tmp_path, "one", "two"), images, replace(request, allow_overlap=True))
    assert notes == (f"{sentence}: the fit is optimistic",)
    assert biases(table, "two/plain")[:3, 0].tolist() == [OWN, FIRST + 1, FIRST + 2]


@pytest.mark.parametrize(
    ("own", "replaced", "told"),
    [
        ({"recipe": "sha256:a"}, {"recipe": "sha256:b"}, True),
        ({"recipe": "sha256:a"}, {"recipe": "sha256:a"}, False),
        ({"recipe": "sha256:a"}, {}, False),
        ({}, {"recipe": "sha256:b"}, False),
    ],
)
def test_oof_weights_of_another_recipe_are_told(images, tmp_path, own, replaced, told):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", OWN, images, range(40), **own)
    folds(tmp_path / "folds", images, **replaced)
    folds(tmp_path / "alike", images, **own)
    request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds"), "two": str(tmp_path / "alike")})
    sentence = f"out-of-fold weights in '{tmp_path}/folds' come from another recipe than the weights of 'one'"
    assert fit_chain(chain(tmp_path, "one", "two"), images, request).notes == ((sentence,) if told else ())


def test_oof_weights_of_another_recipe_that_score_nothing_are_not_told(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, (), recipe="sha256:a")
    folds(tmp_path / "folds", images, recipe="sha256:b")
    request = replace(QUICK, oof_weights={"one": str(tmp_path / "folds")})
    assert scored_unseen(chain(tmp_path, "one"), images, request)[1] == ()


def test_weights_that_do_not_say_what_they_saw_are_no_oof_weights(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, range(40))
    write(tmp_path / "folds" / "a.safetensors", FIRST, images, None)
    refused = problem(chain(tmp_path, "one"), images, replace(QUICK, oof_weights={"one": str(tmp_path / "folds")}))
    assert refused.code == "D2F604"
    assert refused.message == (
        f"'{tmp_path}/folds/a.safetensors' cannot be out-of-fold weights of 'one': "
        "nothing says which images they were trained on"
    )


def test_what_oof_weights_lack_is_said(images, tmp_path):
    write(tmp_path / "one.safetensors", OWN, images, range(40))
    folds(tmp_path / "folds", images)
    Biased.absent = "fold-2"
    refused = problem(chain(tmp_path, "one"), images, replace(QUICK, oof_weights={"one": str(tmp_path / "folds")}))
    assert refused.message.endswith(
        "fold-2.safetensors' cannot be out-of-fold weights of 'one': no tower here; fetch it"
    )


@pytest.mark.parametrize(
    ("detector", "folder", "code", "said"),
    [
        ("two", "folds", "D2F604", "chain 'toy' has no detector 'two'"),
        ("one", "nowhere", "D2F604", "nowhere' holds no out-of-fold weights for 'one'"),
        ("one", "set", "D2F604", "set' holds no out-of-fold weights for 'one'"),
        ("noise", "folds", "D2F114", "unknown option 'weights'"),
    ],
)
def test_what_cannot_be_oof_weights_is_refused(images, tmp_path, detector, folder, code, said):
    write(tmp_path / "one.safetensors", OWN, images, range(40))
    folds(tmp_path / "folds", images)
    refused = problem(chain(tmp_path, "one"), images, replace(QUICK, oof_weights={detector: str(tmp_path / folder)}))
    assert refused.code == code
    assert said in refused.message


def test_other_detectors_are_not_built_again_for_oof_weights(images, tmp_path, monkeypatch):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.safetensors", OWN, images, range(40) if name == "one" else [])
    folds(tmp_path / "folds", images)
    made, init = [], Biased.__init__

    def counted(self, options):
        made.append(Path(options.weights).stem)
        init(self, options)

    monkeypatch.setattr(Biased, "__init__", counted)
    loaded = chain(tmp_path, "one", "two")
    made.clear()
    scored_unseen(loaded, images, replace(QUICK, oof_weights={"one": str(tmp_path / "folds")}))
    assert made == ["fold-1", "fold-2", "fold-3"]
