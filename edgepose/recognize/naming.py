"""The name of a network that was recognized."""

from __future__ import annotations

from edgepose.recognize.candidate import Candidate

PLAIN = ("end2end", "model", "network", "onnx")  # file names that say nothing


def name_of(candidate: Candidate) -> str:
    """Return the name of the file without its ending; of a file such as end2end.onnx, the name of its folder."""
    if candidate.path is None:
        return "network"
    path = candidate.path.resolve()
    if path.stem.lower() not in PLAIN:
        return path.stem
    folder = path.parent.parent if path.parent.name == "onnx" else path.parent
    return folder.name or path.stem
