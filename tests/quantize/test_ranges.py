from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgepose.artifacts.quantization import METHODS as NAMES
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.backends.onnxruntime import make_runner
from edgepose.errors import UsageError
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import array_of, prepare
from edgepose.quantize.observe import observe
from edgepose.quantize.placement import observed_readers
from edgepose.quantize.ranges import ESTIMATORS, STEPS, choose, choose_all
from edgepose.quantize.ranges.entropy import entropy
from edgepose.quantize.ranges.mse import mse
from edgepose.quantize.ranges.output_error import output_errors
from edgepose.quantize.ranges.percentile import percentile
from edgepose.quantize.statistics import STATISTICS, Observed


def seen(values) -> Observed:
    made = Observed(tuple(STATISTICS))
    made.add(np.asarray(values, np.float32))
    return made


def with_outlier() -> np.ndarray:
    return np.append(np.random.default_rng(0).normal(0, 1, 200_000), 60.0).astype(np.float32)


def test_minmax_is_the_largest_absolute_value():
    found = choose(seen([-3.0, 0.0, 2.0]), "minmax", QuantizeOptions())
    assert (found.min, found.max) == (-3.0, 2.0) and found.scale == pytest.approx(3 / 127)


@pytest.mark.parametrize("percent", [90.0, 99.0, 99.99, 100.0])
def test_percentile_is_numpys_to_a_bin_and_at_most_the_maximum(percent):
    values = np.random.default_rng(1).laplace(0, 2, 100_000).astype(np.float32)
    made = seen(values)
    got = percentile(made, QuantizeOptions(method="percentile", percentile=percent))
    assert got <= made["range"].magnitude
    assert got == pytest.approx(np.percentile(np.abs(values), percent), abs=1.01 * made["histogram"].limit / 2048)


def test_mse_clips_an_outlier_where_that_pays():
    values = with_outlier()
    made = seen(values)
    threshold = mse(made, QuantizeOptions(method="mse"))

    def error(limit: float) -> float:
        scale = limit / 127
        return float(np.square(np.clip(np.rint(values / scale), -127, 127) * scale - values).sum())

    assert threshold < made["range"].magnitude and error(threshold) < error(made["range"].magnitude)


@pytest.mark.parametrize("outlier", [8.0, 33.0, 60.0, 250.0])
@pytest.mark.parametrize("times", [1, 100, 10_000])
def test_mse_is_within_a_twentieth_of_the_best_threshold(outlier, times):
    """Many values, each counted `times`, and one outlier: the more values, the lower the best threshold."""
    values = np.random.default_rng(3).normal(0, 1, 20_000).astype(np.float32)

    def error(limit: float) -> float:
        scale = limit / 127
        rounding = np.square(np.clip(np.rint(values / scale), -127, 127) * scale - values).sum()
        return float(times * rounding + (outlier - limit) ** 2)

    made = seen(np.append(values, np.float32(outlier)))
    made["histogram"].counts[made["histogram"].counts > 0] *= times
    made["histogram"].counts[int(outlier / made["histogram"].limit * made["histogram"].counts.size)] = 1
    best = min(error(limit) for limit in np.geomspace(1, outlier, 400))
    assert error(mse(made, QuantizeOptions(method="mse"))) <= 1.05 * best


def test_mse_keeps_the_whole_of_a_flat_tensor():
    made = seen(np.linspace(0, 6, 10_001))
    assert mse(made, QuantizeOptions(method="mse")) == pytest.approx(6, rel=0.02)


def test_contracts_may_name_every_method():
    assert ("auto", *ESTIMATORS) == NAMES


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_tensor_that_is_always_zero_has_no_scale(method):
    assert choose(seen(np.zeros(100)), method, QuantizeOptions()).scale == 0.0


def test_image_max_is_the_mean_of_the_maxima_of_the_images():
    made = Observed(tuple(STATISTICS))
    for largest in (1.0, 2.0, 9.0):
        made.add(np.array([[0.5, -largest]], np.float32))
    found = choose(made, "image_max", QuantizeOptions())
    assert found.scale == pytest.approx(4 / 127) and found.method == "image_max"


def test_entropy_clips_an_outlier_and_keeps_the_whole_of_a_flat_tensor():
    clipped = entropy(seen(with_outlier()), QuantizeOptions())
    assert 2.0 < clipped < 30.0  # of values with standard deviation 1 and one of 60
    assert entropy(seen(np.linspace(0, 6, 10_001)), QuantizeOptions()) == pytest.approx(6, rel=0.02)


def rounded(values: np.ndarray, threshold: float) -> np.ndarray:
    scale = np.float32(threshold / STEPS)
    return np.clip(np.rint(values / scale), -STEPS, STEPS) * scale


@pytest.mark.parametrize("batch", ["batch", 3])
def test_output_errors_are_those_of_quantizing_each_tensor_alone(nets, batch):
    model = prepare(nets.pose_net(shape=(batch, 3, *nets.SIZE)))
    images = nets.Photographs(6).images
    every = nets.run_all(model, images[:3])
    wanted = every | {name: np.concatenate([a, b]) for (name, a), b in zip(
        every.items(), nets.run_all(model, images[3:]).values(), strict=True
    )}  # fmt: skip
    readers = observed_readers(model)
    thresholds = np.array([0.2, 1.0, 4.0])
    found = output_errors(model, readers, dict.fromkeys(readers, thresholds), images, make_runner)
    graph = graph_of(model)
    assert found.keys() == readers.keys()
    for tensor in readers:
        errors = np.zeros(3)
        for name, index in readers[tensor]:
            node = next(node for node in graph.nodes if node.name == name)
            inputs = [wanted[x] if x in wanted else array_of(graph, x) for x in node.input]
            alone = single(node, inputs)
            for k, threshold in enumerate(thresholds):
                inputs[index] = rounded(wanted[tensor], threshold)
                errors[k] += np.square(single(node, inputs) - alone).sum() / np.square(alone).sum()
        np.testing.assert_allclose(found[tensor], errors, rtol=1e-3)


def single(node: onnx.NodeProto, inputs: list[np.ndarray]) -> np.ndarray:
    return ReferenceEvaluator(node).run(None, dict(zip(node.input, inputs, strict=True)))[0]


def test_auto_takes_for_each_tensor_the_method_with_the_least_output_error(nets, spec):
    model = prepare(nets.pose_net())
    feed, options = nets.Photographs(40), QuantizeOptions()
    readers = observed_readers(model)
    seen = observe(model, feed, spec, tuple(readers), tuple(STATISTICS), make_runner=make_runner)
    found = choose_all(model, seen, readers, options, feed.images[:8], make_runner)
    by_method = {m: {name: choose(item, m, options) for name, item in seen.items()} for m in ESTIMATORS}
    candidates = {name: np.array([by_method[m][name].scale * STEPS for m in ESTIMATORS]) for name in readers}
    errors = output_errors(model, readers, candidates, feed.images[:8], make_runner)
    for name, item in found.items():
        assert item == by_method[item.method][name]
        assert errors[name][list(ESTIMATORS).index(item.method)] == pytest.approx(errors[name].min(), rel=1e-4)


@pytest.mark.parametrize("options", [{"method": "minmx"}, {"percentile": 0.5}, {"percentile": 101}])
def test_options_are_checked(options):
    with pytest.raises(UsageError):
        QuantizeOptions(**options)
