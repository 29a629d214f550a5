"""CPU backends compute denormal numbers, which some CPUs are slow with, as zero, and change nothing for the caller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.backends import load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import OpenOptions
from edgepose.kernels.denormals import FLUSHES

SHAPE = [1, 3, 16, 12]
SMALL = np.full(SHAPE, 1e-37, np.float32)


def thousandth(path: Path) -> Path:
    """Write a convolution whose outputs are thousandths of its inputs."""
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * np.float32(1e-3), "w")
    node = helper.make_node("Conv", ["image", "w"], ["out"], "/conv")
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("image", "out"))
    graph = helper.make_graph([node], "thousandth", [image], [out], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.skipif(not FLUSHES, reason="needs the host extension")
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_network_has_no_denormals_and_the_caller_keeps_them(tmp_path: Path, backend: str, threads: int) -> None:
    module = load(backend)
    (tmp_path / "engine").mkdir()
    module.build(thousandth(tmp_path / "net.onnx"), tmp_path / "engine", BuildOptions())
    with module.open(tmp_path / "engine", OpenOptions(threads=threads)) as session:
        assert session.run({"image": np.ones(SHAPE, np.float32)})["out"].min() > 0
        assert session.run({"image": SMALL})["out"].max() == 0
    assert (SMALL * np.float32(1e-3)).min() > 0
