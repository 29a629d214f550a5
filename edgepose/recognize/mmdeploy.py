"""Top-down networks as mmdeploy deploys them: `pipeline.json` beside the ONNX file says nearly everything.

The downloads of RTMPose, RTMW and DWPose are of this kind. What the graph fixes comes before the file: the image_size
in pipeline.json may be that of another network.
"""

from __future__ import annotations

from typing import Any

from edgepose.errors import SpecError
from edgepose.recognize.candidate import FILES, Candidate, Recognized
from edgepose.recognize.heatmaps import by_stride, maps_of, recognized_maps
from edgepose.recognize.joints import PIXELS, UNIT, joints_of, recognized_joints
from edgepose.recognize.pipeline import Pipeline, config_of, pipeline_of
from edgepose.recognize.ports import Image, float_image
from edgepose.recognize.preprocessing import Preparation, with_padding
from edgepose.recognize.simcc import recognized_vectors, vectors_of

SIMCC = "SimCCLabelDecode"
HEATMAP = "TopdownHeatmapSimpleHeadDecode"
REGRESSION = "DeepposeRegressionHeadDecode"
BY_FILE = "pipeline.json does not say it"


class Mmdeploy:
    """Top-down networks with mmdeploy's pipeline.json beside them."""

    name = "mmdeploy"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize a network by the decoder that its pipeline.json names, see `registry.Family.recognize`."""
        pipeline = pipeline_of(candidate)
        image = float_image(candidate)
        if pipeline is None or pipeline.component not in (SIMCC, HEATMAP, REGRESSION):
            return None
        found = None if image is None else _decoded(candidate, image, pipeline)
        if found is None:
            names = ", ".join(port.name for port in candidate.outputs)
            raise SpecError(
                f"{candidate.path}: {pipeline.path} names the decoder {pipeline.component}, which does not fit the "
                f"outputs {names} of the network; remove the file if it belongs to another network, or pass --spec"
            )
        return found


def _decoded(candidate: Candidate, image: Image, pipeline: Pipeline) -> Recognized | None:
    preparation = _preparation(pipeline)
    how: dict[str, Any] = {"family": "mmdeploy", "source": FILES, "hint": config_of(candidate)}
    if pipeline.component == HEATMAP:
        maps = maps_of(candidate, image, pipeline.size)
        if maps is None:
            return None
        return recognized_maps(candidate, image, maps, preparation, codec=_heatmap_codec(pipeline), **how)
    if pipeline.component == SIMCC:
        vectors = vectors_of(candidate, image, pipeline.size, pipeline.outputs)
        if vectors is not None:
            return recognized_vectors(candidate, image, vectors, preparation, **how)
    joints = joints_of(candidate, image, pipeline.size)
    if joints is None:
        return None
    if pipeline.component == SIMCC:  # with its decoder inside
        return recognized_joints(candidate, image, joints, preparation, unit=PIXELS, **how)
    # mmpose's fractions times the size are pixels whose centers are whole numbers
    return recognized_joints(candidate, image, joints, preparation, unit=UNIT, shift=(0.5, 0.5), **how)


def _preparation(pipeline: Pipeline) -> Preparation:
    normalize = pipeline.normalize
    if normalize is None:  # mmpose reads images as BGR
        plain = Preparation(color="bgr", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        return with_padding(plain, pipeline.padding, BY_FILE)
    made = Preparation(color=normalize.color, mean=normalize.mean, std=normalize.std)
    return with_padding(made, pipeline.padding, BY_FILE)


def _heatmap_codec(pipeline: Pipeline) -> dict[str, object]:
    """Return the parameters of the codec, as mmpose's decoder has them."""
    if pipeline.udp:
        return {"decode": "udp"}
    unbiased = pipeline.params.get("post_process") in ("unbiased", "megvii") or pipeline.params.get("unbiased_decoding")
    return {"decode": "dark" if unbiased else "quarter", **by_stride()}


MMDEPLOY = Mmdeploy()
