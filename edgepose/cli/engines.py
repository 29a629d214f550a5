"""What a build tells each backend: its BuildOptions, its calibration cache, or a trtexec line in its place."""

from __future__ import annotations

from pathlib import Path

from edgepose._files import placing
from edgepose.backends.session import BuildOptions
from edgepose.backends.tensorrt.trtexec import ASSUMED, trtexec_line
from edgepose.cli.graphs import BuildRequest, refuse_unused, spec_of, write_graphs
from edgepose.errors import MissingPackage, UsageError

FAMILY = ("tensorrt", "tensorrt_rtx")
# option -> the field of BuildRequest, and the backends that read it
READERS = {
    "--batch": ("batch", FAMILY),
    "--workspace": ("workspace_mib", FAMILY),
    "--builder-level": ("builder_level", FAMILY),
    "--dla-core": ("dla_core", ("tensorrt",)),
    "--timing-cache": ("timing_cache", ("tensorrt",)),
    "--calibration-cache": ("calibration_cache", ("tensorrt",)),
    "--capability": ("capabilities", ("tensorrt_rtx",)),
}


def refuse_unused_engine_options(request: BuildRequest, backends: tuple[str, ...]) -> None:
    """UsageError for an option that none of the backends reads."""
    for option, (name, readers) in READERS.items():
        value = getattr(request, name)
        given = value is not None and value is not False and value != ()  # core 0 is one
        if given and not set(readers) & set(backends):
            raise UsageError(f"{option} is for --backend {' or '.join(readers)}, which is not built here")
    if request.calibration_cache and not any(part.startswith("int8") for part in request.precisions):
        raise UsageError("--calibration-cache is about int8, which --precision does not name")


def job_options(request: BuildRequest, backend: str, precision: str) -> BuildOptions:
    """The options of one engine; those of other backends left out, so that each finds only what it reads."""
    given = {
        name: getattr(request, name)
        for name, readers in READERS.values()
        if backend in readers and name not in ("batch", "calibration_cache", "timing_cache")
    }
    if backend in FAMILY:
        given["batch"] = request.batch or ((1, 1, 8) if request.dla_core is None else (1, 1, 1))
    if backend == "tensorrt":
        given["timing_cache"] = request.timing_cache or request.out / "timing"
        if request.calibration_cache and precision.startswith("int8"):
            given["calibration_cache"] = request.out / "calibration.cache"
    return BuildOptions(precision=precision, **given)


def write_calibration_cache(request: BuildRequest, int8: Path) -> None:
    """OUT/calibration.cache, for the TensorRT that is installed: its version stands in the first line."""
    from edgepose.backends import tensorrt
    from edgepose.graph.lookup import load_onnx
    from edgepose.quantize import calibration_cache

    with placing(request.out / "calibration.cache", request.overwrite) as beside:
        beside.write_text(calibration_cache(load_onnx(int8), tensorrt.version()))


def trtexec_lines(request: BuildRequest) -> list[str]:
    """Write the graphs, and say for each engine what trtexec would be told; no TensorRT is needed."""
    from edgepose.backends.tensorrt import library
    from edgepose.backends.tensorrt.builder import api_of, graph_for

    refuse_unused(request)
    if request.backends != ("tensorrt",):
        raise UsageError("--trtexec is TensorRT's own program; give --backend tensorrt, and no other, with it")
    refuse_unused_engine_options(request, request.backends)
    try:
        api = api_of(library())
    except MissingPackage:
        if request.calibration_cache:
            raise  # the version stands in the cache's first line
        api = ASSUMED
    jobs = {precision: job_options(request, "tensorrt", precision) for precision in request.precisions}
    graphs, _ = write_graphs(request)
    if request.calibration_cache:
        write_calibration_cache(request, graphs["int8"])
    spec = spec_of(graphs["fp32"])
    lines = []
    for precision, choices in jobs.items():
        graph = graphs[graph_for(api, choices)]
        folder = request.out / f"tensorrt-{precision}"
        lines.append(trtexec_line(graph, folder, _input_shapes(graph, spec.input.name), choices, api))
    return lines


def _input_shapes(graph: Path, name: str) -> dict[str, list[int]]:
    """The input's shape, -1 for a free axis."""
    from edgepose.graph.lookup import load_onnx

    port = next(value for value in load_onnx(graph).graph.input if value.name == name)
    return {name: [axis.dim_value or -1 for axis in port.type.tensor_type.shape.dim]}
