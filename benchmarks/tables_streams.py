"""The tables about several sources at once, from streams-*.csv and soak.csv; `tables.py` places them."""

from __future__ import annotations

from records import RESULTS, read_csv, read_machine

from edgepose.report.tables import machine_line, markdown

NOT_YET = "Not measured yet.\n"


def speed() -> str:
    """Return frames per second and latency of one and of several streams."""
    if not (RESULTS / "streams-speed.csv").exists():
        return NOT_YET
    lines = read_csv("streams-speed.csv")
    columns = ("fps_each", "fps_all", "latency_p50_ms", "latency_p95_ms", "dropped")
    rows = [[line["sources"], line["streams"], *(line[column] for column in columns)] for line in lines]
    header = [
        "sources", "streams", "frames per second of each", "of all", "median latency in ms", "95th percentile",
        "dropped",
    ]  # fmt: skip
    what = f"Network `{lines[0]['model']}`, {lines[0]['precision']}, {lines[0]['threads']} threads"
    return f"{markdown(header, rows)}\n{what}. {machine_line(read_machine('streams-speed'))}.\n"


def memory() -> str:
    """Return how the memory grew while several videos ran over and over."""
    if not (RESULTS / "streams-memory.csv").exists():
        return NOT_YET
    rows = [list(line.values()) for line in read_csv("streams-memory.csv")]  # every column
    header = ["streams", "minutes", "frames", "MiB in the second quarter", "in the last quarter", "growth", "peak"]
    return f"{markdown(header, rows)}\n{machine_line(read_machine('streams-memory'))}.\n"


def soak() -> str:
    """Return what came of cameras that misbehave."""
    if not (RESULTS / "soak.csv").exists():
        return NOT_YET
    columns = (
        "minutes", "cameras", "frames", "exits", "stalls", "cut_connections", "reconnects", "lost_packets",
        "flipped_bytes", "rss_second_quarter_mib", "rss_last_quarter_mib",
    )  # fmt: skip
    rows = [[line[column] for column in columns] for line in read_csv("soak.csv")]
    header = [
        "minutes", "cameras", "frames", "exits", "pauses", "cut connections", "connected again", "lost packets",
        "flipped bytes", "MiB in the second quarter", "in the last quarter",
    ]  # fmt: skip
    return f"{markdown(header, rows)}\n{machine_line(read_machine('soak'))}.\n"
