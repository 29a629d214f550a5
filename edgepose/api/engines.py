"""The options that no backend of a build reads, TensorRT's calibration cache, and trtexec command lines."""

from __future__ import annotations

from pathlib import Path

from edgepose._files import placing
from edgepose._leftovers import only_one
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.graphs import original, refuse_unused, spec_of, write_graphs
from edgepose.api.places import refuse_losses
from edgepose.api.request import BuildRequest
from edgepose.api.verify import failure, verify_graphs
from edgepose.backends.choices import refuse_precision, refuse_unread
from edgepose.backends.declared.tensorrt import CALIBRATION_CACHE, TensorRtOptions
from edgepose.backends.tensorrt.trtexec import ASSUMED, trtexec_line
from edgepose.errors import MissingPackage, UsageError


def refuse_unused_engine_options(request: BuildRequest, backends: tuple[str, ...]) -> None:
    """Raise UsageError for an option that none of the backends reads."""
    refuse_unread(request.engine, backends)
    if wants_cache(request) and not any(part.startswith("int8") for part in request.precisions):
        raise UsageError("--calibration-cache is about int8, which --precision does not name")
    if request.engine.get("float_parts") and not any(part.startswith("int8") for part in request.precisions):
        raise UsageError("--float-parts is about int8, which --precision does not name")


def wants_cache(request: BuildRequest) -> bool:
    """Return whether the build writes a calibration cache for TensorRT."""
    return bool(request.engine.get("calibration_cache"))


def write_calibration_cache(request: BuildRequest, int8: Path) -> None:
    """Write OUT/calibration.cache for the installed TensorRT, whose version is in the first line."""
    from edgepose.backends import tensorrt
    from edgepose.graph.lookup import load_onnx
    from edgepose.quantize import calibration_cache

    with placing(request.out / CALIBRATION_CACHE, request.overwrite) as temporary:
        temporary.write_text(calibration_cache(load_onnx(int8), tensorrt.version()))


def trtexec_lines(request: BuildRequest, *, track: Track = quiet, note: Note = silent) -> list[str]:
    """Write the graphs and return trtexec's command line for each engine; TensorRT itself is not needed."""
    from edgepose.backends.tensorrt import library
    from edgepose.backends.tensorrt.precision import api_of, graph_for

    refuse_unused(request)
    if request.fastest:
        raise UsageError("--fastest times engines, and --trtexec builds none; leave one of them out")
    if request.backends != ("tensorrt",):
        raise UsageError("--trtexec is TensorRT's own program; give --backend tensorrt, and no other, with it")
    refuse_unused_engine_options(request, request.backends)
    for part in request.precisions:
        refuse_precision("tensorrt", part)
    try:
        api = api_of(library())
    except MissingPackage:
        if wants_cache(request):
            raise  # the version stands in the cache's first line
        api = ASSUMED
    jobs = {part: TensorRtOptions.for_build(part, request.out, request.engine) for part in request.precisions}
    with only_one(request.out, "build"):
        refuse_losses(request, ())
        needed = tuple(graph_for(api, choices) for choices in jobs.values())
        written = write_graphs(request, needed, track=track, note=note)
        spec = spec_of(written.paths["fp32"])
        written, _ = verify_graphs(written, original(request, written), spec, request.calib, note)
        if written.failed:
            raise failure(written.failed, [])
        graphs = written.paths
        if wants_cache(request):
            write_calibration_cache(request, graphs["int8"])
    lines = []
    for precision, choices in jobs.items():
        graph = graphs[graph_for(api, choices)]
        folder = request.out / f"tensorrt-{precision}"
        lines.append(trtexec_line(graph, folder, _input_shapes(graph, spec.input.name), choices, api))
    return lines


def _input_shapes(graph: Path, name: str) -> dict[str, list[int]]:
    """Return the shape of the input, -1 for a free axis."""
    from edgepose.graph.lookup import load_onnx

    port = next(value for value in load_onnx(graph).graph.input if value.name == name)
    return {name: [axis.dim_value or -1 for axis in port.type.tensor_type.shape.dim]}
