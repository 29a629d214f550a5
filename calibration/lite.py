"""Calibrate `lite` on 512 photographs of LSP train, and write lite-images.txt and edgepose/zoo/lite.scales.json.

python calibration/lite.py --data ../shared/data [--check]

`--check` calibrates nothing. It compares the frozen list of photographs with the data set, and the scales with the
network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgepose._files import sha256_file, write_bytes
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import check_fresh, read_scales, write_scales
from edgepose.artifacts.spec import embedded_spec
from edgepose.backends.onnxruntime import make_runner
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.lsp import load_lsp
from edgepose.graph.lookup import load_onnx
from edgepose.quantize import calibrate
from edgepose.zoo import zoo_model, zoo_scales

LIMIT = 512
LIST = Path(__file__).resolve().parent / "lite-images.txt"


def main() -> None:
    """Calibrate, or with `--check` compare the committed files with the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    path = zoo_model("lite")
    spec = embedded_spec(load_onnx(path), str(path))
    feed = CalibrationFeed(load_lsp(given.data / "lsp", "train"), spec, limit=LIMIT)
    names = "".join(f"{feed.data[i].name}\n" for i in feed.picked)
    if given.check:
        if LIST.read_text() != names:
            sys.exit(f"{LIST.name} differs from the photographs of {feed.data.name}; use the original data set")
        check_fresh(read_scales(zoo_scales("lite")), sha256_file(path), spec, feed.image_list_sha256)
        return
    scales = calibrate(path, feed, spec, QuantizeOptions(), make_runner=make_runner)
    write_bytes(LIST, names.encode())
    write_scales(zoo_scales("lite"), scales)


if __name__ == "__main__":
    main()
