"""The tables about tracking and smoothing, from tracking-*.csv; `tables.py` places them."""

from __future__ import annotations

from records import RESULTS, read_csv, read_machine

from edgepose.report.tables import machine_line, markdown

NOT_YET = "Not measured yet.\n"


def identities() -> str:
    """Return HOTA and identity switches of each tracker."""
    if not (RESULTS / "tracking-identities.csv").exists():
        return NOT_YET
    columns = ("hota", "deta", "assa", "idf1", "mota")
    rows = [
        [line["sequences"], line["tracker"], *(line[column] for column in columns), f"{float(line['switches']):.0f}"]
        for line in read_csv("tracking-identities.csv")
    ]
    header = ["sequences", "tracker", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "identity switches"]
    return f"{markdown(header, rows)}\n"


def times() -> str:
    """Return the time of one frame with ten people."""
    if not (RESULTS / "tracking-time.csv").exists():
        return NOT_YET
    rows = [[line["tracker"], line["people"], line["p50_ms"]] for line in read_csv("tracking-time.csv")]
    table = markdown(["tracker", "people", "median ms for each frame"], rows)
    return f"{table}\n{machine_line(read_machine('tracking-time'))}.\n"


def smoothing() -> str:
    """Return what smoothing does to jitter, PCK and lag."""
    if not (RESULTS / "tracking-smoothing.csv").exists():
        return NOT_YET
    rows = [
        [
            line["people"],
            f"{100 * float(line['noise_of_size']):.0f} %",
            line["method"],
            f"{line['jitter_reduction']} %",
            line["pck_before"],
            line["pck_after"],
            line["lag_ms"] if line["people"] == "moving" else "-",
        ]
        for line in read_csv("tracking-smoothing.csv")
    ]
    header = ["people", "noise", "method", "less jitter", "PCK@0.2 before", "PCK@0.2 after", "lag in ms"]
    return f"{markdown(header, rows)}\n"


def speed() -> str:
    """Return frames per second of whole runs, and the frames in which somebody is found."""
    if not (RESULTS / "tracking-speed.csv").exists():
        return NOT_YET
    rows = [
        [
            line["method"],
            line["frames"],
            line["detections"],
            line["frames_per_s"],
            f"{line['frames_with_pose_kept']} %",
            line["frames_with_pose_extra"],
        ]
        for line in read_csv("tracking-speed.csv")
    ]
    header = ["method", "frames", "runs of the detector", "frames per second", "frames with a pose kept", "extra"]
    return f"{markdown(header, rows)}\n{machine_line(read_machine('tracking-speed'))}.\n"
