"""Compile an ONNX file into a serialized engine with any library of the TensorRT family.

The imported library is an argument. The code asks it what it supports and never infers that from its version.
These are the features that each generation lacks, as recorded from the bindings; the tests use a double of each:

    8.6           no STRONGLY_TYPED network, no IProgressMonitor, no node name and operator in parser errors;
                  networks need EXPLICIT_BATCH; FP16 and INT8 are builder flags in addition to the Q/DQ graph
    10.0 .. 10.16 nothing that is used here: strong typing, flags and calibrators all exist
    11.x          no FP16 and INT8 flags, no calibrator class, no EXPLICIT_BATCH: the graph alone sets the types
    RTX 1.4+      the same as 11.x; only RTX has ComputeCapability and builds without a GPU

Networks are strongly typed wherever the library supports that, so that the engine computes what the graph defines.
They are weakly typed on 8.6, for a DLA and with a calibration cache; then the flags limit the precision. TF32 is
off, so FP32 means float32.

Run only the tests of this file with `pytest tests/backends/test_trt_build.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepose._files import write_bytes
from edgepose._progress import Track, quiet
from edgepose.backends.declared.tensorrt import FamilyOptions
from edgepose.backends.tensorrt.dla import refuse_dla, send_to_dla
from edgepose.backends.tensorrt.log import Log, log_of, plain
from edgepose.backends.tensorrt.precision import Api, api_of, flags_for, is_weak
from edgepose.backends.tensorrt.progress import watch
from edgepose.errors import BuildError, ModelError

PLAN = "model.plan"
WARNINGS = 3  # number of warnings that become notes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A serialized engine with facts about its network.

    Attributes:
        data: The serialized engine.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        shapes: Smallest, usual and largest shape of each input.
        typing: "strong" or "weak".
        timing_cache: Use of the timing cache: off, miss, partial or hit.
        notes: Remarks for the user, one line each.
    """

    data: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, list[list[int]]]
    typing: str
    timing_cache: str
    notes: tuple[str, ...]


def refuse(trt: ModuleType, options: FamilyOptions) -> None:
    """Refuse options that this library or this board cannot build with, without building anything.

    Raises:
        BuildError: An option cannot be used; the message says why.
    """
    log = log_of(trt)
    log.clear()
    api = api_of(trt)
    if options.calibration_cache is not None and not api.calibrators:
        raise BuildError(f"{log.name} {trt.__version__} takes no calibration cache; build without --calibration-cache")
    if options.dla_core is not None:
        refuse_dla(trt, int(_builder(trt, log).num_DLA_cores), options.dla_core, options)


def compile_plan(
    trt: ModuleType,
    onnx_path: Path,
    options: FamilyOptions,
    timing_cache: Path | None = None,
    track: Track = quiet,
) -> Plan:
    """Parse a graph, configure the builder and build the engine.

    Args:
        trt: The imported library.
        onnx_path: The graph.
        options: Options that `refuse` accepted.
        timing_cache: File of kernel timings for this GPU and version; it is read if it exists, and updated.
        track: Shows the progress.

    Raises:
        BuildError: The library cannot compile the graph; the message names the node and says what to do.
        ModelError: An axis of an input other than the batch axis is free.
    """
    api, log = api_of(trt), log_of(trt)
    log.clear()
    weak = is_weak(api, options)
    builder = _builder(trt, log)
    network = builder.create_network(_creation_flags(trt, api, weak))
    alive = [_parse(trt, api, network, log, onnx_path)]  # the network refers to the parser's weights
    config = builder.create_builder_config()
    shapes = _add_profile(builder, network, config, options)
    _configure(trt, api, config, options)
    if weak:
        alive.append(_set_precision(trt, config, options))
    notes = send_to_dla(trt, config, network, options.dla_core) if options.dla_core is not None else ()
    before = _load_timings(config, timing_cache, log)
    serialized = _serialize(trt, api, builder, network, config, f"building {options.precision}", track)
    if serialized is None:
        raise BuildError(log.reason(f"cannot build {onnx_path}"))
    return Plan(
        data=bytes(serialized),
        inputs=tuple(tensor.name for tensor in _inputs(network)),
        outputs=tuple(network.get_output(index).name for index in range(network.num_outputs)),
        shapes=shapes,
        typing="weak" if weak else "strong",
        timing_cache=_store_timings(config, timing_cache, before),
        notes=(*notes, *_warnings(log)),
    )


def _warnings(log: Log) -> list[str]:
    """Return the first warnings of the build without duplicates, and how many more there are."""
    said = [plain(line) for line in dict.fromkeys(log.warnings)]
    more = [f"{log.name} warns of {len(said) - WARNINGS} more"] if len(said) > WARNINGS else []
    return [f"{log.name} warns: {line}" for line in said[:WARNINGS]] + more


def _builder(trt: ModuleType, log: Log) -> Any:
    try:
        return trt.Builder(log.logger)
    except (TypeError, RuntimeError) as error:  # the C++ factory returned null, and the log has the reason
        raise BuildError(log.reason("cannot start")) from error


def _creation_flags(trt: ModuleType, api: Api, weak: bool) -> int:
    names = trt.NetworkDefinitionCreationFlag
    if not weak:
        return 1 << int(names.STRONGLY_TYPED)
    return 1 << int(names.EXPLICIT_BATCH) if api.explicit_batch else 0


def _parse(trt: ModuleType, api: Api, network: Any, log: Log, onnx_path: Path) -> Any:
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse_from_file(str(onnx_path)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise BuildError(log.reason(f"cannot read {onnx_path}", [_parser_error(api, e, onnx_path) for e in errors]))
    return parser


def _parser_error(api: Api, error: Any, onnx_path: Path) -> str:
    """Return "node '/head/Conv' (Conv): MESSAGE"; 8.6 reports only an index, and the file has the name."""
    text = str(error.desc())
    if api.node_errors:
        name, operator = error.node_name(), error.node_operator()
    else:
        name, operator = _node_of(onnx_path, error.node())
    return f"node {name!r} ({operator}): {text}" if operator else text


def _node_of(onnx_path: Path, index: int) -> tuple[str, str]:
    from edgepose.graph.lookup import load_onnx

    nodes = load_onnx(onnx_path).graph.node
    return (nodes[index].name, nodes[index].op_type) if 0 <= index < len(nodes) else ("", "")


def _inputs(network: Any) -> Iterator[Any]:
    return (network.get_input(index) for index in range(network.num_inputs))


def _add_profile(builder: Any, network: Any, config: Any, options: FamilyOptions) -> dict[str, list[list[int]]]:
    """Add a profile for inputs with a free batch axis; return the smallest, usual and largest shape of each input."""
    profile, shapes, free = builder.create_optimization_profile(), {}, False
    for tensor in _inputs(network):
        axes = [int(axis) for axis in tensor.shape]
        if -1 in axes[1:]:
            raise ModelError(f"input {tensor.name!r} {axes}: only the batch axis may be free; export fixed sizes")
        sizes = options.batch if axes[0] == -1 else (axes[0],) * 3
        shapes[tensor.name] = [[size, *axes[1:]] for size in sizes]
        if axes[0] == -1:
            free = True
            profile.set_shape(tensor.name, *(tuple(shape) for shape in shapes[tensor.name]))
    if free:
        config.add_optimization_profile(profile)
    return shapes


def _configure(trt: ModuleType, api: Api, config: Any, options: FamilyOptions) -> None:
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the inspector reports precisions
    if not api.strongly_typed:  # on 8.6 several contexts can use one profile only with this feature
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    if hasattr(
        trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"
    ):  # RTX only: an allocation during inference would abort a graph capture
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.builder_level is not None:
        config.builder_optimization_level = options.builder_level
    if options.capabilities:
        config.num_compute_capabilities = len(options.capabilities)
        for index, name in enumerate(options.capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, name), index)


def _set_precision(trt: ModuleType, config: Any, options: FamilyOptions) -> Any:
    """Set the flags of a weakly typed network; return its calibrator, if any, which the caller must keep alive."""
    for name in flags_for(options):
        config.set_flag(getattr(trt.BuilderFlag, name))
    if options.calibration_cache is None:
        return None
    from edgepose.backends.tensorrt.calibrator import calibrator_from

    config.int8_calibrator = calibrator_from(trt, options.calibration_cache)
    return config.int8_calibrator


def _load_timings(config: Any, path: Path | None, log: Log) -> bytes | None:
    """Give the builder the timings of earlier builds and return their bytes, which are empty if it rejects them."""
    if path is None:
        return None
    data = path.read_bytes() if path.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(data), False):
        log.clear()
        config.set_timing_cache(config.create_timing_cache(b""), False)
        return b""
    return data


def _store_timings(config: Any, path: Path | None, before: bytes | None) -> str:
    """Write the timings back and return how many were reused: off, miss (none), partial or hit (all)."""
    if path is None or before is None:
        return "off"
    after = bytes(config.get_timing_cache().serialize())
    if after != before:
        write_bytes(path, after)
    if not before:
        return "miss"
    return "hit" if len(after) == len(before) else "partial"  # the cache grows with every new timing


def _serialize(trt: ModuleType, api: Api, builder: Any, network: Any, config: Any, label: str, track: Track) -> Any:
    if not api.progress:
        return builder.build_serialized_network(network, config)
    monitor = watch(trt, label, track)
    config.progress_monitor = monitor
    try:
        made = builder.build_serialized_network(network, config)
    finally:
        monitor.close()
    if monitor.interrupted:
        raise KeyboardInterrupt
    return made
