"""Calibrate a network: observe its activations on images and choose quantization ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepose._outputs import refuse_existing
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.imported import with_contract
from edgepose.api.observed import calibration_feed, observe_scales
from edgepose.artifacts.scales import Scales, write_scales
from edgepose.artifacts.spec import embedded_spec
from edgepose.graph.folder import network_file
from edgepose.graph.lookup import load_onnx


def calibrate(
    model: str | Path,
    *,
    data: str,
    out: str | Path | None = None,
    limit: int = 512,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> Scales:
    """Observe the activations of a network on images and return its quantization scales.

    Args:
        model: An ONNX file that carries its contract, or a network that is recognized (a file, or the folder that it
            was published in). Of the latter, the scales are those of the graph that `build` makes of it.
        data: Images as KIND:PATH[:SPLIT], with at least 32 people.
        out: The scales.json to write; without it nothing is written.
        limit: Largest number of people.
        options: Options of quantization by name (fields of `artifacts.quantization.QuantizeOptions`), such as
            {"method": "percentile"}; they come before those of the contract.
        overwrite: Whether to replace `out`.
        track: Shows the progress.
        note: Receives lines about labels that look wrong, and what was guessed about a recognized network.

    Returns:
        The scales of all observed tensors.

    Raises:
        UsageError: `out` exists and `overwrite` is not set.
        CalibrationError: There are too few people, or an activation cannot be quantized.
        DataError: An image cannot be read.

    Examples:
        >>> calibrate("engines/fp32.onnx", data="images:photos", out="scales.json").images
        40
    """
    path = network_file(Path(model))
    if out is not None:
        refuse_existing(Path(out), overwrite, [model, data])
    with with_contract(path, note) as carrying:
        spec = embedded_spec(load_onnx(carrying), str(path))
        scales = observe_scales(carrying, spec, calibration_feed(data, spec, limit, note), options or {}, track)
    if out is not None:
        write_scales(Path(out), scales)
    return scales
