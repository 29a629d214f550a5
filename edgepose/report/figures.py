"""Plots of the report page, as SVG text drawn by matplotlib without a display."""

from __future__ import annotations

import io
from typing import Any

from edgepose._optional import optional
from edgepose.report.tables import engine_name

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
PARTS = ("preprocess", "inference", "decode")


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure that no window and no global state knows of."""
    figure = optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def retention(result: dict[str, Any]) -> str | None:
    """Retention of the first engine with its 95 % interval, one dot a metric; None with a single engine."""
    others = [entry for entry in result["engines"] if entry.get("retention")]
    if not others:
        return None
    figure, axes = _axes(7, 0.7 + 0.27 * sum(len(entry["retention"]) for entry in others))
    at, labels = 0, []
    for i, entry in enumerate(others):
        for name, metric in entry["retention"].items():
            value, low, high = (100 * metric[key] for key in ("value", "low", "high"))
            error = [[value - low], [high - value]]
            axes.errorbar(value, at, xerr=error, fmt="o", color=COLORS[i % len(COLORS)], capsize=3)
            labels.append(f"{name}, {engine_name(entry)}")
            at += 1
    axes.axvline(100, color="#999999", linewidth=1)
    axes.set_yticks(range(at), labels)
    axes.invert_yaxis()
    axes.set_xlabel("retained, percent of the first engine (95 % interval over people)")
    return _svg(figure)


def curves(result: dict[str, Any]) -> str | None:
    """The share of joints within a fraction of the reference length: a panel a curve, a line an engine."""
    entries = result["engines"]
    names = list(entries[0].get("curves", {}))
    if not names:
        return None
    figure = optional("matplotlib.figure").Figure(figsize=(3.5 * len(names), 3), layout="constrained")
    for panel, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), panel + 1)
        axes.spines[["top", "right"]].set_visible(False)
        for i, entry in enumerate(entry for entry in entries if name in entry.get("curves", {})):
            curve = entry["curves"][name]
            pooled = [100 * value for value in curve["pooled"]]
            axes.plot(curve["thresholds"], pooled, color=COLORS[i % len(COLORS)], label=engine_name(entry))
        axes.set_ylim(0, 100)
        axes.set_xlabel("fraction of the reference length")
        axes.set_ylabel(f"{name}, percent")
        axes.legend(frameon=False, loc="best")
    return _svg(figure)


def latency(result: dict[str, Any]) -> str:
    """Median milliseconds of each stage, stacked, one bar an engine."""
    entries = result["engines"]
    figure, axes = _axes(7, 0.8 + 0.5 * len(entries))
    left = [0.0] * len(entries)
    for i, part in enumerate(PARTS):
        widths = [entry["stages"][part]["p50_ms"] for entry in entries]
        axes.barh(range(len(entries)), widths, left=left, color=COLORS[i], label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(entries)), [engine_name(entry) for entry in entries])
    axes.invert_yaxis()
    axes.set_xlabel("median milliseconds")
    axes.legend(frameon=False, ncols=len(PARTS), loc="lower right", bbox_to_anchor=(1, 1))
    return _svg(figure)


def per_joint(result: dict[str, Any], metric: str) -> str:
    """A metric of each joint, one bar an engine."""
    entries = [entry for entry in result["engines"] if metric in entry["metrics"]]
    joints = list(entries[0]["metrics"][metric]["per_joint"])
    figure, axes = _axes(7, 3.2)
    width = 0.8 / len(entries)
    for i, entry in enumerate(entries):
        values = [100 * entry["metrics"][metric]["per_joint"][joint] for joint in joints]
        places = [j + (i - (len(entries) - 1) / 2) * width for j in range(len(joints))]
        axes.bar(places, values, width, color=COLORS[i % len(COLORS)], label=engine_name(entry))
    names = [joint.replace("_", " ") for joint in joints]
    axes.set_xticks(range(len(joints)), names, rotation=45, ha="right")
    axes.set_ylabel(f"{metric}, percent")
    axes.legend(frameon=False, ncols=len(entries), loc="lower right", bbox_to_anchor=(1, 1))
    return _svg(figure)
