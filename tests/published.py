"""Stub networks with the inputs and outputs of published ones, and the files that lie beside those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

JOINTS = 17
SIZE = (256, 192)
MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]


def returning(
    values: dict[str, np.ndarray],
    *,
    size: tuple[Any, Any] = SIZE,
    name: str = "input",
    shapes: dict[str, Any] | None = None,
    opset: int = 11,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A network [batch, 3, *size] that returns constants [1, ...], one for each image.

    Each constant is added to 0 times the image's mean, so that nothing can be folded. `shapes` are those that the file
    states of the outputs; None of an output states none.
    """
    nodes = [
        helper.make_node("Cast", [name], ["float_image"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float_image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    outputs = []
    for output, value in values.items():
        whole = value.dtype.kind == "i"
        constants += [
            numpy_helper.from_array(value[None].astype(np.float32), f"{output}.value"),
            numpy_helper.from_array(np.array([-1, *[1] * value.ndim], np.int64), f"{output}.shape"),
        ]
        nodes.append(helper.make_node("Reshape", ["nothing", f"{output}.shape"], [f"{output}.nothing"]))
        added = f"{output}.sum" if whole else output
        nodes.append(helper.make_node("Add", [f"{output}.value", f"{output}.nothing"], [added]))
        if whole:
            nodes.append(helper.make_node("Cast", [added], [output], to=TensorProto.INT64))
        stated = (shapes or {}).get(output, ["batch", *value.shape])
        kind = TensorProto.INT64 if whole else TensorProto.FLOAT
        outputs.append(helper.make_tensor_value_info(output, kind, stated))
    image = helper.make_tensor_value_info(name, dtype, ["batch", 3, *size])
    graph = helper.make_graph(nodes, "net", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)


def places(size: tuple[int, int] = SIZE, joints: int = JOINTS, seed: int = 0) -> np.ndarray:
    """Joints [K, 2] in whole pixels of the input."""
    random = np.random.default_rng(seed)
    return np.stack([random.integers(8, length - 8, joints) for length in size[::-1]], axis=1).astype(np.float32)


def simcc_vectors(xy: np.ndarray, size: tuple[int, int] = SIZE, split: float = 2.0) -> dict[str, np.ndarray]:
    """Vectors whose maxima, of height 0.9 and 0.8, are at the joints."""
    made = []
    for axis, peak in ((0, 0.9), (1, 0.8)):
        bins = np.zeros((len(xy), round(size[1 - axis] * split)), np.float32)
        bins[np.arange(len(xy)), np.rint(xy[:, axis] * split).astype(int)] = peak
        made.append(bins)
    return {"simcc_x": made[0], "simcc_y": made[1]}


def pose_pipeline(
    component: str = "SimCCLabelDecode",
    *,
    size: tuple[int, int] = SIZE,
    stale: tuple[int, int] | None = None,
    output_map: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    normalize: dict[str, Any] | None = None,
    padding: float | None = 1.25,
) -> dict[str, Any]:
    """pipeline.json of a top-down network, as mmdeploy writes it; sizes are (height, width) here."""
    image_size, input_size = list((stale or size)[::-1]), list((stale or size)[::-1])
    center = {"type": "TopDownGetBboxCenterScale", "image_size": image_size}
    tasks = [
        {
            "type": "Task",
            "module": "Transform",
            "name": "Preprocess",
            "input": ["img"],
            "output": ["prep_output"],
            "transforms": [
                {"type": "LoadImageFromFile"},
                center if padding is None else {**center, "padding": padding},
                {"type": "TopDownAffine", "image_size": image_size},
                {"type": "Normalize", **(normalize or {"mean": MEAN, "std": STD, "to_rgb": True})},
                {"type": "ImageToTensor", "keys": ["img"]},
                {"type": "Collect", "keys": ["img"], "meta_keys": ["img_shape"]},
            ],
        },
        {
            "name": "topdown",
            "type": "Task",
            "module": "Net",
            "is_batched": True,
            "input": ["prep_output"],
            "output": ["infer_output"],
            "input_map": {"img": "input"},
            "output_map": output_map or {},
        },
        {
            "type": "Task",
            "module": "mmpose",
            "name": "postprocess",
            "component": component,
            "params": {"input_size": input_size, "simcc_split_ratio": 2.0, **(params or {})},
            "input": ["prep_output", "infer_output"],
            "output": ["post_output"],
        },
    ]
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}}


def mmdeploy_folder(
    folder: Path, model: onnx.ModelProto, pipeline: dict[str, Any], config: str = "", net: str = "end2end.onnx"
) -> Path:
    """The four files that an mmdeploy download holds."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / net)
    models = [{"name": "net", "net": net, "weights": "", "backend": "onnxruntime", "precision": "FP32"}]
    files = {
        "pipeline.json": pipeline,
        "deploy.json": {"version": "1.3.1", "task": "PoseDetector", "models": models, "customs": []},
        "detail.json": {"version": "1.3.1", "codebase": {"task": "PoseDetection", "config": config}},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    return folder
