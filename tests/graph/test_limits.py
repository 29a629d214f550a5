"""Images and batches that a graph fixes and no memory holds."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pooled import pooled

from edgepose.errors import EdgeposeError, ModelError
from edgepose.export.foreign import import_network

OUTPUTS = {"heatmaps": (1, 17, 64, 48)}


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(
    "image", [(1, 3, 100_000, 192), (1, 3, 256, 2**40), (1, 2**31, 8192, 3), (2**40, 3, 5000, 5000)]
)
def test_a_huge_image_is_refused(image: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no side of an image may be longer than 4096"):
        import_network(saved(pooled(image, OUTPUTS, last_channels=False), tmp_path), None)


@pytest.mark.parametrize("batch", [257, 100_000, 2**40])
@pytest.mark.parametrize("table", [None, {"family": "heatmaps"}])
def test_a_huge_batch_becomes_free(batch: int, table: dict[str, str] | None, tmp_path: Path) -> None:
    start = time.perf_counter()
    model = pooled((batch, 3, 256, 192), {"heatmaps": (batch, 17, 64, 48)})
    made = import_network(saved(model, tmp_path), table)
    assert made.spec.input.size == (256, 192)
    assert made.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value in (0, 1)
    assert time.perf_counter() - start < 60


def test_a_huge_batch_that_the_nodes_demand_is_refused(tmp_path: Path) -> None:
    """Its Reshape holds the number of images."""
    model = pooled((100_000, 3, 256, 192), {"heatmaps": (100_000, 17, 64, 48)})
    shape = next(item for item in model.graph.initializer if item.name == "flat")
    shape.CopyFrom(numpy_helper.from_array(np.array([100_000, 8], np.int64), "flat"))
    with pytest.raises(EdgeposeError) as caught:
        import_network(saved(model, tmp_path), {"family": "heatmaps"})
    assert "\n" not in str(caught.value)


def test_a_small_batch_stays(tmp_path: Path) -> None:
    made = import_network(saved(pooled((4, 3, 256, 192), {"heatmaps": (4, 17, 64, 48)}), tmp_path), None)
    assert made.spec.outputs == ("heatmaps",)


def test_a_graph_that_needs_more_memory_than_there_is(tmp_path: Path) -> None:
    """A Resize makes maps of 2 TiB inside."""
    model = pooled((1, 3, 256, 192), OUTPUTS)
    small = model.graph.node[-1]
    small.output[0] = "small"
    scale = numpy_helper.from_array(np.array([1, 1, 16384, 16384], np.float32), "scale")
    back = numpy_helper.from_array(np.array([1, 1, 1 / 16384, 1 / 16384], np.float32), "back")
    model.graph.initializer.extend([scale, back])
    model.graph.node.append(helper.make_node("Resize", ["small", "", "scale"], ["large"], mode="nearest"))
    model.graph.node.append(helper.make_node("Resize", ["large", "", "back"], ["heatmaps"], mode="nearest"))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, [1, 17, 64, 48]))
    with pytest.raises(ModelError, match="more memory for one image than this machine has"):
        import_network(saved(model, tmp_path), {"family": "heatmaps"})
