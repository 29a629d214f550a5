"""Plots of the report page, as SVG text drawn by matplotlib without a display."""

from __future__ import annotations

import io
from typing import Any

from edgepose._optional import optional
from edgepose.measure.results import Evaluation
from edgepose.measure.timings import BenchResult
from edgepose.report.tables import engine_name

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
PARTS = ("preprocess", "inference", "decode")


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """Return (figure, axes) without a window and without matplotlib's global state."""
    figure = optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Any) -> str:
    """Return a figure as SVG text."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def retention(result: Evaluation) -> str | None:
    """Draw the retention of every other engine with its 95 % interval, one dot per metric.

    Returns:
        SVG text; None where no engine has a retention.
    """
    others = [engine for engine in result.engines if engine.retention]
    if not others:
        return None
    figure, axes = _axes(7, 0.7 + 0.27 * sum(len(engine.retention) for engine in others))
    at, labels = 0, []
    for i, engine in enumerate(others):
        for name, retained in engine.retention.items():
            kept = retained.kept.interval
            value, low, high = 100 * kept.value, 100 * kept.low, 100 * kept.high
            error = [[value - low], [high - value]]
            axes.errorbar(value, at, xerr=error, fmt="o", color=COLORS[i % len(COLORS)], capsize=3)
            labels.append(f"{name}, {engine_name(engine)}")
            at += 1
    axes.axvline(100, color="#999999", linewidth=1)
    axes.set_yticks(range(at), labels)
    axes.invert_yaxis()
    axes.set_xlabel("retained, percent of the first engine (95 % interval over people)")
    return svg(figure)


def curves(result: Evaluation) -> str | None:
    """Draw the fraction of joints within a fraction of the reference length: a panel per curve, a line per engine.

    Returns:
        SVG text; None where there is no curve.
    """
    names = list(result.engines[0].curves)
    if not names:
        return None
    figure = optional("matplotlib.figure").Figure(figsize=(3.5 * len(names), 3), layout="constrained")
    for panel, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), panel + 1)
        axes.spines[["top", "right"]].set_visible(False)
        for i, engine in enumerate(engine for engine in result.engines if name in engine.curves):
            curve = engine.curves[name]
            axes.plot(curve.thresholds, 100 * curve.pooled, color=COLORS[i % len(COLORS)], label=engine_name(engine))
        axes.set_ylim(0, 100)
        axes.set_xlabel("fraction of the reference length")
        axes.set_ylabel(f"{name}, percent")
        axes.legend(frameon=False, loc="best")
    return svg(figure)


def latency(result: BenchResult) -> str:
    """Draw the median milliseconds of each stage, stacked, one bar per engine; return SVG text."""
    engines = result.engines
    figure, axes = _axes(7, 0.8 + 0.5 * len(engines))
    left = [0.0] * len(engines)
    for i, part in enumerate(PARTS):
        widths = [engine.stages[part].p50_ms for engine in engines]
        axes.barh(range(len(engines)), widths, left=left, color=COLORS[i], label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(engines)), [engine_name(engine) for engine in engines])
    axes.invert_yaxis()
    axes.set_xlabel("median milliseconds")
    axes.legend(frameon=False, ncols=len(PARTS), loc="lower right", bbox_to_anchor=(1, 1))
    return svg(figure)


def per_joint(result: Evaluation, metric: str) -> str:
    """Draw a metric of each joint, one bar per engine; return SVG text."""
    engines = [engine for engine in result.engines if metric in engine.metrics]
    declared = engines[0].metrics[metric].declared
    joints = list(engines[0].metrics[metric].parts)
    figure, axes = _axes(7, 3.2)
    width, scale = 0.8 / len(engines), 100 if declared.percent else 1
    for i, engine in enumerate(engines):
        parts = engine.metrics[metric].parts
        values = [scale * parts[joint].interval.value for joint in joints]
        places = [j + (i - (len(engines) - 1) / 2) * width for j in range(len(joints))]
        axes.bar(places, values, width, color=COLORS[i % len(COLORS)], label=engine_name(engine))
    names = [joint.replace("_", " ") for joint in joints]
    axes.set_xticks(range(len(joints)), names, rotation=45, ha="right")
    axes.set_ylabel(f"{metric}, {declared.printed_unit}")
    axes.legend(frameon=False, ncols=len(engines), loc="lower right", bbox_to_anchor=(1, 1))
    return svg(figure)
