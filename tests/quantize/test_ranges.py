from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.quantization import METHODS as NAMES
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.errors import UsageError
from edgepose.quantize.ranges import METHODS, choose, mse, percentile
from edgepose.quantize.statistics import Observed


def seen(values) -> Observed:
    made = Observed(("range", "histogram"))
    made.add(np.asarray(values, np.float32))
    return made


def with_outlier() -> np.ndarray:
    return np.append(np.random.default_rng(0).normal(0, 1, 200_000), 60.0).astype(np.float32)


def test_minmax_is_the_largest_absolute_value():
    found = choose(seen([-3.0, 0.0, 2.0]), QuantizeOptions())
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
    assert tuple(METHODS) == NAMES


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_always_zero_has_no_scale(method):
    assert choose(seen(np.zeros(100)), QuantizeOptions(method=method)).scale == 0.0


@pytest.mark.parametrize("options", [{"method": "minmx"}, {"percentile": 0.5}, {"percentile": 101}])
def test_options_are_checked(options):
    with pytest.raises(UsageError):
        QuantizeOptions(**options)
