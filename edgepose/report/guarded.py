"""What the guard of a build found, on the report page: a plot and a table of the candidates of the search."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgepose._optional import optional
from edgepose.artifacts.certificate import NAME, CandidateResult, Certificate, certificate_from, read_certificate
from edgepose.artifacts.manifest import read_manifest
from edgepose.errors import EdgeposeError
from edgepose.report.figures import COLORS, svg

COLUMNS = 2  # panels beside each other


def certificates(folder: Path, engines: Sequence[str]) -> list[Certificate]:
    """Return the certificates of a report, each once.

    Args:
        folder: The folder of the results; its guard.json comes first.
        engines: Paths of the engines that were measured. Those that are no longer there are left out.

    Raises:
        CalibrationError: guard.json is damaged.
    """
    found = [read_certificate(folder / NAME)] if (folder / NAME).is_file() else []
    for path in engines:
        with suppress(EdgeposeError):  # the results stand without the engine
            guard = read_manifest(Path(path)).guard
            made = certificate_from(guard, path) if guard else None
            if made is not None and made not in found:
                found.append(made)
    return found


def table(certificate: Certificate) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows, one row for each candidate from most float layers to most int8 layers."""
    metrics = _metrics(certificate)
    columns = ["candidate", "layers in float", "multiply-adds in int8", "estimated time", *metrics]
    rows = []
    for number, one in enumerate(certificate.candidates):
        name = f"{number + 1}, chosen" if number == certificate.chosen else str(number + 1)
        kept = [_kept(one, metric) for metric in metrics]
        rows.append([name, str(one.float_layers), _percent(one.int8_share), _percent(one.time), *kept])
    return columns, rows


def _metrics(certificate: Certificate) -> list[str]:
    return list(dict.fromkeys(name for one in certificate.candidates for name in one.metrics))


def _kept(one: CandidateResult, metric: str) -> str:
    if metric not in one.metrics:
        return "not tested"
    item = one.metrics[metric]
    return f"{item.retention:.2%} ({item.bound:.2%})"


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.0%}"


def plot(certificate: Certificate) -> str | None:
    """Draw what each candidate retains against its estimated time, one panel for each metric.

    A dot is the estimate, and the line below it ends at the proven bound. Candidates that were not tested are crosses
    at the bottom. Where no times are known, the share of int8 takes their place, and then the place on the path.

    Returns:
        SVG text; None where nothing was tested.
    """
    metrics = _metrics(certificate)
    if not metrics:
        return None
    label, places = _places(certificate)
    columns = min(COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    size = (7 if columns > 1 else 5, 0.6 + 2.5 * rows)
    figure = optional("matplotlib.figure").Figure(figsize=size, layout="constrained")
    for number, metric in enumerate(metrics):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.spines[["top", "right"]].set_visible(False)
        _panel(axes, certificate, metric, places)
        axes.set_xlabel(label)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, ncols=4, loc="outside upper center")
    return svg(figure)


def _places(certificate: Certificate) -> tuple[str, list[float]]:
    """Return the label of the horizontal axis and where each candidate is on it."""
    path = certificate.candidates
    times, shares = [one.time for one in path], [one.int8_share for one in path]
    if all(value is not None for value in times):
        return "estimated time, percent of float", [100 * value for value in times if value is not None]
    if all(value is not None for value in shares):
        return "multiply-adds in int8, percent", [100 * value for value in shares if value is not None]
    return "candidate", [float(number + 1) for number in range(len(path))]


def _panel(axes: Any, certificate: Certificate, metric: str, places: Sequence[float]) -> None:
    """Draw one metric."""
    path = certificate.candidates
    tested = [(x, one.metrics[metric]) for x, one in zip(places, path, strict=True) if metric in one.metrics]
    values = [100 * item.retention for _, item in tested]
    bounds = [100 * item.bound for _, item in tested]
    floor = 100 * tested[0][1].floor
    below = [value - low for value, low in zip(values, bounds, strict=True)]
    axes.errorbar(
        [x for x, _ in tested], values, yerr=[below, [0.0] * len(below)], fmt="o", color=COLORS[0], capsize=3,
        label="estimate, proven bound",
    )  # fmt: skip
    axes.axhline(floor, color=COLORS[1], linewidth=1, linestyle="--", label="asked for")
    low, high = min([floor, *bounds]), max([floor, *values])
    room = 0.12 * max(high - low, 0.1)
    axes.set_ylim(low - 2 * room, high + room)
    if len({round(x, 6) for x in places}) == 1:
        axes.set_xlim(places[0] - 10, places[0] + 10)
    others = [x for x, one in zip(places, path, strict=True) if metric not in one.metrics]
    if others:
        axes.plot(others, [low - room] * len(others), "x", color="#999999", label="not tested")
    if certificate.chosen is not None and metric in path[certificate.chosen].metrics:
        value = 100 * path[certificate.chosen].metrics[metric].retention
        axes.plot(
            [places[certificate.chosen]], [value], "o", markersize=12, fillstyle="none", color=COLORS[2], label="chosen"
        )
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(metric, fontsize="medium")
    axes.set_ylabel("retained, percent")
