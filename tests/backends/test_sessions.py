"""What CPU sessions must do beyond test_conformance.py: fixed batches, quantized graphs and arrays of any layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_arithmetic import MOST, Rounding
from onnx.reference import ReferenceEvaluator

from edgepose.backends import load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import OpenOptions, Session
from edgepose.errors import EngineError

MakeTiny = Callable[..., onnx.ModelProto]
Open = Callable[[onnx.ModelProto], Session]


@pytest.fixture(params=["openvino", "onnxruntime"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Build a model with the backend and open it, one thread."""
    backend = load(request.param)

    def build_and_open(model: onnx.ModelProto) -> Session:
        onnx.save(model, tmp_path / "source.onnx")
        (tmp_path / "engine").mkdir()
        backend.build(tmp_path / "source.onnx", tmp_path / "engine", BuildOptions())
        return backend.open(tmp_path / "engine", OpenOptions(threads=1))

    return build_and_open


def reference(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    model.opset_import[0].version = 19  # the first whose Q/DQ the evaluator knows; same meaning here
    return np.asarray(ReferenceEvaluator(model).run(None, {"image": images})[0])


def test_a_network_with_batch_fixed_to_one_runs_any_batch(
    opened: Open, make_tiny: MakeTiny, images: np.ndarray
) -> None:
    with opened(make_tiny(batch=1)) as session:
        found = session.run({"image": images})["heatmaps"]
    np.testing.assert_allclose(found, reference(make_tiny(), images), atol=2e-5)


def test_a_network_with_another_fixed_batch_is_refused(opened: Open, make_tiny: MakeTiny) -> None:
    with pytest.raises(EngineError, match="batch is fixed to 2"):
        opened(make_tiny(batch=2))


def test_a_quantized_network_runs_as_the_graph_says(opened: Open, make_tiny: MakeTiny, images: np.ndarray) -> None:
    """Nearly everywhere to the last bits; but a value that lies between two levels may fall to either."""
    model = make_tiny(quantized=True)
    with opened(model) as session:
        found = session.run({"image": images})["heatmaps"]
    assert max(Rounding(model, {"image": images}).ratios([found])) < MOST
    assert np.mean(np.abs(found - reference(model, images)) > 2e-5) < 0.01


def test_a_float_network_runs_in_fp32_throughout(opened: Open, make_tiny: MakeTiny) -> None:
    with opened(make_tiny()) as session:
        layers = session.layers()
    assert layers
    assert set(layers.values()) == {"fp32"}


def test_views_and_read_only_arrays_are_taken_as_they_are(
    opened: Open, make_tiny: MakeTiny, images: np.ndarray
) -> None:
    plain = images[::2].copy()
    frozen = plain.copy()
    frozen.flags.writeable = False
    channels_last = np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    with opened(make_tiny()) as session:
        expected = session.run({"image": plain})["heatmaps"]
        for feed in (images[::2], frozen, channels_last):
            np.testing.assert_array_equal(session.run({"image": feed})["heatmaps"], expected)
