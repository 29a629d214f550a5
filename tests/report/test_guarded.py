"""The candidates of a guard on the report page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgepose.api.report import report
from edgepose.artifacts.certificate import write_certificate
from edgepose.report.guarded import plot, table
from tests.made_results import certificate


def test_every_candidate_has_a_row_and_the_chosen_one_is_named() -> None:
    columns, rows = table(certificate(3))
    assert columns[4:] == ["pck@0.2", "pck@0.1"]
    assert [row[0] for row in rows] == ["1", "2, chosen", "3"]
    assert rows[1][4] == "99.80% (99.60%)" and rows[2][4] == "not tested"


@pytest.mark.parametrize("count", [1, 2, 10])
def test_paths_of_any_length_are_drawn(count: int) -> None:
    pytest.importorskip("matplotlib")
    drawing = plot(certificate(count))
    assert drawing is not None and drawing.startswith("<svg")


def test_what_was_not_tested_is_not_drawn() -> None:
    one = certificate(1)
    untested = replace(one, test="none", candidates=(replace(one.candidates[0], metrics={}),), answer="unproven")
    assert plot(untested) is None and table(untested)[1]


def test_a_folder_with_a_certificate_alone_makes_a_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_certificate(tmp_path / "guard.json", replace(certificate(1), answer="cannot be kept", chosen=None))
    page = report(tmp_path).read_text()
    assert "cannot be kept" in page and "<svg" in page and "chosen" not in page.split("<table>")[1]
