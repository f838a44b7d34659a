"""A stage says nothing on its own: what d2f prints is read by programs."""

from __future__ import annotations

import contextlib
import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from d2f.api.inputs import FileBytes, Input, Tiles
from d2f.api.outcomes import Abstention, Score
from d2f.plugins.registry import stage_faults, unmet_requirements
from d2f.testing.batches import (
    Outcomes,
    ask,
    differences,
    fingerprint,
    hard,
    in_threads,
    ordinary,
    outcome_text,
    process_state,
    random_state,
)
from d2f.testing.pictures import image_file, pictures
from d2f.testing.report import watched
from d2f.testing.subject import Failed, Skipped, Subject, check, fail_if


@check("it says what it wants", gate=True)
def wants(subject: Subject) -> str:
    """`wants` is one of the three inputs."""
    stated = getattr(subject.instance, "wants", None)
    if not isinstance(stated, Input):
        raise Failed(
            f"wants = {stated!r:.60}",
            "set it to d2f.WholeImage(), d2f.Tiles(…) or d2f.FileBytes(), on the class or in __init__",
        )
    return type(stated).__name__


@check("scores are finite, one for each image", gate=True)
def finite(subject: Subject) -> str:
    """On pictures of many kinds: a finite number or a typed abstention, in the batch's order."""
    outcomes = reference(subject)
    scored = [outcome for outcome in outcomes.values() if isinstance(outcome, Score)]
    fail_if(_untold(outcomes), "evidence and reasons are one line for a person, and say something")
    if not scored and not isinstance(subject.instance.wants, FileBytes):
        # What looks for evidence in a file may well find none in any of these.
        reason = outcome_text(next(iter(outcomes.values())))
        raise Failed(f"it abstains on all {len(outcomes)} pictures: {reason}", "let it score a picture of 256 x 256")
    return f"{len(scored)} of {len(outcomes)} pictures scored"


@check("tiny and blank images are no exception")
def hard_images(subject: Subject) -> str:
    """From 1 x 1 on, and black, white and grey: a score or an abstention with its reason."""
    outcomes: Outcomes = {}
    found: list[str] = []
    advice = ""
    for name, element in hard(subject).items():
        try:
            outcomes.update(ask(subject, subject.instance, {name: element}))
        except Failed as error:
            found += error.found
            advice = advice or error.next_step
    fail_if(found, advice)
    fail_if(_untold(outcomes), "give the reason in one line: return d2f.Abstention('…')")
    abstained = sum(isinstance(outcome, Abstention) for outcome in outcomes.values())
    return f"{abstained} of {len(outcomes)} abstained on"


@check("what it is given stays as it was")
def pure(subject: Subject) -> str:
    """Pictures, random generators and settings are left alone."""
    given = ordinary(subject)
    before = {name: fingerprint(element) for name, element in given.items()}
    with random_state(3), process_state() as changed, watched() as seen:
        ask(subject, subject.instance, given)
    fail_if(
        [f"it changed {name}" for name, element in given.items() if fingerprint(element) != before[name]],
        "work on a copy: what a stage is given is shared with the other stages",
    )
    fail_if(
        [f"it changed {what}" for what in changed], "use a generator of its own, and numpy.errstate in a with block"
    )
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "score from the picture alone")
    return ""


@check("the same image gives the same score")
def deterministic(subject: Subject) -> str:
    """Again, on a fresh instance, whatever the shared random generators hold."""
    once = reference(subject)
    with random_state(1):
        again = ask(subject, subject.instance, ordinary(subject))
    with random_state(2):
        anew = ask(subject, subject.fresh(), ordinary(subject))
    allowed = subject.allowed_difference
    found = differences(once, again, allowed, ("at first", "then"))
    found = found or differences(once, anew, allowed, ("one instance", "another"))
    fail_if(found, "draw nothing at random, or from a generator seeded by the pixels; keep nothing between images")
    return f"within {allowed:g}" if allowed else "bit for bit"


@check("a score does not depend on its neighbours")
def independent(subject: Subject) -> str:
    """Alone, in a batch, in another order: the same image has the same score."""
    once, given = reference(subject), ordinary(subject)
    allowed = subject.allowed_difference
    turned = ask(subject, subject.instance, dict(reversed(given.items())))
    found = differences(once, turned, allowed, ("in order", "in reverse"))
    for name in (next(iter(given)), next(reversed(given))):
        alone = ask(subject, subject.instance, {name: given[name]})
        found += differences(once, alone, allowed, ("in a batch", "alone"))
    fail_if(
        found,
        "score each image by itself: no statistics over the batch, networks in inference mode. Where only rounding "
        "differs, as in a network, allow for it: check_stage(…, tolerance=1e-4)",
    )
    return _batch_words(subject)


@check("it may be called from threads, as it says")
def thread_safe(subject: Subject) -> str:
    """Four threads at once, on one instance: the same scores."""
    declared = getattr(subject.instance, "thread_safe", False)
    if not isinstance(declared, bool):
        raise Failed(f"thread_safe = {declared!r:.40}", "True or False")
    if not declared:
        raise Skipped("thread_safe is not set: one thread at a time calls it")
    once, given = reference(subject), ordinary(subject)
    found: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        names = list(given)[number:] + list(given)[:number]
        one = ask(subject, subject.instance, {name: given[name] for name in names})
        with lock:
            found.extend(differences(once, one, subject.allowed_difference, ("alone", "among four threads")))

    in_threads(work, found, subject)
    fail_if(found, "keep nothing of a call on self, or leave thread_safe out")
    return "four at once"


def reference(subject: Subject) -> Outcomes:
    """Return the outcomes of ordinary pictures, scored once for all checks."""
    held = subject.notes.get("reference")
    if held is None:
        held = subject.notes["reference"] = ask(subject, subject.instance, ordinary(subject))
    return held


def _untold(outcomes: Outcomes) -> list[str]:
    """Return the outcomes whose words are not one line."""
    found = []
    for name, outcome in outcomes.items():
        text = outcome.reason if isinstance(outcome, Abstention) else outcome.evidence
        if not isinstance(text, str) or len(text.splitlines()) > 1:
            found.append(f"on {name}: {text!r:.60} is not one line")
        elif isinstance(outcome, Abstention) and not text.strip():
            found.append(f"on {name}: an abstention without a reason")
    return found


def _batch_words(subject: Subject) -> str:
    stated = subject.instance.wants
    return f"batches of {stated.batch}" if isinstance(stated, Tiles) else "alone, together, in reverse"


LONGEST_SUMMARY = 100


@check("it has what its kind needs", gate=True)
def complete(subject: Subject) -> str:
    """Name, summary, methods, an options model; `requires` as requirements."""
    fail_if(
        stage_faults(subject.kind, subject.stage), "add what is named here; docs/reference/plugins.md has the contract"
    )
    return ""


@check("its summary is one short sentence")
def summary(subject: Subject) -> str:
    """It stands in `d2f plugin list`."""
    text = subject.stage.summary
    if not text.endswith("."):
        raise Failed(f"'{text}'", "end it with a full stop: it stands as a sentence in `d2f plugin list`")
    if len(text) > LONGEST_SUMMARY:
        raise Failed(f"{len(text)} characters", f"say it in {LONGEST_SUMMARY}, the rest belongs in the docstring")
    return ""


@check("its options are documented")
def documented_options(subject: Subject) -> str:
    """Names as chain files write them, and words for what each takes."""
    from d2f.plugins.describe import options_of

    found = []
    options = options_of(subject.stage)
    for option in options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", option.name):
            found.append(f"{option.name}: not in lower case with underscores")
        if "something else" in option.takes:
            found.append(f"{option.name}: its type has no words; `d2f plugin list` shows '{option.takes}'")
    fail_if(found, "use types that a chain file can hold: numbers, text, true or false, Literal, lists, mappings")
    return ", ".join(option.name for option in options) or "it has none"


@check("the given options are valid", gate=True)
def valid_options(subject: Subject) -> str:
    """Those that the check was called with, or the defaults where none were given."""
    from d2f.plugins.build import option_findings, option_problem

    model = subject.stage.Options
    wrong = option_findings(model, dict(subject.options))
    if not wrong:
        # pydantic takes a default as it stands, so it is held to its field here.
        wrong = option_findings(model, model.model_validate(dict(subject.options)).model_dump(by_alias=True))
    if wrong and not subject.options and all(one.sort == "missing" for one in wrong):
        names = ", ".join(one.name for one in wrong)
        raise Skipped(f"no default for {names}; give options: check_stage({subject.stage.__name__}, {{…}})")
    fail_if(
        [option_problem(subject.kind, subject.name, one).message for one in wrong],
        "a default has to satisfy its own field; options have to satisfy the model",
    )
    return ""


@check("options survive a chain file")
def plain_options(subject: Subject) -> str:
    """Written as plain data and read again, they are the same: `d2f chain fit` and every digest rely on it."""
    options = subject.fitted
    plain = options.model_dump(mode="json", by_alias=True)
    fail_if(_not_plain(plain), "use types that a chain file can hold")
    again = type(options).model_validate(plain)
    if again.model_dump(mode="json", by_alias=True) != plain:
        raise Failed(
            f"{plain} reads back as {again.model_dump(mode='json', by_alias=True)}",
            "let validators return what they were given where it is already in its final form",
        )
    return ""


@check("what it requires is installed", gate=True)
def requirements(subject: Subject) -> str:
    """A stage that cannot be used here cannot be checked here."""
    lacking = unmet_requirements(getattr(subject.stage, "requires", ()) or ())
    if lacking:
        raise Skipped("; ".join(f"'{text}' {fact}" for text, fact in lacking))
    return ", ".join(getattr(subject.stage, "requires", ()) or ()) or "it requires nothing"


def _not_plain(value: Any, path: str = "options") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which no chain file may hold"
    elif value is not None and not isinstance(value, str | int | float | bool):
        yield f"{path} is a {type(value).__name__}"


@check("it prints nothing and warns of nothing")
def quiet(subject: Subject) -> str:
    """On ordinary, tiny and flat pictures: nothing on stdout or stderr, no warning."""
    printed = io.StringIO()
    aside = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with warnings.catch_warnings(record=True) as caught, aside[0], aside[1]:
        warnings.simplefilter("always")
        for call in _calls(subject):
            # What it raises is other checks' business.
            with contextlib.suppress(Failed):
                call()
    said = [f"it warned: {one.category.__name__}: {one.message}" for one in caught]
    said += [f"it printed {line!r:.70}" for line in printed.getvalue().splitlines()[:1]]
    fail_if(
        dict.fromkeys(said),
        "abstain before dividing by zero; put what a person should know into d2f.Score(…, evidence='…')",
    )
    return ""


def _calls(subject: Subject) -> list[Callable[[], object]]:
    stage = subject.instance
    if subject.kind == "detector":
        given = {**ordinary(subject), **hard(subject)}
        return [lambda one=name: ask(subject, stage, {one: given[one]}) for name in given]  # type: ignore[misc]
    if subject.kind == "precondition":
        files = [image_file(picture, name) for name, picture in pictures().items()]
        return [lambda one=one: stage.check(one) for one in files]  # type: ignore[misc]
    return [lambda one=one: stage.apply(one, 1) for one in pictures().values()]  # type: ignore[misc]
