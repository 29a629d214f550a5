"""CSV, Parquet and MOT challenge text."""

from __future__ import annotations

import csv
import json

import pytest


def test_csv(opened, frame, tracked, nobody, two_people, tmp_path) -> None:
    with opened("csv") as sink:
        sink.write(frame(3), two_people)
        sink.write(frame(4), nobody)
        sink.write(frame(5), tracked)
    with (tmp_path / "out").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["clip-000003"] * 2 + ["clip-000004"] + ["clip-000005"] * 2
    assert [row["track_id"] for row in rows] == ["", "", "", "7", ""]
    assert [row["person"] for row in rows] == ["0", "1", "", "0", "1"]
    assert (rows[2]["time_s"], rows[2]["width"], rows[2]["height"], rows[2]["index"]) == ("0.4", "120", "100", "4")
    assert rows[2]["box_x0"] == rows[2]["neck_x"] == ""
    assert float(rows[1]["left_wrist_x"]) == pytest.approx(float(two_people.xy_image[1, 11, 0]), abs=1e-3)
    assert float(rows[0]["box_y1"]) == 90
    assert len(rows[0]) == 13 + 3 * 14


def test_parquet_is_the_same_table(opened, frame, tracked, nobody, tmp_path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("csv", "parquet"):
        with opened(name, tmp_path / name) as sink:
            sink.write(frame(0), tracked)
            sink.write(frame(1), nobody)
    table = parquet.read_table(tmp_path / "parquet")
    with (tmp_path / "csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert table.column_names == rows[0]
    assert table["track_id"].to_pylist() == [7, None, None]
    assert table["time_s"].to_pylist() == [0.0, 0.0, 0.1]
    assert table["neck_x"].to_pylist()[0] == pytest.approx(float(rows[1][rows[0].index("neck_x")]), abs=1e-3)
    facts = json.loads(table.schema.metadata[b"edgepose"])
    assert (facts["format"], facts["fps"], len(facts["skeleton"]["joints"])) == (1, 10.0, 14)


def test_parquet_writes_as_it_goes(opened, frame, tracked, tmp_path, monkeypatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("edgepose.media.results.parquet.ROWS", 10)
    with opened("parquet") as sink:
        for i in range(12):
            sink.write(frame(i), tracked)
            assert len(sink._rows) < 10
    assert parquet.read_metadata(tmp_path / "out").num_row_groups == 3


def test_mot_challenge(opened, frame, tracked, nobody, tmp_path) -> None:
    with opened("mot_challenge") as sink:
        sink.write(frame(0), tracked)
        sink.write(frame(1), nobody)
    assert (tmp_path / "out").read_text().splitlines() == [
        "1,7,10.00,20.00,50.00,70.00,0.90000,-1,-1,-1",
        "1,-1,5.00,5.00,90.00,90.00,0.45000,-1,-1,-1",
    ]
