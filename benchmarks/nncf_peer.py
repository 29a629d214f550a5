"""Quantize a network with NNCF, on the calibration crops of edgepose; `quantization.py` runs this script.

NNCF is no dependency of edgepose. The script runs in an environment that has both:

    python -m venv nncf && nncf/bin/pip install nncf==3.4.0 -e '.[cpu,data]'
    nncf/bin/python benchmarks/nncf_peer.py FP32.onnx --calib images:PHOTOS --out OUT [--validate lsp:LSP:train]

With --validate, the script runs NNCF's accuracy control. Its validation function returns the share of joints within
0.2 of the torso (PCK@0.2), and the same share for every person, by which NNCF ranks layers; the largest drop is 0.5 %
of the float network. Everything else is at NNCF's defaults. OUT receives model.xml, model.bin and nncf.json.

NNCF quantizes activations behind ReLU to unsigned 8 bits, and OpenVINO multiplies these with `vpmaddubsw` on an x86 CPU
without VNNI or AMX, which saturates. On such a CPU the script tells OpenVINO to compute quantized layers in float while
NNCF validates, which gives the results that exact integers give, and so does `quantization.py` when it measures.
"""

from __future__ import annotations

import argparse
import functools
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._files import sha256_file, write_json
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends.cpu import int8_saturates
from edgepose.codecs.outputs import outputs_of
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, counted
from edgepose.graph.lookup import load_onnx
from edgepose.kernels.cropping import cut
from edgepose.measure.labels import shared_joints
from edgepose.metrics.lengths import TORSO, distance_px

LARGEST_DROP = 0.005  # relative to the float network
RANKING = 100  # people by whom accuracy control ranks layers; NNCF's default of 300 takes hours for 269 convolutions


class Validation:
    """The validation function of accuracy control: PCK@0.2 over people whose torso is labeled.

    Attributes:
        items: Numbers of the people.
    """

    def __init__(self, spec: ModelSpec, data: PoseData, people: int) -> None:
        self._spec = spec
        joints = shared_joints(data, [spec.skeleton])
        self._found = [spec.skeleton.index(joint) for joint in joints]
        self._labeled = [data.skeleton.index(joint) for joint in joints]
        torso = [data.skeleton.index(joint) for joint in TORSO]
        samples = [data[i] for i in counted(data) if data[i].labeled[torso].all()]
        count = min(people, len(samples))
        self._samples = [samples[i * len(samples) // count] for i in range(count)]
        self._torso = [float(distance_px(*sample.xy_image[torso])) for sample in self._samples]
        self._crops = [cut(sample.read(), sample.box_xyxy[None], spec) for sample in self._samples]
        self.items = list(range(count))

    def __call__(self, compiled: Any, items: Iterable[int]) -> tuple[float, list[float]]:
        """Return PCK@0.2 of a compiled model over some people, and of each of them."""
        each = [self._hits(compiled, i) for i in items]
        return float(np.mean(np.concatenate(each))), [float(hits.mean()) for hits in each]

    def _hits(self, compiled: Any, i: int) -> np.ndarray:
        """Return which labeled joints of a person are within 0.2 of the torso, as 0 or 1."""
        crop, inverse = self._crops[i]
        found = compiled({0: crop})
        outputs = {port.any_name: np.array(found[port]) for port in compiled.outputs}
        joints = self._spec.codec.decode(outputs_of(self._spec, outputs, 1), None, inverse, self._spec)[0]
        sample = self._samples[i]
        there = sample.labeled[self._labeled]
        distance = distance_px(joints[self._found, :2], sample.xy_image[self._labeled])
        return (distance[there] <= 0.2 * self._torso[i]).astype(np.float64)


def quantized(path: Path, feed: CalibrationFeed, validation: Validation | None) -> Any:
    """Return the model that NNCF makes of an ONNX file."""
    import nncf
    import openvino as ov

    if int8_saturates():
        ov.compile_model = functools.partial(_exact, ov.compile_model)
    model = ov.Core().read_model(path)
    if any(not port.get_partial_shape().is_static for port in model.inputs):
        model.reshape({feed.spec.input.name: [1, *feed.spec.input.shape]})
    crops = [crop[None] for batch, _ in feed for crop in batch]
    calibration = nncf.Dataset(crops)
    if validation is None:
        return nncf.quantize(model, calibration)
    return nncf.quantize_with_accuracy_control(
        model,
        calibration,
        nncf.Dataset(validation.items),
        validation,
        max_drop=LARGEST_DROP,
        drop_type=nncf.DropType.RELATIVE,
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(ranking_subset_size=RANKING),
    )


def _exact(compile_model: Any, model: Any, device_name: str, config: dict[Any, Any] | None = None) -> Any:
    """Compile a model so that quantized layers compute in float."""
    return compile_model(model, device_name, {**(config or {}), "LP_TRANSFORMS_MODE": "NO"})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--calib", required=True, metavar="KIND:PATH[:SPLIT]")
    parser.add_argument("--limit", type=int, default=512)
    parser.add_argument("--validate", metavar="KIND:PATH[:SPLIT]", help="labeled people: run the accuracy control")
    parser.add_argument("--people", type=int, default=300, help="of them, spread over the data set")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    import nncf
    import openvino as ov

    spec = embedded_spec(load_onnx(given.model), str(given.model))
    began = time.perf_counter()
    feed = CalibrationFeed(open_data(given.calib), spec, limit=given.limit)
    validation = None if given.validate is None else Validation(spec, open_data(given.validate), given.people)
    made = quantized(given.model, feed, validation)
    given.out.mkdir(parents=True, exist_ok=True)
    ov.save_model(made, given.out / "model.xml", compress_to_fp16=False)
    facts = {
        "nncf": nncf.__version__,
        "onnx_sha256": sha256_file(given.model),
        "image_list_sha256": feed.image_list_sha256,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    write_json(given.out / "nncf.json", facts)


if __name__ == "__main__":
    main()
