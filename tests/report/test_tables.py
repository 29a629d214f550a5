"""Rows of text from the JSON of eval and bench."""

from __future__ import annotations

from typing import Any

import pytest

from edgepose.errors import EdgeposeError
from edgepose.report import page, tables


def entry(precision: str, value: float, retained: float | None) -> dict[str, Any]:
    metric = {"value": value, "low": value - 0.01, "high": value + 0.01, "per_joint": {"left_wrist": value}}
    made: dict[str, Any] = {
        "backend": "openvino",
        "precision": precision,
        "n": 7,
        "joints": ["left_wrist"],
        "metrics": {"pck@0.2": metric},
    }
    made |= {"path": precision, "skipped": {}}
    made["retention"] = (
        {} if retained is None else {"pck@0.2": {"value": retained, "low": 0.9, "high": 1.0, "smallest": 0.0213}}
    )
    return made


RESULT = {"data": "lsp:x:test", "engines": [entry("fp32", 0.75, None), entry("int8", 0.74, 0.98667)]}


def test_accuracy_shows_values_and_what_is_retained() -> None:
    columns, rows = tables.accuracy(RESULT)
    assert columns == ["metric", "openvino fp32", "openvino int8", "retained", "smallest"]
    assert rows == [["pck@0.2", "75.00 [74.00, 76.00]", "74.00 [73.00, 75.00]", "98.67 [90.00, 100.00]", "2.13"]]


def test_a_metric_the_second_engine_lacks_is_a_dash() -> None:
    second = entry("int8", 0.7, None) | {"metrics": {}}
    _, rows = tables.accuracy({"engines": [RESULT["engines"][0], second]})  # type: ignore[index]
    assert rows[0][2:] == ["-", "-", "-"]


def test_rows_and_reasons_as_text() -> None:
    assert tables.row_line({"head": 0.9669, "mean": 0.8864}) == "head 96.69, mean 88.64"
    assert tables.skipped({"skipped": {"a": "x", "b": "y", "c": "x"}}) == {"x": ["a", "c"], "y": ["b"]}


def test_per_joint_speaks_without_underscores() -> None:
    _, rows = tables.per_joint(RESULT["engines"][0], "pck@0.2")  # type: ignore[index]
    assert rows == [["left wrist", "75.00"]]


def test_speed_compares_with_the_first_engine() -> None:
    stages = {"network": {"p50_ms": 1.0}}
    engines = [
        {"backend": "b", "precision": p, "throughput_ips": t, "pipeline_over_network": 1.1, "stages": stages}
        for p, t in (("fp32", 10.0), ("int8", 40.0))
    ]
    ratio = {"value": 4.0, "low": 3.9, "high": 4.1}
    _, rows = tables.speed({"engines": engines, "ratios": [{"engine": 1, "against": 0, "network": ratio}]})
    assert [row[-1] for row in rows] == ["1", "4.00 [3.90, 4.10]"]


def test_markdown() -> None:
    assert tables.markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n|---|---:|\n| x | 1 |\n"


def test_a_folder_without_results_is_refused(tmp_path: Any) -> None:
    with pytest.raises(EdgeposeError, match=r"eval\.json"):
        page.write_page(tmp_path, tmp_path / "report.html")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{}", "[]", '{"engines": [{"x": 1}]}', '{"data": "d", "engines": []}', "{"])
def test_what_is_no_result_is_refused(tmp_path: Any, text: str) -> None:
    (tmp_path / "eval.json").write_text(text)
    with pytest.raises(EdgeposeError, match="eval"):
        page.write_page(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_page_escapes_what_it_shows(tmp_path: Any) -> None:
    from edgepose._files import write_json

    write_json(tmp_path / "eval.json", RESULT | {"data": "lsp:<script>:test"})
    page.write_page(tmp_path, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script>" not in text
    assert "lsp:&lt;script&gt;:test" in text
    assert text.count("<svg") == 2
