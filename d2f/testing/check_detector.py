"""Detectors: pictures, tiles or files to scores."""

from __future__ import annotations

from d2f.api.inputs import FileBytes, Input, Tiles
from d2f.api.outcomes import Abstention, Score
from d2f.testing.batches import Outcomes, ask, differences, hard, ordinary, outcome_text
from d2f.testing.check_answers import reference
from d2f.testing.subject import Failed, Subject, check, fail_if


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
    wanted = subject.instance.wants
    return f"batches of {wanted.batch}" if isinstance(wanted, Tiles) else "alone, together, in reverse"


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
