"""Detectors: image to score, or abstention."""

from __future__ import annotations

import threading

from d2f.api.inputs import FileBytes, Input, Tiles
from d2f.api.outcomes import Abstention, Score
from d2f.testing.audit import watched
from d2f.testing.batches import Outcomes, ask, differences, hard, ordinary, shown
from d2f.testing.check import Failed, Skipped, check, fail_if
from d2f.testing.subject import Subject
from d2f.testing.threads import in_threads
from d2f.testing.unchanged import fingerprint, process_state, random_state


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
        reason = shown(next(iter(outcomes.values())))
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
