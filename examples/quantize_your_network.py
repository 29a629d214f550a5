"""Calibrate a network on images, quantize it to INT8, and compare the poses of both engines."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import edgepose
from edgepose.datasets.rendering.scenes import render_still
from edgepose.zoo import zoo_model

with TemporaryDirectory() as name:
    folder = Path(name)
    network = zoo_model("lite")  # an ONNX file of yours works the same way; see "Bring your network"

    # Real use takes about 500 photographs of the training data, for example data="images:photos".
    edgepose.calibrate(network, data="synthetic:32", out=folder / "scales.json")

    options = edgepose.BuildOptions(precisions=("fp32", "int8"), scales=folder / "scales.json")
    built = edgepose.build(network, out=folder / "engines", options=options)
    for layer, reason in built.kept_float.items():
        print(f"stays in float: {layer} ({reason})")

    image = render_still(seed=1, index=0).image
    found = []
    for engine in built.engines:
        with edgepose.load(engine, threads=1) as pose:
            found.append(pose(image))
            print(pose)
    fp32, int8 = found
    distances = np.linalg.norm(fp32.xy_image[0] - int8.xy_image[0], axis=-1)
    sure = (fp32.scores[0] > 0.3) & (int8.scores[0] > 0.3)  # a joint with a low score may be anywhere
    print(f"joints that both engines find: {sure.sum()} of {len(sure)}")
    print(f"mean distance between them: {distances[sure].mean():.2f} pixels")
