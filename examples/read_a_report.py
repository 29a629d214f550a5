"""Evaluate two engines on labeled images and read what INT8 retained."""

from pathlib import Path
from tempfile import TemporaryDirectory

import edgepose

with TemporaryDirectory() as name:
    folder = Path(name)
    options = edgepose.BuildOptions(precisions=("fp32", "int8"))
    engines = edgepose.build("lite", out=folder / "engines", options=options).engines

    # Rendered figures show how it works; only photographs show how accurate a network is.
    result = edgepose.evaluate(engines, data="synthetic:48", out=folder / "eval.json")

    int8 = result.engines[1]
    for metric in ("pck@0.2", "pck@0.1"):
        value, retention = int8.metrics[metric].interval, int8.retention[metric].kept
        kept = retention.interval
        print(f"{metric}: INT8 {100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]")
        print(f"  retention {100 * kept.value:.2f} % [{100 * kept.low:.2f}, {100 * kept.high:.2f}]")
        print(f"  smallest loss that this sample size can detect: {100 * retention.detectable:.2f} %")
