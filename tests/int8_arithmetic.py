"""How far two correct evaluations of one quantized (Q/DQ) graph may differ, and ways to evaluate one.

A Q/DQ graph says which values are rounded to integers. It does not say how the sums between them are computed: one
backend adds 32-bit integers and rescales them, another one computes in float. Two sums that differ in their last bits
may lie on two sides of a rounding boundary, and the layers that follow amplify that step. An outright limit in
decibels therefore depends on the network and on the CPU that it was tuned on.

The tests compare a backend with a float evaluation of the same graph (`evaluate`), and measure the limit on that graph:

- `moved` adds up to half a step, at random, to each value before it is rounded. A quarter of the values then take a
  neighboring level: an error of 1/4 step^2 a value, in every quantized tensor.
- A backend that puts *every* value on a neighboring level, above or below at random, makes an error of 1 step^2 a
  value: four times that energy. Roundings explain no more than this. Rescaling in integers and aligning the scales of
  joined tensors round a value once more, which moves it by half a step each; float sums move it by far less.
- The error energy of a backend, divided by that of `moved`, must therefore stay below `MOST`, which is 4. No CPU's
  numbers enter into it.

`test_int8_arithmetic.py` shows which faults exceed it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.backends import onnxruntime, openvino
from edgepose.backends.cpu import int8_saturates
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import OpenOptions

MOST = 4.0
DRAWS = 4  # the energies of this many random movements are averaged
BACKENDS: dict[str, ModuleType] = {"onnxruntime": onnxruntime, "openvino": openvino}
ARITHMETICS = ("float", "integer")


def evaluate(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph as its nodes say, each computed in float: ONNX Runtime without any optimization."""
    runtime = pytest.importorskip("onnxruntime")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feed)
    return found


def moved(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The graph with up to half a quantization step added, at random, to every value before it is rounded."""
    made = copied(model)
    scales = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    nodes = []
    for index, node in enumerate(model.graph.node):
        if node.op_type != "QuantizeLinear":
            nodes.append(node)
            continue
        values, scale = node.input[0], node.input[1]
        half = 0.5 * float(scales[scale])
        draw, wide, added = (f"{node.output[0]}__{part}" for part in ("draw", "wide", "moved"))
        noise = {"low": -half, "high": half, "seed": float(1000 * seed + index), "dtype": TensorProto.FLOAT}
        nodes += [
            helper.make_node("Cast", [values], [wide], to=TensorProto.FLOAT),
            helper.make_node("RandomUniformLike", [wide], [draw], **noise),
            helper.make_node("Add", [wide, draw], [added]),
        ]
        if scales[scale].dtype == np.float16:
            nodes.append(helper.make_node("Cast", [added], [f"{added}__half"], to=TensorProto.FLOAT16))
            added += "__half"
        changed = onnx.NodeProto()
        changed.CopyFrom(node)
        changed.input[0] = added
        nodes.append(changed)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


class Rounding:
    """A quantized graph and images for it; `ratios` judges what a backend found for them."""

    def __init__(self, model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> None:
        self.feed = feed
        self.exact = evaluate(model, feed)
        draws = [evaluate(moved(model, seed), feed) for seed in range(DRAWS)]
        pairs = zip(self.exact, zip(*draws, strict=True), strict=True)
        self.allowed = [float(np.mean([energy(value - exact) for value in values])) for exact, values in pairs]

    def ratios(self, found: list[np.ndarray]) -> list[float]:
        """For each output: the energy of the backend's error over that of moved roundings."""
        triples = zip(found, self.exact, self.allowed, strict=True)
        return [energy(value - exact) / allowed for value, exact, allowed in triples]


def computing_in(arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make both CPU backends compute quantized layers in `arithmetic`, whatever this CPU is."""
    for module in BACKENDS.values():
        monkeypatch.setattr(module, "int8_saturates", lambda: arithmetic == "float")


def exact_here(model: onnx.ModelProto, arithmetic: str) -> onnx.ModelProto:
    """The graph, or one for which this CPU's integer kernels are exact: see `narrowed`."""
    return narrowed(model) if arithmetic == "integer" and int8_saturates() else model


def run(backend: str, model: onnx.ModelProto, feed: dict[str, np.ndarray], folder: Path) -> list[np.ndarray]:
    """The outputs that a backend's engine of the graph gives; `folder` is created for the engine."""
    module = BACKENDS[backend]
    if module.problem() is not None:
        pytest.skip(str(module.problem()))
    folder.mkdir()
    onnx.save(model, folder / "graph.onnx")
    module.build(folder / "graph.onnx", folder, BuildOptions(precision="int8"))
    with module.open(folder, OpenOptions(threads=1)) as session:
        found = session.run(feed)
    return [found[port.name] for port in model.graph.output]


def energy(values: np.ndarray) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with weights that are even numbers from -62 to 62, in steps twice as large.

    CPUs without VNNI and AMX add two products of 8 bits into 16 bits and cut off what does not fit; for activations
    with a sign oneDNN halves the weights first, and rounds them. With these weights every sum fits and every half is
    an integer, so that the integer kernels of such CPUs compute what those of the other CPUs do.
    """
    made = copied(model)
    tensors = {tensor.name: tensor for tensor in made.graph.initializer}
    for name in {node.input[0] for node in made.graph.node if node.op_type == "DequantizeLinear"} & set(tensors):
        (node,) = (n for n in made.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == name)
        levels, scale = (numpy_helper.to_array(tensors[i]) for i in node.input[:2])
        even = 2 * np.rint(levels / 4).clip(-31, 31).astype(np.int8)
        tensors[name].CopyFrom(numpy_helper.from_array(even, name))
        tensors[node.input[1]].CopyFrom(numpy_helper.from_array(scale * scale.dtype.type(2), node.input[1]))
    return made


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made
