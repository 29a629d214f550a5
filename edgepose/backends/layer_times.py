"""Time of each node of a network in float and in int8, measured layer by layer on this machine.

A library fuses nodes into layers and names a layer after one or several of them. The time of a layer belongs to the
nodes with weights in it, in proportion to their multiply-adds; where there are none, to its nodes in equal parts. What
converts a tensor to int8 belongs to the nodes that read it.

Times mean something only where integer kernels run (`measured_times` returns None elsewhere); the caller then takes
`graph.cost.estimated_times`.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose.backends.cpu import int8_saturates
from edgepose.backends.int8_share import SUFFIX
from edgepose.graph.cost import layer_costs, multiply_adds_of
from edgepose.graph.lookup import Graph, graph_of, load_onnx
from edgepose.kernels.denormals import denormals_flushed

if TYPE_CHECKING:
    import onnx

RUNS = 20  # of which each layer's shortest time counts: other processes only add to it
OURS = re.compile(r"__(quantize|dequantize|dequantized|int8)$")  # what quantization adds to the name of a tensor


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One executed layer.

    Attributes:
        names: Names of the nodes that the library fused into it, as far as it says.
        microseconds: Its shortest time.
    """

    names: tuple[str, ...]
    microseconds: float


def can_measure(backend: str) -> bool:
    """Return whether a backend has layer times here, and integer kernels run on this machine."""
    return backend in PROFILERS and not int8_saturates()


def measured_times(
    backend: str, float_path: Path, int8_path: Path, inputs: Array, threads: int = 1
) -> dict[str, tuple[float, float]] | None:
    """Measure each node in float and in int8.

    Args:
        backend: The backend that the engine is for.
        float_path: The float graph.
        int8_path: The graph with most int8 layers.
        inputs: One input of the network, [1, ...].
        threads: Number of threads.

    Returns:
        Name of a node -> its time in microseconds in float and in int8. None where this backend has no layer times
        here, or integer kernels do not run on this machine.
    """
    if not can_measure(backend):
        return None
    profile, graph = PROFILERS[backend], load_onnx(float_path)
    slow, fast = (node_times(graph, profile(path, inputs, threads)) for path in (float_path, int8_path))
    return {name: (slow[name], fast[name]) for name in slow if name in fast}


def node_times(model: onnx.ModelProto, layers: Iterable[LayerTime]) -> dict[str, float]:
    """Return the time of each node of a float graph from the layers of an engine.

    Args:
        model: The float graph.
        layers: The layers of its engine, in float or in int8.

    Returns:
        Name of a node -> microseconds. A node without weights that was fused into another layer takes no time of its
        own.
    """
    graph, counts, layers = graph_of(model), multiply_adds_of(model), list(layers)
    nodes = _known_names(model, graph, {name for layer in layers for name in layer.names})
    times: dict[str, float] = {}
    for layer in layers:
        owners = _owners(graph, nodes, layer.names)
        weights = {name: counts[name] for name in owners if name in counts} or dict.fromkeys(owners, 1)
        total = sum(weights.values()) or 1
        for name in owners:
            times[name] = times.get(name, 0.0) + layer.microseconds * weights.get(name, 0) / total
    return times


def _known_names(model: onnx.ModelProto, graph: Graph, seen: Collection[str]) -> dict[str, str]:
    """Return a node for each name that a layer may have.

    A layer that is named after an activation only is that of the convolution in front of it, if that has none.
    """
    nodes = {node.name: node.name for node in graph.nodes}
    nodes |= {tensor: node.name for node in graph.nodes for tensor in node.output}
    for cost in layer_costs(model):
        own, *others = cost.names
        named = next((name for name in others if name in seen), None)
        if own not in seen and named is not None:
            nodes[named] = own
    return nodes


def _owners(graph: Graph, nodes: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return the nodes that a layer belongs to; for a conversion alone, the readers of its tensor."""
    found = list(dict.fromkeys(nodes[name] for name in names if name in nodes))
    if found:
        return found
    tensors = [OURS.sub("", name) for name in names if OURS.search(name)]
    readers = [node.name for tensor in tensors for node, _ in graph.readers.get(tensor, [])]
    if readers:
        return list(dict.fromkeys(readers))
    # OpenVINO names a conversion FROM_f32_u8_TO
    ends = [known for name in names for known in nodes if name.endswith(f"_{known}")]
    return [nodes[max(ends, key=len)]] if ends else []


def openvino_layers(path: Path, inputs: Array, threads: int) -> list[LayerTime]:
    """Run a graph in OpenVINO with its performance counters on."""
    from edgepose.backends.openvino import properties, read_network
    from edgepose.backends.session import OpenOptions

    core = optional("openvino", "openvino").Core()
    options = {**properties(OpenOptions(threads=threads)), "PERF_COUNT": True}
    model = read_network(core, path)
    model.reshape({model.inputs[0]: list(inputs.shape)})
    runs = []
    with denormals_flushed():
        request = core.compile_model(model, "CPU", options).create_infer_request()
        for _ in range(RUNS):
            request.infer({0: inputs})
            runs.append(request.get_compiled_model().get_runtime_model())
    return shortest([openvino_profile(_entries(run)) for run in runs])


def _entries(runtime_model: Any) -> list[dict[str, str]]:
    keys = ("originalLayersNames", "execTimeMcs")
    entries = []
    for node in runtime_model.get_ordered_ops():
        info = node.get_rt_info()
        entries.append({"name": node.get_friendly_name()} | {key: str(info[key].astype(str)) for key in keys})
    return entries


def openvino_profile(entries: Iterable[Mapping[str, str]]) -> list[LayerTime]:
    """Read the execution graph of OpenVINO.

    Args:
        entries: `name`, `originalLayersNames` and `execTimeMcs` of each executed node.
    """
    layers = []
    for entry in entries:
        if entry["execTimeMcs"] == "not_executed":
            continue
        names = [entry["name"], *entry["originalLayersNames"].split(",")]
        plain = tuple(dict.fromkeys(name.removesuffix("/WithoutBiases").removesuffix("_original") for name in names))
        layers.append(LayerTime(names=tuple(filter(None, plain)), microseconds=float(entry["execTimeMcs"])))
    return layers


def onnxruntime_layers(path: Path, inputs: Array, threads: int) -> list[LayerTime]:
    """Run a graph under ONNX Runtime's profiler."""
    runtime = optional("onnxruntime", "onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = threads, 4
    with tempfile.TemporaryDirectory() as folder:
        settings.enable_profiling, settings.profile_file_prefix = True, str(Path(folder) / "profile")
        session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        for _ in range(RUNS):
            session.run(None, {session.get_inputs()[0].name: inputs})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return onnxruntime_profile(events)


def onnxruntime_profile(events: Iterable[Mapping[str, Any]]) -> list[LayerTime]:
    """Read the events of ONNX Runtime's profiler, several runs in one file."""
    times: dict[str, float] = {}
    for event in events:
        if str(event["name"]).endswith("_kernel_time"):
            name = SUFFIX.sub("", str(event["name"]).removesuffix("_kernel_time"))
            times[name] = min(times.get(name, float("inf")), float(event["dur"]))
    return [LayerTime(names=(name,), microseconds=value) for name, value in times.items()]


def tensorrt_profile(entries: Iterable[Mapping[str, Any]]) -> list[LayerTime]:
    """Read the layer times that `trtexec --exportProfile` writes, or a TensorRT profiler collects in the same form.

    Args:
        entries: `name` and `averageMs` of each layer; other entries, such as the number of runs, are passed over.
    """
    layers = []
    for entry in entries:
        if "averageMs" in entry:
            parts = re.split(r" \+ |\|\|", str(entry["name"]))
            names = tuple(SUFFIX.sub("", part.strip()) for part in parts)
            layers.append(LayerTime(names=names, microseconds=1000 * float(entry["averageMs"])))
    return layers


def shortest(runs: Sequence[Sequence[LayerTime]]) -> list[LayerTime]:
    """Return the layers of several runs of one engine, each with its shortest time."""
    times: dict[tuple[str, ...], float] = {}
    for run in runs:
        for layer in run:
            times[layer.names] = min(times.get(layer.names, float("inf")), layer.microseconds)
    return [LayerTime(names=names, microseconds=value) for names, value in times.items()]


Profiler = Callable[[Path, Array, int], list[LayerTime]]
PROFILERS: dict[str, Profiler] = {"openvino": openvino_layers, "onnxruntime": onnxruntime_layers}
