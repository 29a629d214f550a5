"""The message about a network that no family takes."""

from __future__ import annotations

from edgepose.recognize.candidate import SIDE_FILES, Candidate, Port
from edgepose.recognize.forms import Forms
from edgepose.recognize.ports import float_image
from edgepose.recognize.registry import AnyInput, Explaining, families

NEAREST = 3  # families that are named
LARGEST = 6  # outputs and metadata keys that are listed


def unknown(candidate: Candidate, where: str) -> str:
    """Return one line: the ports, what else was found, the families that come close, and what to do.

    Args:
        candidate: A network that no family took.
        where: The file that the message names.
    """
    forms = Forms(candidate)
    near = [
        f"it is not {family.name} because {reason}"
        for family in families()
        if isinstance(family, Explaining)
        and (reason := family.near(forms.form(plain=not isinstance(family, AnyInput)))) is not None
    ]
    names = ", ".join(family.name for family in families())
    close = "; ".join(near[:NEAREST]) if near else f"it resembles none of the families that are recognized ({names})"
    image = float_image(forms.form(plain=True))
    sized = ""
    if image is not None and image.size is None:
        sized = "; it takes images of any size, and some families are told by it: pass --shape HEIGHTxWIDTH"
    return (
        f"{where} carries no edgepose spec and is not recognized. It takes {_ports(candidate.inputs)} and gives "
        f"{_ports(candidate.outputs)}; {_found(candidate)}; {close}{sized}. Describe it in a spec.toml and pass --spec "
        "spec.toml to edgepose build, or spec= to edgepose.load"
    )


def text(port: Port) -> str:
    """Return a port as text, for example 'input float32 [batch, 3, 256, 192]'."""
    if not port.shape:
        return f"{port.name} {port.dtype} of unknown shape"
    return f"{port.name} {port.dtype} [{', '.join('any' if axis is None else str(axis) for axis in port.shape)}]"


def _ports(ports: tuple[Port, ...]) -> str:
    more = [f"{len(ports) - LARGEST} more"] if len(ports) > LARGEST else []
    return " and ".join([*(text(port) for port in ports[:LARGEST]), *more]) or "nothing"


def _found(candidate: Candidate) -> str:
    """Say which metadata and which files that recognizers know were found."""
    keys = [key for key in candidate.metadata if not key.startswith("edgepose.")]
    files = [name for name in SIDE_FILES if name in candidate.beside]
    said = f"its metadata has {', '.join(keys[:LARGEST])}" if keys else "it has no metadata"
    there = ", ".join(files) if files else f"none of {', '.join(SIDE_FILES)}"
    return f"{said}, and {there} lies beside it"
