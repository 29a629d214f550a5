"""Recognize networks that carry no contract: from metadata, files beside them, names and shapes.

    found = recognize(candidate_of(model, path))

A new family is one module and one line in `edgepose.recognize.registry.FAMILIES`.
"""

from __future__ import annotations

from edgepose.errors import SpecError, nearest
from edgepose.recognize.candidate import Candidate, Guess, Port, Recognized, candidate_of
from edgepose.recognize.registry import families
from edgepose.recognize.unknown import unknown

__all__ = ["Candidate", "Guess", "Port", "Recognized", "candidate_of", "recognize", "unknown"]


def recognize(candidate: Candidate, family: str | None = None) -> Recognized | None:
    """Return the contract and the rewritten graph of a network, or None where no family takes it.

    Args:
        candidate: The network.
        family: The only family to try; None tries all of them in order.

    Raises:
        SpecError: There is no such family, or the network contradicts what it says about itself.
    """
    known = list(families())
    if family is not None and family not in {item.name for item in known}:
        names = [item.name for item in known]
        raise SpecError(f"family = {family!r}{nearest(family, names)}")
    for item in known:
        if family in (None, item.name) and (found := item.recognize(candidate)) is not None:
            return found
    return None
