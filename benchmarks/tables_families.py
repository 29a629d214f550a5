"""The tables of published networks that are recognized: benchmarks/results/families.csv as Markdown."""

from __future__ import annotations

from records import RESULTS, read_csv, read_machine

from edgepose.metrics.retention import Interval
from edgepose.report.tables import machine_line, markdown, with_interval

METRIC_NAMES = {
    "pck@0.2": "PCK@0.2", "pck@0.1": "PCK@0.1", "oks_ap": "OKS AP", "box_ap": "box AP", "box_ap50": "box AP50",
    "box_ar50": "people found",
}  # fmt: skip
DATA_NAMES = {"lsp": "LSP test", "coco-mini": "COCO-mini val"}


def measured_on(lines: list[dict[str, str]]) -> str:
    """Return which processor each network was measured on, and the machine of the latest run."""
    networks: dict[str, dict[str, None]] = {}
    for line in lines:
        networks.setdefault(line["cpu"], {})[line["network"]] = None
    each = "; ".join(f"{', '.join(names)}: {cpu}" for cpu, names in networks.items())
    return f"Measured on: {each}. The machine of the latest run: {machine_line(read_machine('families'))}."


def accuracy() -> str:
    """Return the accuracy of published networks that are recognized, beside that measured outside."""
    if not (RESULTS / "families.csv").exists():
        return "Not measured yet.\n"
    rows, lines = [], [line for line in read_csv("families.csv") if line["precision"] == "fp32"]
    for line in lines:
        value, low, high = (float(line[end]) / 100 for end in ("value", "low", "high"))
        its = Interval(value=value, low=low, high=high)
        names = [line["network"], line["family"], line["recognized_from"], line["guesses"].replace(" ", ", ") or "none"]
        where = DATA_NAMES[line["data"]]
        rows.append([*names, where, METRIC_NAMES[line["metric"]], with_interval(its), line["outside"] or "-"])
    header = ["network", "family", "recognized from", "guessed", "data", "metric", "FP32 [95 %]", "measured outside"]
    return f"{markdown(header, rows)}\n{measured_on(lines)}\n"


def int8() -> str:
    """Return what guarded INT8 keeps of published networks that find people by themselves."""
    lines = read_csv("families.csv") if (RESULTS / "families.csv").exists() else []
    floats = {(line["network"], line["data"], line["metric"]): line for line in lines if line["precision"] == "fp32"}
    rows = []
    for line in (line for line in lines if line["precision"] == "int8"):
        first = floats[line["network"], line["data"], line["metric"]]
        kept = f"{line['kept']} [{line['kept_low']}, {line['kept_high']}]"
        about = [line["network"], line["guard"], line["float_layers"], DATA_NAMES[line["data"]], line["people"]]
        rows.append([*about, METRIC_NAMES[line["metric"]], first["value"], line["value"], kept])
    if not rows:
        return "Not measured yet.\n"
    header = ["network", "guard", "float layers", "data", "people", "metric", "FP32", "INT8", "kept [95 %]"]
    return f"{markdown(header, rows)}\n{measured_on([line for line in lines if line['precision'] == 'int8'])}\n"
