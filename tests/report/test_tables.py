"""Rows of text and the report page, from the results of eval and bench."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_results import accuracy, bench_result, curve, evaluation, latency, readings

from edgepose._files import write_json
from edgepose.errors import EdgeposeError
from edgepose.measure.reading import read_benchmark, read_evaluation
from edgepose.measure.timings import Speedup
from edgepose.metrics.metric import ERROR_IN_PIXELS
from edgepose.metrics.retention import Interval
from edgepose.report import page, tables


def test_accuracy_shows_values_and_what_is_retained() -> None:
    columns, rows = tables.accuracy(evaluation())
    assert columns == ["metric", "openvino fp32", "openvino int8", "retained", "detectable"]
    assert rows == [["pck@0.2", "75.00 [74.00, 76.00]", "74.00 [73.00, 75.00]", "98.67 [90.00, 100.00]", "2.13"]]


def test_an_error_is_printed_in_its_unit() -> None:
    _, rows = tables.accuracy(evaluation(accuracy("fp32", 0.75, None, error_px=8.875)))
    assert rows[1] == ["epe (pixels)", "8.88 [7.88, 9.88]"]


def test_a_metric_that_one_engine_lacks_is_a_dash() -> None:
    first, second = accuracy("fp32", 0.75, None), replace(accuracy("int8", 0.7, None), metrics={})
    assert tables.accuracy(evaluation(first, second))[1][0][2:] == ["-", "-", "-"]
    assert tables.accuracy(evaluation(second, first))[1] == [["pck@0.2", "-", "75.00 [74.00, 76.00]", "-", "-"]]


def test_rows_and_reasons_as_text() -> None:
    value = accuracy("fp32", 0.75, None).metrics["pck@0.2"]
    assert tables.row_line(replace(value, row={"head": 0.9669, "mean": 0.8864})) == "head 96.69, mean 88.64"
    assert tables.row_line(replace(value, row={"head": 9.669}, declared=ERROR_IN_PIXELS)) == "head 9.67"
    engine = replace(accuracy("fp32", 0.75, None), skipped={"a": "x", "b": "y", "c": "x"})
    assert tables.skipped(engine) == {"x": ["a", "c"], "y": ["b"]}


def test_joints_are_printed_without_underscores() -> None:
    engine = accuracy("fp32", 0.75, None)
    assert tables.shown_by_joint(engine) == "pck@0.2"
    assert tables.per_joint(engine, "pck@0.2") == (["joint", "pck@0.2"], [["left wrist", "75.00"]])


def test_speed_compares_with_the_first_engine() -> None:
    engines = (latency("fp32", 10.0), latency("int8", 40.0))
    ratio = Interval(value=4.0, low=3.9, high=4.1)
    faster = Speedup(engine=1, against=0, network=ratio, end_to_end=ratio)
    _, rows = tables.speed(bench_result(engines=engines, ratios=(faster,)))
    assert [row[-1] for row in rows] == ["1", "4.00 [3.90, 4.10]"]


def test_markdown() -> None:
    assert tables.markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n|---|---:|\n| x | 1 |\n"


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    engine = replace(accuracy("int8", 0.7, 0.98, error_px=3.0), notes={"pck@0.2": "n"}, skipped={"pckh@0.5": "no head"})
    made = evaluation(accuracy("fp32", 0.75, None), engine)
    write_json(tmp_path / "eval.json", made.to_json())
    assert read_evaluation(tmp_path / "eval.json") == made
    ratio = Interval(value=4.0, low=3.9, high=4.1)
    ratios = (Speedup(engine=1, against=0, network=ratio, end_to_end=ratio),)
    timed = bench_result(engines=(latency(), latency("int8")), ratios=ratios)
    write_json(tmp_path / "bench.json", timed.to_json())
    assert read_benchmark(tmp_path / "bench.json") == timed


def test_curves_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = evaluation(replace(accuracy("fp32", 0.75, None), curves={"pdj": curve()}))
    write_json(tmp_path / "eval.json", made.to_json())
    assert read_evaluation(tmp_path / "eval.json").to_json() == made.to_json()


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeposeError, match=r"eval\.json"):
        page.write_page(tmp_path, tmp_path / "report.html")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"engines": [{"x": 1}]}', '{"format": 1, "engines": []}', '{"format": 99}', "{", '{"format": 1}'],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "eval.json").write_text(text)
    with pytest.raises(EdgeposeError, match="eval"):
        page.write_page(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_damaged_result_is_refused_with_the_field(tmp_path: Path) -> None:
    value = evaluation().to_json()
    value["engines"][1]["metrics"]["pck@0.2"]["low"] = "much"
    write_json(tmp_path / "eval.json", value)
    with pytest.raises(EdgeposeError, match=r"\$\.engines\[1\]\.metrics.*low.*make it again with edgepose eval --json"):
        read_evaluation(tmp_path / "eval.json")
    value = evaluation().to_json()
    value["engines"][0]["metrics"]["pck@0.2"]["per_joint"] = {}
    write_json(tmp_path / "eval.json", value)
    with pytest.raises(EdgeposeError, match="left_wrist"):
        read_evaluation(tmp_path / "eval.json")
    write_json(tmp_path / "bench.json", bench_result(engines=()).to_json())
    with pytest.raises(EdgeposeError, match="it has no engine"):
        read_benchmark(tmp_path / "bench.json")


def test_a_result_of_another_format_says_so(tmp_path: Path) -> None:
    write_json(tmp_path / "bench.json", bench_result().to_json() | {"format": 7})
    with pytest.raises(EdgeposeError, match="its format is 7, and this version reads 1; make it again"):
        read_benchmark(tmp_path / "bench.json")


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    write_json(tmp_path / "eval.json", evaluation(data="lsp:<script>:test").to_json())
    page.write_page(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script>" not in text
    assert "lsp:&lt;script&gt;:test" in text
    assert text.count("<svg") == 2


WARM = {"tj-thermal": {"first": 51.26, "min": 51.0, "median": 52.0, "max": 60.5, "last": 60.5}}
MOVED = {"<gpu>": {"first": 918.4, "min": 306.0, "median": 918.0, "max": 918.4, "last": 306.0}}
SENSORS = readings(warnings=("the <gpu> clock moved",), temperature_c=WARM, clock_mhz=MOVED)


def test_sensors_have_a_row_each_with_their_unit() -> None:
    _, rows = tables.sensors(bench_result(SENSORS))
    assert rows == [
        ["tj-thermal", "°C", "51.3", "51.0", "52.0", "60.5", "60.5"],
        ["<gpu>", "MHz", "918", "306", "918", "918", "306"],
    ]


def test_the_page_shows_sensors_and_clocks_that_moved(tmp_path: Path) -> None:
    write_json(tmp_path / "bench.json", bench_result(SENSORS).to_json())
    page.write_page(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "the &lt;gpu&gt; clock moved" in text and "<td>&lt;gpu&gt;</td>" in text and "Sensors, 4 samples" in text


def test_results_without_sensors_have_a_page(tmp_path: Path) -> None:
    write_json(tmp_path / "bench.json", json.loads(json.dumps(bench_result().to_json())))
    page.write_page(tmp_path, tmp_path / "report.html")
    assert "Sensors" not in (tmp_path / "report.html").read_text()
