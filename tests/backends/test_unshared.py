"""Every layer gets its own copy of a shared weight; the graph computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from nets import SIZE, Net, run

from edgepose.backends.unshared import own_weights, unshared

IMAGES = np.random.default_rng(0).normal(size=(2, 3, *SIZE)).astype(np.float32)


def sharing(through: str | None = None) -> onnx.ModelProto:
    """Two convolutions of one weight, read as it is or through a node of its own."""
    net = Net()
    weight = net.weights("w", 8, 8, 3, 3)
    x = net.conv("input", "stem", 3, 8)
    for index in range(2):
        read = weight
        if through == "Transpose":
            read = net.op(through, [weight], f"read{index}", perm=[1, 0, 2, 3])
        elif through == "Identity":
            read = net.op(through, [weight], f"read{index}")
        x = net.op("Conv", [x, read], "heatmaps" if index else "first", pads=[1] * 4)
    return net.model()


@pytest.mark.parametrize("through", [None, "Identity", "Transpose"])
def test_a_copy_computes_the_same(through: str | None) -> None:
    model = sharing(through)
    before = model.SerializeToString()
    made = unshared(model)
    assert made is not None and model.SerializeToString() == before
    onnx.checker.check_model(made)
    assert np.array_equal(run(made, IMAGES)[0], run(model, IMAGES)[0])
    assert len(made.graph.initializer) == len(model.graph.initializer) + 1


def test_equal_constants_of_two_names_are_one_weight() -> None:
    model = sharing()
    again = onnx.TensorProto()
    again.CopyFrom(next(item for item in model.graph.initializer if item.name == "w"))
    again.name = "again"
    model.graph.initializer.append(again)
    model.graph.node[-1].input[1] = "again"
    made = unshared(model)
    assert made is not None and np.array_equal(run(made, IMAGES)[0], run(model, IMAGES)[0])


def test_a_graph_that_shares_nothing_is_used_as_it_is(tmp_path: Path) -> None:
    net = Net()
    net.conv(net.conv("input", "stem", 3, 8), "heatmaps", 8, 5)
    assert unshared(net.model()) is None
    onnx.save(net.model(), tmp_path / "net.onnx")
    with own_weights(tmp_path / "net.onnx") as path:
        assert path == tmp_path / "net.onnx"
    (tmp_path / "text.onnx").write_text("no network")
    with own_weights(tmp_path / "text.onnx") as path:
        assert path == tmp_path / "text.onnx"
