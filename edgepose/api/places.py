"""Where a build may write: its outputs replace no input, and one build at a time writes into a folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

from edgepose._leftovers import only_one
from edgepose._outputs import existing_paths, refuse_existing, refuse_existing_folder
from edgepose.api.request import PRECISIONS, BuildRequest
from edgepose.artifacts.manifest import NAME as MANIFEST

P = ParamSpec("P")
R = TypeVar("R")


def refuse_losses(request: BuildRequest, folders: Iterable[Path]) -> None:
    """Refuse a build that would replace one of its inputs, a folder that is no engine, or anything unasked.

    Args:
        request: The build.
        folders: The engine folders that it makes.

    Raises:
        UsageError: A folder exists and `overwrite` is not set, is no engine folder, or an output is an input.
        EdgeposeError: The output folder cannot be written to.
    """
    given = [request.model, request.spec, request.scales, request.calib]
    for folder in folders:
        refuse_existing_folder(folder, request.overwrite, MANIFEST, given)
    for path in (request.out / name for name in ("scales.json", *(f"{part}.onnx" for part in PRECISIONS))):
        if not path.exists():
            continue
        # What is copied onto itself stays as it is.
        kept = request.scales if path.name == "scales.json" else None
        kept = Path(request.model) if path.name == "fp32.onnx" and request.spec is None else kept
        inputs = [source for source in existing_paths(given) if source.is_file() and source != kept]
        refuse_existing(path, True, inputs)


def one_build(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that holds the lock of the folder in its argument `out` while it works."""

    @functools.wraps(function)
    def locked(*args: P.args, **given: P.kwargs) -> R:
        with only_one(Path(str(given["out"])), "build"):
            return function(*args, **given)

    return locked
