"""The scales of a build: which precisions need them, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import sha256_file
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.guarded import Found
from edgepose.api.request import BuildRequest, is_quantized
from edgepose.artifacts.scales import Scales, check_fresh, read_scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import CalibrationError

if TYPE_CHECKING:
    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.samples import PoseData

UNCALIBRATED = "int8 needs calibration: pass --calib KIND:PATH (images like those it will see)"


def wants_int8(request: BuildRequest) -> bool:
    """Return whether one of the precisions is INT8."""
    return any(part.startswith("int8") for part in request.precisions)


def wants_scales(request: BuildRequest) -> bool:
    """Return whether one of the precisions is INT8 or FP8, which need the scales of a calibration."""
    return any(is_quantized(part) for part in request.precisions)


def find_scales(
    request: BuildRequest, fp32: Path, spec: ModelSpec, *, track: Track = quiet, note: Note = silent
) -> Found:
    """Read or observe the scales to quantize with; refuse stale ones."""
    from edgepose.graph.lookup import load_onnx
    from edgepose.graph.prepare import prepare
    from edgepose.quantize import place
    from edgepose.quantize.ranges import parameters as parameters_of

    here = request.out / "scales.json"
    feed, held_out = (None, None) if request.calib is None else _calibration_parts(request, request.calib, spec, note)
    given = _given_scales(request, here, feed is not None)
    if given is not None:
        scales = read_scales(given)
        images = feed.image_list_sha256 if feed else None
        earlier = given == here and feed is not None  # without the file, the contract's method would be used now
        asked = vars(spec.quantize.changed(request.quantize))
        given_names = {name for name, value in request.quantize.items() if value is not None}
        method = asked["method"] if earlier or "method" in given_names else None
        names = parameters_of(asked["method"]) if method else ()
        parameters = {name: asked[name] for name in names if earlier or name in given_names}
        try:
            check_fresh(scales, sha256_file(fp32), spec, images, method, parameters)
        except CalibrationError as error:
            remedy = "; --overwrite calibrates again" if given == here else ""
            if given != here and images not in (None, scales.image_list_sha256):
                remedy = "; to test these scales on other people, give labeled ones with --guard, without --calib"
            raise CalibrationError(f"{given}: {error}{remedy}") from error
        note(f"int8: quantization ranges from {given}, observed on {scales.images} people by {scales.method}")
    elif feed is not None:
        model = prepare(load_onnx(fp32))
        place(model, spec, spec.quantize.changed(request.quantize))  # a wrong pattern is refused before minutes of work
        scales = observe_scales(fp32, spec, feed, request.quantize, track)
    else:
        raise CalibrationError(UNCALIBRATED)
    return Found(scales=scales, source=given, feed=feed, held_out=held_out)


def _calibration_parts(
    request: BuildRequest, calib: str, spec: ModelSpec, note: Note
) -> tuple[CalibrationFeed, PoseData | None]:
    """Open the calibration images, without those held out to test on where the guard needs them."""
    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.split import split_by_image

    data = _people(calib, note)
    alone = request.no_guard or request.guard is not None
    used, held_out = (data, None) if alone else split_by_image(data, request.calib_limit)
    return CalibrationFeed(used, spec, limit=request.calib_limit), held_out


def _given_scales(request: BuildRequest, here: Path, observe: bool) -> Path | None:
    """Return the scales.json to read (the one given, the zoo's or an earlier build's), or None to observe."""
    from edgepose.zoo import ZOO, zoo_scales

    if request.scales is not None:
        return request.scales
    if observe:
        return here if here.is_file() and not request.overwrite else None
    if request.model in ZOO:
        return zoo_scales(request.model)
    return here if here.is_file() else None


def refuse_uncalibrated(request: BuildRequest) -> None:
    """Raise CalibrationError where INT8 or FP8 is asked for without calibration data."""
    if (
        wants_scales(request)
        and request.calib is None
        and _given_scales(request, request.out / "scales.json", False) is None
    ):
        raise CalibrationError(UNCALIBRATED)


def _people(calib: str, note: Note) -> PoseData:
    """Open calibration data KIND:PATH[:SPLIT]; `note` receives what looks wrong."""
    from edgepose.datasets.doubts import note_doubts
    from edgepose.datasets.open import open_data

    data = open_data(calib)
    note_doubts(data, note)
    return data


def calibration_feed(calib: str, spec: ModelSpec, limit: int, note: Note = silent) -> CalibrationFeed:
    """Open the calibration images KIND:PATH[:SPLIT] with at most `limit` people; `note` receives what looks wrong."""
    from edgepose.datasets.feeds import CalibrationFeed

    data = _people(calib, note)
    return CalibrationFeed(data, spec, limit=limit)


def observe_scales(
    onnx_path: Path, spec: ModelSpec, feed: CalibrationFeed, given: Mapping[str, Any], track: Track = quiet
) -> Scales:
    """Calibrate on a feed. Options given by name come before those of the contract."""
    from edgepose.backends.onnxruntime import make_runner
    from edgepose.quantize import calibrate

    return calibrate(onnx_path, feed, spec, spec.quantize.changed(given), track, make_runner=make_runner)
