"""The check of a chain file, where the snapshots of tests/chains/bad do not reach; its schema; its plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image
from pydantic import Field

from d2f import D2FError, Exit
from d2f.chain.build import Unfitted, build_plan
from d2f.chain.chain import load_chain
from d2f.chain.check import Checked, check_text
from d2f.chain.model import ChainFile, chain_schema
from d2f.chain.yaml import parse, text_of
from d2f.engine.plan import Plan
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

Check = Callable[..., Checked]

TRIAD = Path(__file__).parents[2] / "chains" / "good" / "triad.yaml"
HEAD = "d2f: 1\nname: a\n"
NOISE = f"{HEAD}detectors:\n  - use: noise-statistics\n"


def codes(checked: Checked) -> list[str]:
    return [problem.code for problem in checked.problems]


class TestVersions:
    @pytest.mark.parametrize("version", ["1.0", "'1'", "true", "0", "-1", "[1]", "~", "one", "0.1.0"])
    def test_no_version(self, check: Check, version: str) -> None:
        assert codes(check(f"d2f: {version}\nname: a\n")) == ["D2F103"]

    @pytest.mark.parametrize("version", ["2", "0x10", "1000000000000"])
    def test_newer(self, check: Check, version: str) -> None:
        checked = check(f"d2f: {version}\nnonsense: [\n]\n")
        assert codes(checked) == ["D2F103"]
        assert checked.problems[0].notes == ("to upgrade: pip install --upgrade d2f",)

    @pytest.mark.parametrize("writer", ["x; rm -rf ~", "[1]", "~"])
    def test_only_a_version_is_put_into_a_command(self, check: Check, writer: str) -> None:
        checked = check(f"d2f: 2\nfitted: {{d2f: {writer}}}\n")
        assert checked.problems[0].notes == ("to upgrade: pip install --upgrade d2f",)


class TestWholeness:
    def test_an_error_leaves_no_file(self, check: Check) -> None:
        checked = check(NOISE + "colour: red\n")
        assert checked.file is None
        assert checked.exit == Exit.USAGE
        assert checked.errors == checked.problems

    def test_a_warning_leaves_a_file(self, check: Check) -> None:
        checked = check(NOISE)
        assert checked.file is not None
        assert checked.file.detectors[0].id == "noise-statistics"
        assert checked.exit == Exit.OK
        assert codes(checked) == ["D2F127"]
        assert checked.errors == ()

    def test_a_broken_plugin_outweighs_other_errors(self, check: Check) -> None:
        checked = check(HEAD + "detectors: [{use: needs-torch}, {use: nothing}]\n")
        assert checked.exit == Exit.PLUGIN

    def test_problems_are_in_the_order_of_the_file(self, check: Check) -> None:
        checked = check(HEAD + "x: 1\ndetectors:\n  - {use: nothing, views: [b]}\nverdict: {prior: 7}\ny: 1\n")
        places = [(problem.place.line, problem.place.column) for problem in checked.problems if problem.place]
        assert places == sorted(places)
        assert len(places) == 5

    def test_nothing_is_said_twice(self, check: Check) -> None:
        checked = check(HEAD + "detectors: [{use: resnet, with: {a: .nan}}, {use: &x resnet, id: b, views: *y}]\n")
        assert codes(checked) == ["D2F114", "D2F106", "D2F102", "D2F102"]

    # Whatever is wrong in one part, the others are looked at and nothing raises.
    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.data())
    def test_any_damage_is_told(self, data: st.DataObject) -> None:
        with open(TRIAD, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for _ in range(data.draw(st.integers(1, 3))):
            row = data.draw(st.integers(0, len(lines) - 1))
            column = data.draw(st.integers(0, len(lines[row])))
            junk = data.draw(st.sampled_from(["", "x", "-", " ", "{", "]", ": ", "~", "1", '"', "#", ",", "&a "]))
            lines[row] = lines[row][:column] + junk + lines[row][column + data.draw(st.integers(0, 6)) :]
        checked = check_text(text_of("chain.yaml", "\n".join(lines)), stages.catalog())
        assert (checked.file is None) == bool(checked.errors)
        for problem in checked.problems:
            assert problem.place is None or problem.place.file
            str(problem)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "7", "a-b_c", "0" * 64])
    def test_good(self, check: Check, name: str) -> None:
        text = f"d2f: 1\nname: '{name}'\nviews: {{{name}: [{{use: wiener}}]}}\n"
        text += f"detectors: [{{id: '{name}', use: resnet, views: ['{name}']}}]\n"
        assert codes(check(text)) == ["D2F127"]

    @pytest.mark.parametrize("name", ["", "A", "a b", "-a", "_a", "a/b", "a.b", "ä", "0" * 65, "a\\n"])
    def test_bad(self, check: Check, name: str) -> None:
        checked = check(f'd2f: 1\nname: "{name}"\ndetectors: [{{use: resnet}}]\n')
        assert codes(checked) == ["D2F106"]

    def test_an_id_is_the_stage_s_name_unless_it_is_given(self, check: Check) -> None:
        checked = check(HEAD + "detectors: [{use: resnet}, {use: resnet, id: second}]\n")
        assert checked.file is not None
        assert [detector.id for detector in checked.file.detectors] == ["resnet", "second"]

    def test_python_s_name_of_a_key_is_no_key(self, check: Check) -> None:
        assert codes(check(HEAD + "detectors: [{use: resnet, with_: {}}]\n")) == ["D2F104"]


class TestTypes:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("verdict", "{prior: yes}"),
            ("verdict", "{prior: 0}"),
            ("verdict", "{prior: 1}"),
            ("verdict", "{real_below: -1e-9}"),
            ("verdict", "{generated_above: 1.0000001}"),
            ("combine", "{need: 1.0}"),
            ("combine", "{need: '1'}"),
            ("combine", "{need: true}"),
            ("combine", "~"),
            ("images", "{}"),
            ("fitted", "{data: a, images: 0, date: 2026-01-01, d2f: 0.1.0}"),
            ("fitted", "{data: a, images: 1, date: yesterday, d2f: 0.1.0}"),
            ("fitted", "{data: a, images: 1, date: 2026-01-01, d2f: 0.1.0, protocol: none}"),
        ],
    )
    def test_refused(self, check: Check, key: str, value: str) -> None:
        assert codes(check(f"{NOISE}{key}: {value}\n")) == ["D2F106"]

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("verdict", "{prior: 1e-9, real_below: 1e-9, generated_above: 0.999}"),
            ("verdict", "{real_below: 0.5, generated_above: 0.5}"),
            ("verdict", "{}"),
            ("combine", "{need: 0x1}"),
            ("fitted", "~"),
            ("fitted", "{data: a, images: 1, date: 2024-02-29, d2f: 0.1.0}"),
        ],
    )
    def test_taken(self, check: Check, key: str, value: str) -> None:
        assert codes(check(f"{NOISE}{key}: {value}\n")) == ["D2F127"]

    @pytest.mark.parametrize(("below", "above"), [(0, 1), (0, 0.6), (0.4, 1)])
    def test_thresholds_at_their_ends_are_taken_with_a_warning(self, check: Check, below: float, above: float) -> None:
        found = codes(check(f"{NOISE}verdict: {{real_below: {below}, generated_above: {above}}}\n"))
        assert sorted(found) == ["D2F124", "D2F127"]


class TestCells:
    TEXT = HEAD + "views: {a: [{use: wiener}]}\ndetectors:\n  - {id: net, use: resnet, views: [plain, a]}\n"

    @pytest.mark.parametrize("need", [1, 2])
    def test_need_that_can_be_met(self, check: Check, need: int) -> None:
        assert codes(check(f"{self.TEXT}combine: {{need: {need}}}\n")) == ["D2F127"]

    def test_need_that_cannot(self, check: Check) -> None:
        assert codes(check(f"{self.TEXT}combine: {{need: 3}}\n")) == ["D2F125"]

    def test_members_are_not_judged_while_a_detector_cannot_be_read(self, check: Check) -> None:
        text = self.TEXT + "  - {use: 7}\ncalibrate: {seven/plain: {use: platt, with: {slope: 1, bias: 0}}}\n"
        assert codes(check(text + "combine: {need: 9}\n")) == ["D2F106"]

    def test_a_combiner_s_options_that_name_no_member_are_left_to_it(self, check: Check) -> None:
        checked = check(self.TEXT + "combine: {use: logistic, with: {weights: {net: 1}}}\n")
        assert codes(checked) == ["D2F122"]
        assert checked.problems[0].message == "combiner 'logistic' has no weight for net/plain, net/a"


class TestRefit:
    """A chain that is about to be fitted is read as if it never had been."""

    STALE = (
        NOISE
        + "calibrate: {gone/plain: {use: platt, with: {slope: 1, bias: 0}}, broken: 3}\n"
        + "combine: {use: logistic, with: {weights: {gone/plain: 1}}}\n"
        + "fitted: {weights: {noise-statistics/default: aa}}\n"
    )

    def test_what_a_fit_wrote_is_not_held_against_it(self, check: Check) -> None:
        assert len(check(self.STALE).errors) > 3
        checked = check(self.STALE, refit=True)
        assert checked.problems == ()
        assert checked.file is not None
        assert checked.file.calibrate == {}
        assert checked.file.fitted is None

    def test_what_a_person_wrote_is(self, check: Check) -> None:
        assert codes(check(self.STALE + "colour: red\n", refit=True)) == ["D2F104"]

    def test_a_combiner_that_waits_for_its_weights_is_no_problem(self, check: Check) -> None:
        assert check(NOISE + "combine: {use: logistic}\n", refit=True).problems == ()


class TestWeights:
    FITTED = (
        "calibrate: {noise-statistics/plain: {use: platt, with: {slope: 1, bias: 0}}}\nfitted: {data: x, images: 9, "
    )

    def fitted(self, weights: str) -> str:
        return NOISE + self.FITTED + f"date: 2026-11-21, d2f: 0.1.0, weights: {{{weights}}}}}\n"

    def test_the_same(self, check: Check) -> None:
        assert check(self.fitted(f"noise-statistics/default: '{stages.SHA}'")).problems == ()

    def test_none_pinned(self, check: Check) -> None:
        assert check(self.fitted("")).problems == ()

    @pytest.mark.parametrize("weights", [f"noise-statistics/default: {stages.OTHER}", "other/default: aa"])
    def test_others(self, check: Check, weights: str) -> None:
        assert codes(check(self.fitted(weights))) == ["D2F506"]


def test_each_stage_is_constructed_once_and_its_options_validated_once(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = TRIAD.read_text("utf-8") + "require: [{use: size}]\nevidence: [{use: name}]\n"
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    constructed, validated = Counter[str](), Counter[str]()
    for stage in stages.STAGES:
        before = stage.__init__

        def counted(self: Any, *given: Any, before: Any = before, **more: Any) -> None:
            constructed[self.name] += 1
            before(self, *given, **more)

        monkeypatch.setattr(stage, "__init__", counted)
    for name, options in {stage.name: stage.Options for stage in stages.STAGES}.items():
        validate = options.model_validate

        def checked(data: Any, name: str = name, validate: Any = validate) -> Any:
            validated[name] += 1
            return validate(data)

        if options is not stages.NoOptions:
            monkeypatch.setattr(options, "model_validate", checked)
    load_chain(tmp_path / "a.yaml", catalog=catalog)
    uses = Counter({"wiener": 2, "jpeg": 1, "platt": 7, "size": 1, "noise-statistics": 1, "logistic": 1})
    assert validated == uses
    assert constructed == uses + Counter({"resnet": 1, "provenance": 1, "name": 1})


class TestMissing:
    """A stage whose requirement is not installed, under ``allow_missing``."""

    TEXT = NOISE + "  - {use: needs-torch}\n"

    def test_it_is_an_error_by_default(self, check: Check) -> None:
        assert codes(check(self.TEXT)) == ["D2F206"]

    def test_it_is_left_out_where_that_is_allowed(self, tmp_path: Path, catalog: Catalog) -> None:
        (tmp_path / "a.yaml").write_text(self.TEXT, "utf-8")
        (tmp_path / "b.yaml").write_text(NOISE, "utf-8")
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
        chain = load_chain(tmp_path / "a.yaml", catalog=catalog, allow_missing=True)
        (row,) = chain.run(tmp_path / "a.png")
        assert [one.detector for one in row.missing] == ["needs-torch"]
        assert "it requires what is not installed" in row.missing[0].reason
        assert row.stages[0].score == 0.0
        assert row.stages[1].score is None
        assert chain.digest != load_chain(tmp_path / "b.yaml", catalog=catalog).digest

    def test_a_chain_that_lacks_nothing_keeps_its_digest(self, catalog: Catalog) -> None:
        allowed = load_chain(TRIAD, catalog=catalog, allow_missing=True)
        assert allowed.digest == load_chain(TRIAD, catalog=catalog).digest


def test_plugins_that_the_chain_does_not_use_are_not_touched(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: Any) -> None:
        raise AssertionError("constructed")

    for stage in (stages.Resnet, stages.Provenance, stages.Logistic, stages.Platt, stages.Wiener):
        monkeypatch.setattr(stage, "__init__", touched)
    assert codes(check(NOISE)) == ["D2F127"]


# The JSON schema of chain files agrees with the check, as far as a schema can.

CHAINS = Path(__file__).parents[2] / "chains"
GOOD = sorted((CHAINS / "good").glob("*.yaml"))

SCHEMA = chain_schema(stages.catalog())
VALIDATOR = Draft202012Validator(SCHEMA)

BEYOND = {
    # What no schema of the values can see: how the file is written,
    "07-key-twice", "09-two-documents", "10-directive",
    # numbers that JSON does not have,
    "18-not-finite",
    # what refers from one part to another,
    "26-unknown-view", "27-id-twice", "29-missing-member", "30-bytes-on-a-view",
    "31-thresholds-cross", "32-threshold-crosses-default", "33-need-too-large",
    # what only a stage knows,
    "38-requirement", "39-not-constructed", "40-unknown-weights", "41-other-weights",
    # and warnings.
    "34-view-never-used", "35-not-fitted", "36-fitted-in-part", "37-combiner-not-fitted", "49-thresholds-at-their-ends",
}  # fmt: skip


def data(chain: Path) -> Any:
    source, _ = parse(text_of(chain.name, chain.read_text("utf-8-sig", errors="replace")))
    return source.data if source is not None else None


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("chain", GOOD, ids=lambda path: path.stem)
def test_good_chains_are_accepted(chain: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(data(chain))] == []


@pytest.mark.parametrize("chain", sorted((CHAINS / "bad").glob("*.yaml")), ids=lambda path: path.stem)
def test_bad_chains_are_rejected(chain: Path) -> None:
    value = data(chain)
    if value is not None and chain.stem != "22-not-utf-8":
        assert bool(list(VALIDATOR.iter_errors(value))) == (chain.stem not in BEYOND)


def with_stage(kind: str, stage: dict[str, Any]) -> dict[str, Any]:
    chain: dict[str, Any] = {"d2f": 1, "name": "a", "detectors": [{"use": "resnet"}]}
    return {
        "preprocessor": {**chain, "views": {"v": [stage]}},
        "detector": {**chain, "detectors": [stage]},
        "calibrator": {**chain, "calibrate": {"resnet/plain": stage}},
        "combiner": {**chain, "combine": stage},
        "chain calibrator": {**chain, "combine": {"calibrate": stage}},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "stage", "good"),
    [
        ("preprocessor", {"use": "wiener"}, True),
        ("preprocessor", {"use": "wiener", "with": {"window": 7, "noise": None}}, True),
        ("preprocessor", {"use": "wiener", "with": {"window": 33}}, False),
        ("preprocessor", {"use": "wiener", "with": {"windw": 7}}, False),
        ("preprocessor", {"use": "jpeg"}, False),
        ("preprocessor", {"use": "jpeg", "with": {"quality": 90}}, True),
        ("preprocessor", {"use": "resnet"}, False),
        ("preprocessor", {"with": {}}, False),
        ("detector", {"use": "noise-statistics", "with": {"scale": 0}}, False),
        ("detector", {"use": "resnet", "views": []}, False),
        ("calibrator", {"use": "platt"}, False),
        ("calibrator", {"use": "platt", "with": {"slope": 1, "bias": 0}}, True),
        ("chain calibrator", {"use": "platt", "with": {"slope": 1}}, False),
        ("combiner", {"use": "logistic", "with": {"weights": {"resnet/plain": 1}}}, True),
        ("combiner", {"use": "logistic", "with": {"weights": {"resnet/plain": "1"}}}, False),
        # The combiner that is used where none is named has its options checked, too.
        ("combiner", {"with": {"power": 2}}, False),
        ("combiner", {"need": 0}, False),
    ],
)
def test_options(kind: str, stage: dict[str, Any], good: bool) -> None:
    assert VALIDATOR.is_valid(with_stage(kind, stage)) is good


def test_descriptions_help_while_writing() -> None:
    text = json.dumps(SCHEMA)
    assert "Side of the window, odd." in text
    assert "Views that the detector looks at" in text
    for name, key in SCHEMA["properties"].items():
        assert key.get("description"), name


def test_the_installed_stages_are_in_it() -> None:
    catalog = Catalog.discover()
    schema = chain_schema(catalog)
    Draft202012Validator.check_schema(schema)
    assert {one["const"] for one in schema["$defs"]["preprocessor"]["properties"]["use"]["oneOf"]} == set(
        catalog.names("preprocessor")
    )


class Inner(stages.Frozen):
    title: int = Field(description="An option that is called as a keyword of schemas is.")


class First(stages.Jpeg):
    name = "first"

    class Options(stages.Frozen):
        inner: Inner = Field(description="Nested.")


class Second(stages.Jpeg):
    name = "second"

    class Options(stages.Frozen):
        inner: dict[str, Inner] = Field(description="Nested, too.")


def test_nested_options_of_stages_do_not_meet() -> None:
    validator = Draft202012Validator(chain_schema(Catalog.of(First, Second, stages.Resnet)))
    first = with_stage("preprocessor", {"use": "first", "with": {"inner": {"title": 1}}})
    second = with_stage("preprocessor", {"use": "second", "with": {"inner": {"a": {"title": 1}}}})
    assert validator.is_valid(first)
    assert validator.is_valid(second)
    first["views"]["v"][0]["use"] = "second"
    assert not validator.is_valid(first)


# A chain file made into a plan.


@pytest.fixture
def triad(check: Callable[[str], Checked], catalog: Catalog) -> Plan:
    file = check(TRIAD.read_text("utf-8")).file
    assert file is not None
    return build_plan(file, catalog)


def test_views(triad: Plan) -> None:
    assert list(triad.views) == ["plain", "denoised", "recompressed"]
    assert triad.views["plain"] == ()
    (wiener,) = triad.views["denoised"]
    assert isinstance(wiener.stage, stages.Wiener)
    assert wiener.stage.options == stages.Wiener.Options(window=7)


def test_equal_steps_have_equal_keys(triad: Plan) -> None:
    first, second = triad.views["recompressed"]
    assert triad.views["denoised"][0].key == first.key
    assert first.key != second.key
    assert first.key == '{"use":"wiener","with":{"noise":null,"window":7}}'


def test_detectors_and_members(triad: Plan) -> None:
    assert [type(detector.stage) for detector in triad.detectors] == [
        stages.Resnet,
        stages.NoiseStatistics,
        stages.Provenance,
    ]
    assert triad.member_names == (
        "net/plain",
        "net/denoised",
        "noise/plain",
        "noise/denoised",
        "noise/recompressed",
        "provenance/plain",
    )


def test_decision(triad: Plan) -> None:
    decision = triad.decision
    assert decision is not None
    assert set(decision.calibrators) == set(triad.member_names)
    assert decision.calibrators["net/denoised"].options == stages.Platt.Options(slope=-0.2, bias=0.1)  # type: ignore[attr-defined]
    assert isinstance(decision.combiner, stages.Logistic)
    assert decision.combiner.members == triad.member_names
    assert isinstance(decision.chain_calibrator, stages.Platt)
    assert (decision.need, decision.prior, decision.real_below, decision.generated_above) == (2, 0.5, 0.3, 0.75)


def file(**more: Any) -> ChainFile:
    return ChainFile.model_validate({"d2f": 1, "name": "a", "detectors": [{"use": "resnet"}], **more})


def test_defaults(catalog: Catalog) -> None:
    plan = build_plan(file(), catalog)
    assert plan.decision is not None
    assert isinstance(plan.decision.combiner, stages.LogitMean)
    assert plan.decision.chain_calibrator is None
    assert plan.decision.calibrators == {}


def test_without_a_decision(catalog: Catalog) -> None:
    plan = build_plan(file(combine={"use": "logistic"}), catalog, decision=False)
    assert plan.decision is None
    assert plan.digest == ""


def test_a_combiner_that_waits_for_its_weights_leaves_every_verdict_open(catalog: Catalog) -> None:
    plan = build_plan(file(combine={"use": "logistic"}), catalog)
    assert plan.decision is not None
    assert isinstance(plan.decision.combiner, Unfitted)
    assert plan.decision.need > len(plan.members)
    assert len(plan.digest) == 64


@pytest.mark.parametrize(
    ("more", "code", "exit_code"),
    [
        ({"detectors": [{"use": "nothing"}]}, "D2F110", Exit.USAGE),
        ({"detectors": [{"use": "fragile"}]}, "D2F209", Exit.PLUGIN),
        ({"combine": {"use": "logistic", "with": {"weights": {"b/plain": 1.0}}}}, "D2F122", Exit.USAGE),
    ],
)
def test_what_cannot_be_built(catalog: Catalog, more: dict[str, Any], code: str, exit_code: Exit) -> None:
    with pytest.raises(D2FError) as error:
        build_plan(file(**more), catalog)
    assert [problem.code for problem in error.value.problems] == [code]
    assert error.value.exit == exit_code
