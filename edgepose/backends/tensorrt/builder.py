"""Building with any library of the TensorRT family: ONNX -> a serialized engine, and what is to be said of it.

The imported module is an argument, and what it can do is asked of it, never guessed from its version. What
each generation lacks (read from the bindings themselves; tests build a double of each from that record):

    8.6           no STRONGLY_TYPED network, no IProgressMonitor, no node name and operator in parser errors;
                  networks need EXPLICIT_BATCH; FP16 and INT8 are builder flags beside the Q/DQ graph
    10.0 .. 10.16 nothing that is used here: strong typing, flags and calibrators stand side by side
    11.x          no FP16 and INT8 flag, no calibrator class, no EXPLICIT_BATCH: types come from the graph alone
    RTX 1.4+      as 11.x; alone has ComputeCapability, and builds without a GPU

Strongly typed wherever it exists: then the engine computes what the graph says. Weakly typed on 8.6, for a
DLA and for a calibration cache, where precision is what the flags allow. TF32 is off: FP32 means float32.

Test alone: `pytest tests/backends/test_trt_build.py`.
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
from edgepose.backends.tensorrt.progress import watch
from edgepose.errors import BuildError, ModelError

PLAN = "model.plan"
# What a weakly typed builder is allowed to choose for each precision; the names are BuilderFlag's.
FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8",), "int8-fp16": ("INT8", "FP16")}
WARNINGS = 3  # that are passed on
CACHED = ("INT8", "FP16")  # with a calibration cache: what has no range runs in half


@dataclass(frozen=True, kw_only=True)
class Api:
    """What a module of the family has; one field a question that the code below depends on."""

    strongly_typed: bool
    weakly_typed: bool
    explicit_batch: bool
    calibrators: bool
    progress: bool
    node_errors: bool
    capabilities: bool


def api_of(trt: ModuleType) -> Api:
    """Ask a module what it has."""
    flags = trt.NetworkDefinitionCreationFlag
    return Api(
        strongly_typed=hasattr(flags, "STRONGLY_TYPED"),
        weakly_typed=hasattr(trt.BuilderFlag, "FP16"),
        explicit_batch=hasattr(flags, "EXPLICIT_BATCH"),
        calibrators=hasattr(trt, "IInt8EntropyCalibrator2") and hasattr(trt.IBuilderConfig, "int8_calibrator"),
        progress=hasattr(trt, "IProgressMonitor"),
        node_errors=hasattr(trt.ParserError, "node_name"),
        capabilities=hasattr(trt, "ComputeCapability"),
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A serialized engine and what the network it came from had. typing: strong or weak."""

    data: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, list[list[int]]]
    typing: str
    timing_cache: str
    notes: tuple[str, ...]


def graph_for(api: Api, options: FamilyOptions) -> str:
    """The precision of the graph to compile: the one asked for, unless flags say part of it.

    A calibration cache goes with the float graph; weakly typed parsers take no float16 scales.
    """
    if options.calibration_cache is not None:
        return "fp32"
    return "int8" if is_weak(api, options) and options.precision == "int8-fp16" else options.precision


def is_weak(api: Api, options: FamilyOptions) -> bool:
    """Whether the network is weakly typed: there is no other way, or what is asked for knows no other."""
    special = options.dla_core is not None or options.calibration_cache is not None
    return not api.strongly_typed or (special and api.weakly_typed)


def refuse(trt: ModuleType, options: FamilyOptions) -> None:
    """BuildError for options that this library or this board cannot build with; nothing is built to find out."""
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
    """Parse, configure and build what `refuse` let pass. BuildError says which node fails and what to do.

    timing_cache: the file of this GPU and version, read where it is there and written anew.
    """
    api, log = api_of(trt), log_of(trt)
    log.clear()
    weak = is_weak(api, options)
    builder = _builder(trt, log)
    network = builder.create_network(_creation_flags(trt, api, weak))
    alive = [_parse(trt, api, network, log, onnx_path)]  # the network reads the parser's weights
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
    """What the library warned of while it built, each once, the first few of them."""
    said = [plain(line) for line in dict.fromkeys(log.warnings)]
    more = [f"{log.name} warns of {len(said) - WARNINGS} more"] if len(said) > WARNINGS else []
    return [f"{log.name} warns: {line}" for line in said[:WARNINGS]] + more


def _builder(trt: ModuleType, log: Log) -> Any:
    try:
        return trt.Builder(log.logger)
    except (TypeError, RuntimeError) as error:  # the C++ factory returned null: the log has the reason
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
    """`node '/head/Conv' (Conv): what is wrong`; 8.6 tells the node's number only, and the file has its name."""
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
    """One profile for inputs with a free batch axis; input -> its smallest, usual and largest shape."""
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
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the inspector tells precisions
    if not api.strongly_typed:  # 8.6: contexts take turns with a profile only where it may be shared
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):  # RTX: an allocation while it runs would end a capture
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
    """The flags of a weakly typed network, and its calibrator where there is one (the caller keeps it alive)."""
    names = FLAGS[options.precision] if options.calibration_cache is None else CACHED
    for name in names:
        config.set_flag(getattr(trt.BuilderFlag, name))
    if options.calibration_cache is None:
        return None
    from edgepose.backends.tensorrt.calibrator import calibrator_from

    config.int8_calibrator = calibrator_from(trt, options.calibration_cache)
    return config.int8_calibrator


def _load_timings(config: Any, path: Path | None, log: Log) -> bytes | None:
    """Give the builder the timings of earlier builds; their bytes (none if it refuses them), None without a file."""
    if path is None:
        return None
    data = path.read_bytes() if path.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(data), False):
        log.clear()
        config.set_timing_cache(config.create_timing_cache(b""), False)
        return b""
    return data


def _store_timings(config: Any, path: Path | None, before: bytes | None) -> str:
    """Write the timings back; what they were worth: off, miss (none were there), partial or hit."""
    if path is None or before is None:
        return "off"
    after = bytes(config.get_timing_cache().serialize())
    if after != before:
        write_bytes(path, after)
    if not before:
        return "miss"
    return "hit" if len(after) == len(before) else "partial"  # it grows with every timing that was not there


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
