"""The inputs that checks of graphs and engines run on."""

from __future__ import annotations

import numpy as np

from edgepose.api.graphs import spec_of
from edgepose.api.sample import COUNT, sample_inputs
from edgepose.zoo import zoo_model


def test_rendered_figures_stand_in_for_calibration_images() -> None:
    spec = spec_of(zoo_model("lite"))
    inputs = sample_inputs(spec)
    assert inputs.shape == (COUNT, *spec.input.shape)
    assert inputs.dtype == np.dtype(spec.input.dtype)
    assert np.array_equal(inputs, sample_inputs(spec))
    assert not np.array_equal(inputs[0], inputs[1])


def test_calibration_data_are_taken_where_they_are_given() -> None:
    spec = spec_of(zoo_model("lite"))
    inputs = sample_inputs(spec, "synthetic:3:5")
    assert inputs.shape == (3, *spec.input.shape)
    assert not np.array_equal(inputs, sample_inputs(spec, count=3))
