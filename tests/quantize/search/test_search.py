from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.backends.onnxruntime import make_exact_runner
from edgepose.errors import UsageError
from edgepose.graph.cost import estimated_times
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize.ends import open_ends
from edgepose.quantize.placement import place
from edgepose.quantize.search import search, sensitivity
from edgepose.quantize.search.trials import crop_errors
from edgepose.quantize.search.units import groups_of, units_of
from edgepose.quantize.value_ranges import Sample
from edgepose.quantize.verb import quantize

OPTIONS = QuantizeOptions(bias_correction=False, equalize=False)
FIXED_ENDS = replace(OPTIONS, stem_float=True, head_float=True)


class Stopped(Exception):
    """In place of a signal that ends the process."""


class Counter:
    """Makes runners, counts them, and stops at one of them."""

    def __init__(self, stop_at: int = 10**6) -> None:
        self.made, self.stop_at = 0, stop_at

    def __call__(self, model, tensors):
        self.made += 1
        if self.made > self.stop_at:
            raise Stopped
        return make_exact_runner(model, tensors)


class Killed(Counter):
    """Kills its process at one of the runners."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __call__(self, model, tensors):
        if self.made + 1 == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(model, tensors)


def made_task(nets):
    model = nets.pose_net()
    images = np.random.default_rng(1).normal(size=(32, 3, *nets.SIZE)).astype(np.float32)
    scales = nets.scales_for(prepare(model), images)
    bad = scales.tensors["depthwise6"]
    scales = replace(scales, tensors={**scales.tensors, "depthwise6": replace(bad, scale=bad.scale * 12)})
    return model, nets.make_spec(), scales, images


@pytest.fixture
def task(nets):
    return made_task(nets)


def found(task, counter=None, **given):
    model, spec, scales, images = task
    sample = Sample(inputs=images, make_runner=counter or Counter())
    given = {"cost": estimated_times(prepare(model)), **given}
    cost = given.pop("cost")
    return search(model, spec, scales, given.pop("options", OPTIONS), sample, lambda: cost, **given)


def test_the_worst_layer_becomes_float_first_and_candidates_are_nested(task):
    result = found(task)
    assert result.searched and result.errors["/project"] == max(result.errors.values())
    sets = [set(one.keep_float) for one in result.candidates]
    assert all(small < large for large, small in itertools.pairwise(sets))
    assert sets[-1] == set() and "/project" in sets[-2]
    assert result.candidates[-2].measured.error < 0.2 * result.candidates[-1].measured.error
    assert result.candidates[0].int8_share < result.candidates[-1].int8_share
    assert result.candidates[-1].time < result.candidates[0].time <= 1


def test_a_candidate_is_the_graph_that_quantize_writes(task, nets):
    model, spec, scales, images = task
    one = found(task).candidates[0]
    chosen = replace(scales, keep_float=dict(one.keep_float), int8_ends=one.int8_ends)
    graph = quantize(model, chosen, spec, OPTIONS)
    errors = crop_errors({"heatmaps": nets.run(model, images)[0]}, {"heatmaps": nets.run(graph, images)[0]})
    assert np.mean(errors) == pytest.approx(one.measured.error, rel=0.05)


def test_nothing_is_searched_where_the_first_graph_is_good(task):
    counter = Counter()
    result = found(task, counter, judge=lambda expected, got: {"pck@0.2": 1.0})
    assert not result.searched and len(result.candidates) == 2 and counter.made == 3
    safe, first = result.candidates
    assert set(safe.keep_float) == {"/stem", "/heatmaps"} == set(first.int8_ends)
    assert not safe.int8_ends and not first.keep_float
    alone = found(task, options=FIXED_ENDS, judge=lambda expected, got: {"pck@0.2": 1.0})
    assert len(alone.candidates) == 1 and alone.candidates[0].measured == safe.measured


def test_the_first_and_last_layers_are_units_of_the_search(task):
    """They end up in int8 or float like any other layer, and the nested candidates hold both."""
    model, spec, scales, images = task
    tensor = next(node.input[0] for node in prepare(model).graph.node if node.name == "/heatmaps")
    bad = replace(scales.tensors[tensor], scale=scales.tensors[tensor].scale * 30)
    result = found((model, spec, replace(scales, tensors={**scales.tensors, tensor: bad}), images))
    assert {"/stem", "/heatmaps"} <= result.errors.keys()
    assert result.errors["/heatmaps"] == max(result.errors.values())
    assert result.candidates[-1].int8_ends == ("/stem", "/heatmaps")
    for one in result.candidates:
        assert {"/stem", "/heatmaps"} == set(one.int8_ends) | ({"/stem", "/heatmaps"} & one.keep_float.keys())
    assert all("/heatmaps" in one.keep_float for one in result.candidates[:-1])


@pytest.mark.parametrize(
    "given, free",
    [({"stem_float": True}, {"/heatmaps"}), ({"head_float": True}, {"/stem"}), ({"stem_float": False}, {"/heatmaps"})],
)
def test_options_about_the_first_and_last_layers_bind_the_search(task, given, free):
    result = found(task, options=replace(OPTIONS, **given))
    assert set(result.candidates[-1].int8_ends) == free
    assert ("/stem" in result.errors) == (given.get("stem_float") is not True)


def test_first_and_last_layers_without_a_time_stay_in_float(task):
    cost = {name: pair for name, pair in estimated_times(prepare(task[0])).items() if name != "/stem"}
    result = found(task, cost=cost)
    assert result.candidates[-1].int8_ends == ("/heatmaps",) and "/stem" not in result.errors
    slow = found(task, cost={**estimated_times(prepare(task[0])), "/stem": (1.0, 1.5)})
    assert all(one.keep_float["/stem"] == "search: int8 saves no time" for one in slow.candidates)


def test_layers_that_save_no_time_are_float_in_every_candidate(task):
    cost = {**estimated_times(prepare(task[0])), "/depthwise": (1.0, 1.5)}
    for one in found(task, cost=cost).candidates:
        assert one.keep_float["/depthwise"] == "search: int8 saves no time"


def test_a_search_that_was_stopped_goes_on_where_it_was(task, tmp_path):
    whole, counter = found(task), Counter(stop_at=4)
    with pytest.raises(Stopped):
        found(task, counter, state=tmp_path / "search.json")
    rest = Counter()
    assert found(task, rest, state=tmp_path / "search.json") == whole
    again = Counter()
    assert found(task, again, state=tmp_path / "search.json") == whole and again.made == 1  # the float network
    assert rest.made == whole.graphs + 1 - 3


def test_the_state_of_another_search_is_not_used(task, tmp_path):
    found(task, state=tmp_path / "search.json")
    model, spec, scales, images = task
    counter = Counter()
    result = found((model, spec, scales, images + 1), counter, state=tmp_path / "search.json")
    assert counter.made == result.graphs + 1
    (tmp_path / "search.json").write_text("{")
    assert found(task, state=tmp_path / "search.json") == found(task)


def test_times_of_layers_are_measured_once(task, tmp_path):
    """Times differ from run to run; a search that goes on takes those of its first part, and another place its own."""
    slow = {**estimated_times(prepare(task[0])), "/depthwise": (1.0, 1.5)}
    path = tmp_path / "search.json"
    first = found(task, cost=slow, state=path, place_of_costs="here")
    assert "/depthwise" in first.candidates[-1].keep_float
    assert found(task, state=path, place_of_costs="here") == first
    assert "/depthwise" not in found(task, state=path, place_of_costs="elsewhere").candidates[-1].keep_float


def test_fewer_graphs_than_units(task):
    from edgepose.quantize.search import effort

    assert set(effort.EFFORTS) == {"fast", "default", "thorough"}
    with pytest.raises(UsageError, match="unknown effort 'slow'"):
        found(task, effort="slow")


def test_the_order_is_repaired_where_errors_do_not_add_up(task, monkeypatch):
    def wrong(*given):  # the harmless units seem to be the worst
        return {group: 1e-6 / (1e-9 + error) for group, error in sensitivity.sensitivities(*given).items()}

    def judge(expected, got):
        return {"pck@0.1": 1 - float(np.mean(crop_errors(expected, got)))}

    monkeypatch.setattr("edgepose.quantize.search.verb.sensitivities", wrong)
    result = found(task, judge=judge, floors={"pck@0.1": 1 - 5e-4})
    sets = [set(one.keep_float) for one in result.candidates]
    assert all(small < large for large, small in itertools.pairwise(sets))
    measured = [one.measured.error for one in result.candidates if "/project" in one.keep_float]
    assert measured and max(measured) < 0.3 * result.candidates[-1].measured.error


def test_a_killed_search_goes_on(task, tmp_path):
    """SIGKILL in the middle leaves a file that the next search goes on with, to the same result."""
    whole, path, tests = found(task), tmp_path / "search.json", Path(__file__).parents[2]
    code = f"""if True:
        import importlib.util, sys
        sys.path.insert(0, {str(tests)!r})
        import nets
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("searches", {__file__!r})
        searches = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(searches)
        searches.found(searches.made_task(nets), searches.Killed(at=4), state=Path({str(path)!r}))
    """
    child = subprocess.run([sys.executable, "-c", code], check=False, cwd=tests.parent)
    assert child.returncode == -signal.SIGKILL
    rest = Counter()
    assert found(task, rest, state=path) == whole
    assert rest.made == whole.graphs + 1 - 2  # the network in float, and what the first search did not measure


def test_units_share_a_weight_or_a_tensor(nets, spec):
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "r")
    a, b = net.conv(x, "a", 4, 4), net.conv(x, "b", 4, 4)
    y = net.op("Relu", [net.op("Add", [a, b], "sum")], "rs")
    c = net.op("Conv", [net.op("Relu", [net.conv(y, "c", 4, 4)], "rc"), "d.w"], "e")
    d = net.op("Relu", [net.op("Conv", [c, net.weights("d.w", 4, 4, 1, 1)], "d")], "rd")
    net.conv(d, "heatmaps", 4, 2)
    model = prepare(net.model())
    units = units_of(graph_of(model), place(model, spec))
    assert [unit.nodes for unit in units] == [("/a", "/b"), ("/sum",), ("/c",), ("/e", "/d")]
    assert [unit.kind for unit in units] == ["layer", "Add", "layer", "layer"]
    assert [len(group.units) for group in groups_of(units, 3)] == [3, 1]


def test_a_last_layer_is_no_unit_with_a_layer_inside(nets, spec):
    """The heads of a stacked hourglass read what the next stack reads, and stay in float without it."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "r")
    y = net.op("Relu", [net.conv(x, "a", 4, 4)], "ra")
    net.op("Identity", [net.conv(y, "head", 4, 2)], "first")
    net.conv(net.op("Relu", [net.conv(y, "b", 4, 4)], "rb"), "heatmaps", 4, 2)
    made = net.model()
    made.graph.output.append(helper.make_tensor_value_info("first", TensorProto.FLOAT, None))
    model = prepare(made)
    ends = open_ends(graph_of(model), QuantizeOptions())
    assert set(ends) == {"/stem", "/head", "/heatmaps"}
    units = units_of(graph_of(model), place(model, spec, int8_ends=ends), ends)
    assert ("/b",) in [unit.nodes for unit in units] and ("/head",) in [unit.nodes for unit in units]


def test_errors_of_outputs_that_are_not_finite_are_the_largest():
    expected = {"y": np.ones((3, 2), np.float32)}
    got = {"y": np.array([[1, 1], [np.nan, 1], [1.1, 1]], np.float32)}
    assert crop_errors(expected, got) == pytest.approx((0, 4, 0.005), abs=1e-6)


def test_the_estimated_times_of_depthwise_layers_differ_little(nets):
    times = estimated_times(prepare(nets.pose_net()))
    gain = {name: (slow - fast) / slow for name, (slow, fast) in times.items()}
    assert gain["/expand"] > gain["/depthwise"] > 0
