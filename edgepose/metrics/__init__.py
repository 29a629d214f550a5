"""The registry of accuracy metrics: one module per metric, one line per module.

To add a metric, write one module that holds a tuple `METRICS` of `Metric` objects (`edgepose.metrics.metric`) and add
one line to `MODULES`. `edgepose eval`, its JSON, the tables and the report page then contain the metric without further
changes, and `tests/metrics/test_conformance.py` checks it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgepose.metrics.metric import Metric

# Name of the metric's family -> the module with its `METRICS`, in the order in which results list them.
MODULES: dict[str, str] = {
    "pck": "edgepose.metrics.pck",
    "pck_oc": "edgepose.metrics.pck_oc",
    "pdj": "edgepose.metrics.pdj",
    "pck_box": "edgepose.metrics.pck_box",
    "pckh": "edgepose.metrics.pckh",
    "pcp": "edgepose.metrics.pcp",
    "oks_ap": "edgepose.metrics.oks_ap",
    "epe": "edgepose.metrics.epe",
    "box_ap": "edgepose.metrics.box_ap",
}


def registered_metrics() -> dict[str, Metric]:
    """Import every registered module and collect its metrics.

    Returns:
        Metric name -> metric, in the order of `MODULES`.

    Raises:
        ValueError: Two metrics have the same name.
    """
    metrics = [metric for module in MODULES.values() for metric in importlib.import_module(module).METRICS]
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"metrics: expected one metric per name, got several named {', '.join(twice)}")
    return dict(zip(names, metrics, strict=True))
