"""The guard of a build: INT8 keeps the accuracy that was asked for, or the user is told.

The calibration images are split (`datasets.split`). Ranges and float layers are chosen on one part, and the candidates
of the search are tested on the other, or on the labeled images of `--guard`. guard.json says what that proved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import placing, sha256_bytes, sha256_json
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.candidates import Task
from edgepose.api.guarded import Found, Guarded, Step, Test
from edgepose.api.request import BuildRequest
from edgepose.artifacts.certificate import (
    BOXES,
    JOINTS,
    LABELS,
    NAME,
    NOTHING,
    Certificate,
    read_certificate,
    write_certificate,
)
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import TUNED_KEY, ModelSpec, get_metadata
from edgepose.errors import UsageError

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.scales import Scales


# Version of the test of each kind. Raise it when the test changes, so that no answer of the former test is used again.
METHODS = {LABELS: 2, JOINTS: 3, BOXES: 2, NOTHING: 1}
SEARCH = "search"  # how the reasons of layers begin that a search keeps in float


def guard_scales(
    request: BuildRequest,
    model: onnx.ModelProto,
    spec: ModelSpec,
    choices: QuantizeOptions,
    found: Found,
    *,
    track: Track = quiet,
    note: Note = silent,
) -> Guarded:
    """Choose which layers stay in float, and test what the INT8 graph retains.

    Args:
        request: The options of the build.
        model: The float graph.
        spec: The contract.
        choices: The options of quantization that apply.
        found: What calibration found.
        track: Shows progress.
        note: Receives the answer.

    Returns:
        The scales to quantize with, and the certificate.

    Raises:
        UsageError: An image of `--guard` is a calibration image too, or a metric of `--keep-metric` needs labels.
        DataError: The images cannot be read, or nothing can be tested on their labels.
    """
    if request.no_guard or (found.feed is None and request.guard is None):
        known = None if request.no_guard else _shipped(found)
        return Guarded(scales=found.scales, certificate=known)
    test = _prepared(request, spec, found)
    earlier = _earlier(request, found, test, choices)
    if earlier is not None:
        note(f"int8: the accuracy was tested before: {found.source.parent / NAME}" if found.source else "")
        return Guarded(scales=found.scales, certificate=earlier)
    if request.scales is None and found.source is not None:  # an earlier search had other floors, or other people
        found = replace(found, scales=without_search(found.scales))
    if get_metadata(model, TUNED_KEY) is not None:
        note("int8: the accuracy is compared with the fine-tuned network, not with the one that it was made from")
    task = Task(
        model=model, spec=spec, choices=choices, found=found, floors=floors_for(request, spec), test=test, track=track
    )
    path = _path(task, request, note)
    guarded = task.run(path)
    if request.fastest:
        guarded = _fastest(task, request, path, guarded, note)
    assert guarded.certificate is not None
    key = _key(request, test, choices)
    return replace(guarded, certificate=replace(guarded.certificate, key=key))


def _fastest(task: Task, request: BuildRequest, path: Sequence[Step], guarded: Guarded, note: Note) -> Guarded:
    """Return the fastest of the candidates that passed; the same where there is one, or nothing can be timed here."""
    from edgepose.api.fastest import fastest_candidate
    from edgepose.quantize import quantize

    certificate = guarded.certificate
    if certificate is None or not certificate.chosen or certificate.test == NOTHING:
        return guarded
    passed = path[: certificate.chosen + 1]  # the guard tests in order, and stops at the first that fails
    graphs = (quantize(task.model, step.scales, task.spec, task.choices) for step in passed)
    winner = fastest_candidate(request, graphs, task.spec, task.track, note)
    if winner is None:
        return guarded
    return Guarded(scales=passed[winner].scales, certificate=replace(certificate, chosen=winner))


def floors_for(request: BuildRequest, spec: ModelSpec) -> dict[str, float]:
    """Return metric -> the share of the float network's value that INT8 has to retain.

    Of a person detector, that is the average precision of its boxes.

    Raises:
        UsageError: A metric of joints is asked for, and the network is a person detector.
    """
    if len(spec.skeleton):
        return request.floors()
    if request.keep_metric:
        raise UsageError(
            f"--keep-metric {request.keep_metric[0]} is about joints, and {request.model} finds boxes without joints; "
            "leave it out: --keep is the share of the average precision of boxes that INT8 has to keep"
        )
    return {"box_ap": request.keep / 100}


def write_guarded(request: BuildRequest, guarded: Guarded, note: Note = silent) -> Guarded:
    """Write OUT/scales.json and OUT/guard.json, and note the answer."""
    from edgepose.artifacts.scales import write_scales

    here = request.out / "scales.json"
    certificate = guarded.certificate
    if certificate is not None:  # before scales.json: a build that is killed between leaves no scales without an answer
        with tempfile.TemporaryDirectory() as folder:
            write_scales(Path(folder) / here.name, guarded.scales)
            digest = sha256_bytes((Path(folder) / here.name).read_bytes())
        certificate = replace(certificate, scales_sha256=digest)
        with placing(request.out / NAME, request.overwrite) as temporary:
            write_certificate(temporary, certificate)
    with placing(here, request.overwrite) as temporary:
        write_scales(temporary, guarded.scales)
    for line in () if certificate is None else certificate.lines():
        note(line)
    return replace(guarded, certificate=certificate)


def without_search(scales: Scales) -> Scales:
    """Return scales without the float layers, the ends in int8 and the bias corrections that a search chose."""
    kept = {name: reason for name, reason in scales.keep_float.items() if not reason.startswith(SEARCH)}
    return replace(scales, keep_float=kept, bias={}, bias_placement="", int8_ends=())


def certificate_beside(scales: Path) -> Path:
    """Return where the certificate of a scales file lies: guard.json, or lite.guard.json for lite.scales.json."""
    return scales.with_name(scales.name.removesuffix("scales.json") + NAME)


def _shipped(found: Found) -> Certificate | None:
    """Return the certificate beside the scales that were read, if it is about them."""
    if found.source is None or not certificate_beside(found.source).is_file():
        return None
    certificate = read_certificate(certificate_beside(found.source))
    fresh = certificate.scales_sha256 == sha256_bytes(found.source.read_bytes())
    return certificate if fresh and certificate.onnx_sha256 == found.scales.onnx_sha256 else None


def _key(request: BuildRequest, test: Test, choices: QuantizeOptions) -> str:
    floors = sorted(request.floors().items())
    about = [test.kind, METHODS[test.kind]]
    chosen_by = ["fastest"] if request.fastest else []
    effort = getattr(request, "effort", "")
    return sha256_json([floors, choices.to_json(), about, test.image_list_sha256, effort, *chosen_by])


def _earlier(request: BuildRequest, found: Found, test: Test, choices: QuantizeOptions) -> Certificate | None:
    """Return the certificate of an earlier build of the same network, scales, images and options."""
    certificate = _shipped(found)
    return certificate if certificate is not None and certificate.key == _key(request, test, choices) else None


def _prepared(request: BuildRequest, spec: ModelSpec, found: Found) -> Test:
    """Open the people to test on; refuse labeled ones who are calibration images."""
    from edgepose.datasets.feeds import images_sha256
    from edgepose.datasets.open import open_data
    from edgepose.datasets.split import FEWEST

    if request.guard is not None:
        data = open_data(request.guard)
        known = images_sha256(data)
        used = {} if found.feed is None else found.feed.images
        shared = sorted(known[image] for image in known.keys() & used.keys())
        if shared:
            raise UsageError(
                f"--guard {request.guard}: {len(shared)} of its images are calibration images too, such as "
                f"{shared[0]}; test on other images than those of --calib"
            )
        return Test(kind=LABELS, data=data, images=len(known), image_list_sha256=sha256_json(sorted(known)))
    if len(spec.skeleton):
        _refuse_unpredictable(request)
    if found.held_out is None:
        reason = f"none of the calibration images can be held out; give at least {FEWEST} images"
        return Test(kind=NOTHING, reason=f"{reason}, or labeled ones with --guard")
    known = images_sha256(found.held_out)
    kind = JOINTS if len(spec.skeleton) else BOXES
    return Test(kind=kind, data=found.held_out, images=len(known), image_list_sha256=sha256_json(sorted(known)))


def _refuse_unpredictable(request: BuildRequest) -> None:
    from edgepose.measure.displacement import LOSS

    other = [name for name in request.floors() if name not in LOSS]
    if other:
        raise UsageError(
            f"--keep-metric {other[0]} can only be tested on labels; give them with --guard, or choose from "
            f"{', '.join(LOSS)}"
        )


def _path(task: Task, request: BuildRequest, note: Note) -> list[Step]:
    """Return the candidates, from the one with most float layers to the one with most int8 layers.

    Scales that the user gave are taken as they are. Without calibration images there is nothing to search on.
    """
    from edgepose.api.search import STATE, search_layers

    found = task.found
    if request.scales is not None or found.feed is None:
        return [Step(scales=found.scales)]
    result = search_layers(
        task.model, task.spec, found.scales, task.choices, found.feed,
        floors=task.floors, effort=request.effort, state=request.out / STATE, backends=request.backends,
        track=task.track, note=note,
    )  # fmt: skip
    kept = found.scales.keep_float
    return [
        Step(
            scales=replace(found.scales, keep_float={**one.keep_float, **kept}, int8_ends=one.int8_ends),
            candidate=one,
        )
        for one in result.candidates
    ]
