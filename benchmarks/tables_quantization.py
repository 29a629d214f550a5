"""The tables about INT8 with plain defaults, from quantization*.csv and guard.csv; `tables.py` places them."""

from __future__ import annotations

from records import RESULTS, read_csv, read_machine

from edgepose.metrics.retention import Interval
from edgepose.report.tables import machine_line, markdown, percent, with_interval

METRICS = ("pck@0.2", "pck@0.1", "pcp@0.5", "oks_ap")
QUANTIZERS = {
    "int8": "edgepose",
    "int8, no guard": "edgepose, no guard",
    "nncf": "NNCF",
    "nncf accuracy control": "NNCF, accuracy control",
}
NOT_YET = "Not measured yet.\n"


def retention() -> str:
    """Return what each quantizer retains of each network, metric by metric, and the share that it runs in int8."""
    if not _there("quantization.csv"):
        return NOT_YET
    lines = {(line["network"], line["engine"], line["metric"]): line for line in read_csv("quantization.csv")}
    shares = {(line["network"], line["engine"]): line["int8_share"] for line in read_csv("quantization-builds.csv")}
    rows = []
    for network, engine in dict.fromkeys(key[:2] for key in lines):
        if engine == "fp32":
            continue
        cells = [_kept(lines.get((network, engine, metric))) for metric in METRICS]
        fp32 = " / ".join(_share(lines[network, "fp32", metric]["value"]) for metric in ("pck@0.2", "oks_ap"))
        rows.append([network, _quantizer(engine), *cells, _share(shares.get((network, engine), "")), fp32])
    header = ["network", "quantizer", "PCK@0.2 kept [95 %]", "PCK@0.1 kept", "PCP kept", "OKS AP kept",
              "multiply-adds in int8", "FP32: PCK@0.2 / AP"]  # fmt: skip
    people = {line["people"] for line in lines.values()}
    return f"{_texts(markdown(header, rows), 2)}\n{' or '.join(sorted(people))} people of LSP test. {_machine()}\n"


def builds() -> str:
    """Return the answer of the guard, the time and the memory of each build, and latency where integers run."""
    if not _there("quantization-builds.csv"):
        return NOT_YET
    lines = [line for line in read_csv("quantization-builds.csv") if line["engine"] != "fp32"]
    timed = any(line["p50_ms"] for line in lines)
    rows = []
    for line in lines:
        row = [line["network"], _quantizer(line["engine"]), line["guard"] or "-", line["guard_people"] or "-"]
        row.append(_share(line["guard_bound"]))
        row += [f"{float(line['build_seconds']):.0f}", line["build_peak_mib"]]
        rows.append([*row, *(_times(line) if timed else [])])
    header = [
        "network",
        "quantizer",
        "answer of the guard",
        "people of the guard",
        "bound of PCK@0.2",
        "seconds",
        "peak MiB",
    ]
    header += ["ms", "times faster than FP32 [95 %]", "than NNCF [95 %]"] if timed else []
    return f"{_texts(markdown(header, rows), 3)}\n{_machine()}\n"


def fine_tuned() -> str:
    """Return what INT8 graphs retain before and after fine-tuning, metric by metric."""
    if not _there("fine-tune.csv"):
        return NOT_YET
    lines = {(line["engine"], line["metric"]): line for line in read_csv("fine-tune.csv")}
    engines = [engine for engine in dict.fromkeys(key[0] for key in lines) if engine != "fp32"]
    rows = [[engine, *(_kept(lines.get((engine, metric))) for metric in METRICS)] for engine in engines]
    header = ["graph", "PCK@0.2 kept [95 %]", "PCK@0.1 kept", "PCP kept", "OKS AP kept"]
    people = next(iter(lines.values()))["people"]
    machine = machine_line(read_machine("fine-tune"))
    return f"{_texts(markdown(header, rows), 1)}\n{people} people of LSP test. {machine}.\n"


def systems() -> str:
    """Return what INT8 with plain defaults retains of each system, and which layers stay in float."""
    if not _there("quantization-systems.csv"):
        return NOT_YET
    rows = []
    for line in read_csv("quantization-systems.csv"):
        kept = with_interval(_interval(line)) if line["retained"] else "no INT8 engine"
        numbers = [_share(line["fp32_pck@0.2"]), kept, _share(line["detectable"]), _share(line["int8_share"])]
        rows.append([f"`{line['system']}`", line["float_layers"] or "-", line["guard"] or "-", *numbers])
    header = ["system", "layers in float", "answer of the guard", "FP32 PCK@0.2", "kept [95 %]", "detectable",
              "multiply-adds in int8"]  # fmt: skip
    return f"{_texts(markdown(header, rows), 3)}\n{machine_line(read_machine('quantization-systems'))}.\n"


def guard() -> str:
    """Return how often a statement of the guard was wrong, over simulated users."""
    if not _there("guard.csv"):
        return NOT_YET
    rows = []
    for line in read_csv("guard.csv"):
        share = Interval(value=float(line["share"]), low=float(line["low"]), high=float(line["high"]))
        counts = [line[column] for column in ("users", "kept", "unproven", "cannot be kept", "wrong", "bounds")]
        rows.append([line["mode"], line["people"], *counts, line["violated"], with_interval(share)])
    header = ["labels", "people of a user", "users", "kept", "unproven", "cannot be kept", "kept, but wrong",
              "bounds stated", "bounds violated", "share violated [95 %]"]  # fmt: skip
    return f"{_texts(markdown(header, rows), 1)}\n{machine_line(read_machine('guard'))}.\n"


def _there(name: str) -> bool:
    return (RESULTS / name).exists()


def _machine() -> str:
    return f"{machine_line(read_machine('quantization'))}."


def _quantizer(engine: str) -> str:
    return {
        "int8": "edgepose",
        "int8, no guard": "edgepose, no guard",
        "nncf": "NNCF",
        "nncf accuracy control": "NNCF, accuracy control",
    }[engine]


def _share(text: str) -> str:
    return percent(float(text)) if text else "-"


def _interval(line: dict[str, str]) -> Interval:
    return Interval(value=float(line["retained"]), low=float(line["retained_low"]), high=float(line["retained_high"]))


def _kept(line: dict[str, str] | None) -> str:
    return with_interval(_interval(line)) if line is not None and line["retained"] else "-"


def _times(line: dict[str, str]) -> list[str]:
    cells = [line["p50_ms"] or "-"]
    for against in ("faster_than_fp32", "faster_than_nncf"):
        value, low, high = (line[f"{against}{end}"] for end in ("", "_low", "_high"))
        cells.append(f"{float(value):.2f} [{float(low):.2f}, {float(high):.2f}]" if value else "-")
    return cells


def _texts(table: str, columns: int) -> str:
    """Align the first columns of a table as text."""
    lines = table.split("\n")
    cells = lines[1].strip("|").split("|")
    lines[1] = "|" + "|".join(["---"] * columns + cells[columns:]) + "|"
    return "\n".join(lines)
