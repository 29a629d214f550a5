"""Outputs that are rewritten have the values that they had, in the form of the codec."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.grouping import (
    channels_first,
    ends_in_sigmoid,
    maps_and_tags,
    probabilities,
    split_channels,
    with_tags,
)

SIZE = (5, 7)


def network(shapes: dict[str, tuple[int, ...]], opset: int = 13, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A network that hands each of its inputs "NAME.in" over as output NAME."""
    ins = [helper.make_tensor_value_info(f"{name}.in", kind, shape) for name, shape in shapes.items()]
    outs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node("Relu", [f"{name}.in"], [name], f"/{name}") for name in shapes]
    graph = helper.make_graph(nodes, "net", ins, outs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: onnx.ModelProto, feed: dict[str, Array]) -> dict[str, Array]:
    runtime = pytest.importorskip("onnxruntime")
    onnx.checker.check_model(model)
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(names, {f"{name}.in": value for name, value in feed.items()}), strict=True))


def values(*shape: int) -> Array:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("opset", [7, 9, 10, 13, 17])
def test_one_output_is_split(opset: int) -> None:
    given = values(1, 12, *SIZE)
    model = network({"net_output": given.shape}, opset)
    before = model.SerializeToString()
    found = run(split_channels(model, "net_output", {"heatmaps": 5, "pafs": 7}), {"net_output": given})
    assert list(found) == ["heatmaps", "pafs"]
    np.testing.assert_array_equal(found["heatmaps"], given[:, :5])
    np.testing.assert_array_equal(found["pafs"], given[:, 5:])
    assert model.SerializeToString() == before


def test_names_that_are_taken_are_not_used_again() -> None:
    given = values(1, 12, *SIZE)
    model = split_channels(network({"heatmaps": given.shape}), "heatmaps", {"heatmaps": 5, "pafs": 7})
    found = run(model, {"heatmaps": given})
    np.testing.assert_array_equal(next(iter(found.values())), given[:, :5])


def test_channels_come_first() -> None:
    one, other = values(1, *SIZE, 3), values(1, *SIZE, 4)
    model = channels_first(network({"a": one.shape, "b": other.shape, "c": (1, 2)}), ["b", "a"])
    found = list(run(model, {"a": one, "b": other, "c": values(1, 2)}).values())
    np.testing.assert_array_equal(found[0], other.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(found[1], one.transpose(0, 3, 1, 2))


def test_logits_become_probabilities_in_their_place() -> None:
    one, other = values(1, 3, *SIZE), values(1, 4, *SIZE)
    model = network({"a": one.shape, "b": other.shape})
    assert not ends_in_sigmoid(model, "b")
    made = probabilities(model, "b")
    found = list(run(made, {"a": one, "b": other}).items())
    np.testing.assert_array_equal(found[0][1], one)
    np.testing.assert_allclose(found[1][1], 1 / (1 + np.exp(-other)), rtol=1e-5)
    assert ends_in_sigmoid(made, found[1][0]) and not ends_in_sigmoid(made, "a")


def test_a_sigmoid_is_seen_behind_a_transpose() -> None:
    model = probabilities(network({"a": (1, 3, *SIZE)}), "a")
    turned = channels_first(model, [model.graph.output[0].name])
    assert ends_in_sigmoid(turned, turned.graph.output[0].name)


@pytest.mark.parametrize("tags", [3, 1])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_two_resolutions_are_averaged(tags: int, kind: int) -> None:
    low, high = values(1, 3 + tags, *SIZE), values(1, 3, 10, 14)
    dtype, limit = (np.float32, 1e-6) if kind == TensorProto.FLOAT else (np.float16, 2e-3)
    model = with_tags(network({"low": low.shape, "high": high.shape}, kind=kind), "low", "high", 3, tags)
    found = run(model, {"low": low.astype(dtype), "high": high.astype(dtype)})
    larger = np.stack([cv2.resize(channel, (14, 10), interpolation=cv2.INTER_LINEAR) for channel in low[0]])
    np.testing.assert_allclose(found["heatmaps"][0], (larger[:3] + high[0]) / 2, atol=limit)
    np.testing.assert_allclose(found["tags"][0], np.broadcast_to(larger[3:], (3, 10, 14)), atol=limit)


def test_an_old_operator_set_cannot_resize() -> None:
    with pytest.raises(ModelError, match=r"opset 10, .* export it with opset 11 or later"):
        with_tags(network({"low": (1, 6, *SIZE), "high": (1, 3, 10, 14)}, 10), "low", "high", 3, 3)


@pytest.mark.parametrize("tags", [3, 1])
def test_maps_and_tags_are_parted(tags: int) -> None:
    given = values(1, 3 + tags, *SIZE)
    found = run(maps_and_tags(network({"output": given.shape}, 9), "output", 3, tags), {"output": given})
    np.testing.assert_array_equal(found["heatmaps"], given[:, :3])
    np.testing.assert_array_equal(found["tags"], np.broadcast_to(given[:, 3:], (1, 3, *SIZE)))
