"""Layer times mapped back to nodes: recorded forms of profiles, and real profiles whose times mean nothing here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.backends import layer_times as lt
from edgepose.graph.prepare import prepare
from edgepose.quantize import quantize

OPENVINO = [  # as OpenVINO 2026.4 names the layers of an int8 graph
    ("input_abcd_acdb_/stem/WithoutBiases", "", "20"),
    ("/stem.w", "/stem.w", "not_executed"),
    ("/stem/WithoutBiases", "/stem/WithoutBiases,/stem,/stem6,stem6__quantize", "100"),
    ("/stem/WithoutBiases_f32_u8_/expand/WithoutBiases", "", "7"),
    ("/expand/WithoutBiases", "/expand/WithoutBiases,Multiply_24537,/expand,/expand6,expand6__quantize", "50"),
    ("/project/WithoutBiases", "/project/WithoutBiases,/project", "9"),
    ("add__quantize", "add__quantize", "5"),
    ("/add", "/add", "3"),
]


def test_layers_of_openvino(nets: Any) -> None:
    keys = ("name", "originalLayersNames", "execTimeMcs")
    layers = lt.openvino_profile([dict(zip(keys, entry, strict=True)) for entry in OPENVINO])
    times = lt.node_times(prepare(nets.pose_net()), layers)
    assert times["/stem"] == 120 and times["/stem6"] == 0  # with the conversion of its input
    assert times["/expand"] == 57 and times["/deconv"] == 5 and times["/add"] == 3


def test_layers_of_onnx_runtime(nets: Any) -> None:
    events = [
        {"name": "/stem_nchwc_kernel_time", "dur": 30},
        {"name": "/stem_nchwc_kernel_time", "dur": 20},
        {"name": "/project_kernel_time", "dur": 6},
        {"name": "/add_token_3_kernel_time", "dur": 2},
        {"name": "stem6__quantize_kernel_time", "dur": 4},
        {"name": "depthwise6_nchwc_kernel_time", "dur": 9},  # fused, and named after its activation
        {"name": "model_run", "dur": 100},
    ]
    times = lt.node_times(prepare(nets.pose_net()), lt.onnxruntime_profile(events))
    # the readers of a converted tensor that have weights share its time
    assert times == {"/stem": 20, "/project": 6, "/add": 2, "/expand": 4, "/depthwise": 9}


def test_layers_of_tensorrt_share_the_time_by_multiply_adds(nets: Any) -> None:
    entries = [{"count": 10}, {"name": "/expand + /expand6 || /project", "averageMs": 0.003}]
    times = lt.node_times(prepare(nets.pose_net()), lt.tensorrt_profile(entries))
    assert times == {"/expand": pytest.approx(1.5), "/expand6": 0, "/project": pytest.approx(1.5)}


@pytest.mark.parametrize("backend", sorted(lt.PROFILERS))
def test_real_profiles_name_every_layer(
    nets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    pytest.importorskip(backend)
    monkeypatch.setattr(lt, "RUNS", 2)
    monkeypatch.setattr(lt, "int8_saturates", lambda: False)
    model, images = nets.pose_net(), nets.Photographs(2).images
    onnx.save(prepare(model), tmp_path / "fp32.onnx")
    int8 = quantize(model, nets.scales_for(prepare(model), images), nets.make_spec())
    onnx.save(int8, tmp_path / "int8.onnx")
    inputs = np.ascontiguousarray(images[:1], np.float32)
    times = lt.measured_times(backend, tmp_path / "fp32.onnx", tmp_path / "int8.onnx", inputs)
    assert times is not None
    assert {"/stem", "/expand", "/depthwise", "/project", "/deconv", "/heatmaps"} <= times.keys()
    assert all(slow >= 0 and fast >= 0 for slow, fast in times.values())


def test_no_times_where_integer_kernels_do_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lt, "int8_saturates", lambda: True)
    assert lt.measured_times("openvino", Path("none"), Path("none"), np.zeros((1, 3, 8, 8), np.float32)) is None
