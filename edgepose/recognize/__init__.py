"""Recognize networks that carry no contract: from metadata, files beside them, names and shapes.

    found = recognize(candidate_of(model, path))

A new family is one module and one line in `edgepose.recognize.registry.FAMILIES`.
"""

from __future__ import annotations

from dataclasses import replace

from edgepose.errors import SpecError, UsageError, nearest
from edgepose.recognize.candidate import Candidate, Guess, Port, Recognized, candidate_of
from edgepose.recognize.forms import Forms
from edgepose.recognize.registry import AnyInput, Sized, families
from edgepose.recognize.unknown import unknown

__all__ = ["Candidate", "Guess", "Port", "Recognized", "candidate_of", "recognize", "unknown"]


def recognize(candidate: Candidate, family: str | None = None) -> Recognized | None:
    """Return the contract and the rewritten graph of a network, or None where no family takes it.

    Args:
        candidate: The network.
        family: The only family to try; None tries all of them in order.

    Raises:
        SpecError: There is no such family, or the network contradicts what it says about itself.
        UsageError: Classes were asked for that the network does not have.
    """
    known = list(families())
    if family is not None and family not in {item.name for item in known}:
        names = [item.name for item in known]
        raise SpecError(f"family = {family!r}{nearest(family, names)}")
    forms = Forms(replace(candidate, asked=family))
    asked = [item for item in known if family in (None, item.name)]
    for item in asked:
        form = forms.form(plain=not isinstance(item, AnyInput))
        if (found := item.recognize(form)) is not None:
            _refuse_classes(candidate, found)
            return forms.finished(found, form)
    for item in asked if forms.open_size else ():
        if isinstance(item, Sized):
            form = forms.form(plain=not isinstance(item, AnyInput), size=item.usual_size)
            if (found := item.recognize(form)) is not None:
                _refuse_classes(candidate, found)
                return _with_size_guess(forms.finished(found, form), item)
    return None


def _refuse_classes(candidate: Candidate, found: Recognized) -> None:
    """Refuse classes for a network that is no person detector."""
    if candidate.classes and len(found.spec.skeleton):
        raise UsageError(
            f"--det-classes is about detectors of several classes, and {candidate.path} ({found.family}) finds joints; "
            "leave it out"
        )


def _with_size_guess(found: Recognized, family: Sized) -> Recognized:
    height, width = found.spec.input.size
    reason = (
        f"that of published networks of the family {family.name}, as the graph takes images of any size; "
        f"`edgepose build` takes another one with --shape, such as --shape {height}x{width}"
    )
    guess = Guess(field="input.size", value=f"{[height, width]}", reason=reason)
    return replace(found, guesses=(*found.guesses, guess))
