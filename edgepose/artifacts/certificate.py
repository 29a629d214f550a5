"""`Certificate`: what a build proved about the accuracy that its INT8 graph retains; the file guard.json.

{"format": 1, "edgepose_version", "answer": "kept", "chosen": 2, "reason": "", "data", "test": "labels", "people",
 "images", "image_list_sha256", "confidence": 0.95, "onnx_sha256", "scales_sha256", "key",
 "candidates": [{"float_layers", "int8_share", "time", "output_error", "tested",
                 "metrics": {METRIC: {"retention", "bound", "floor", "images_needed"}}}]}
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgepose._files import read_json, write_json
from edgepose.artifacts.tables import read_as, refuse_unknown
from edgepose.errors import CalibrationError

NAME = "guard.json"
FORMAT = 1
LABELS, JOINTS, BOXES, NOTHING = "labels", "moved joints", "moved boxes", "none"
HOW = {
    LABELS: "measured on labeled people",
    JOINTS: "predicted without labels, from the joints of the float network",
    BOXES: "predicted without labels, from the boxes of the float network",
    NOTHING: "not tested",
}


@dataclass(frozen=True, kw_only=True)
class MetricBound:
    """What was found about one metric of one candidate.

    Attributes:
        retention: The value over that of the float network; 1 means that nothing was lost.
        bound: The retention that is proven: the one-sided lower bound.
        floor: The retention that was asked for.
        images_needed: About how many images would prove the floor; None where the retention is not above it.
    """

    retention: float
    bound: float
    floor: float
    images_needed: int | None = None


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """One candidate of the search.

    Attributes:
        float_layers: Number of layers with weights that stay in float.
        int8_share: Share of the multiply-adds in int8; None where shapes are not fixed.
        time: Estimated time relative to the float network; None where it is not known.
        output_error: Relative squared error of the outputs on the crops of the search; None where it was not measured.
        metrics: What was found about each metric; empty for a candidate that was not tested.
    """

    float_layers: int
    int8_share: float | None = None
    time: float | None = None
    output_error: float | None = None
    metrics: dict[str, MetricBound] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The content of guard.json.

    Attributes:
        answer: "kept", "unproven" or "cannot be kept".
        candidates: The candidates, from the one with most float layers to the one with most int8 layers.
        chosen: Position of the candidate that the graph was made of; None where the accuracy cannot be kept.
        reason: Why nothing was tested or compared; why the accuracy cannot be kept, with the metrics that fail; and
            what makes the test weak. Empty where there is nothing to say.
        data: The images that were tested.
        test: "labels", "moved joints", "moved boxes" or "none".
        people: Number of people tested.
        images: Number of images tested.
        image_list_sha256: What identifies these images.
        confidence: Confidence of the bounds.
        onnx_sha256: Of the float network.
        scales_sha256: Of the scales.json that the INT8 graph was made of.
        key: What the result depends on: the options, the floors, the images and the version of the test.
        edgepose_version: Version that wrote the file.
        format: Version of the layout.
    """

    answer: str
    candidates: tuple[CandidateResult, ...]
    chosen: int | None
    reason: str = ""
    data: str = ""
    test: str = NOTHING
    people: int = 0
    images: int = 0
    image_list_sha256: str = ""
    confidence: float = 0.95
    onnx_sha256: str = ""
    scales_sha256: str = ""
    key: str = ""
    edgepose_version: str = ""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `read_certificate` reads back."""
        value = asdict(self)
        return value | {"candidates": list(value["candidates"])}

    def lines(self) -> tuple[str, ...]:
        """Return the answer in one to four plain lines."""
        if self.test == NOTHING:
            return (f"int8 accuracy: {self.answer}: {self.reason}",)
        shown = self.candidates[self.chosen or 0]
        first = f"int8 accuracy: {self._answer(shown)}, {HOW[self.test]}: {self.people} people of {self.data}"
        parts = [
            f"{name} keeps {item.retention:.2%} (at least {item.bound:.2%} proven, {item.floor:.2%} asked for)"
            for name, item in shown.metrics.items()
        ]
        int8 = "" if shown.int8_share is None else f", {shown.int8_share:.0%} of the multiply-adds in int8"
        count = "1 candidate" if len(self.candidates) == 1 else f"{len(self.candidates)} candidates"
        lines = (
            first,
            "; ".join(parts),
            self.reason,
            f"{shown.float_layers} layers in float{int8}; {count} on the path",
        )
        return tuple(line for line in lines if line)

    def _answer(self, shown: CandidateResult) -> str:
        if self.answer == "kept":
            return f"kept at {self.confidence:.0%} confidence"
        if self.answer != "unproven":
            return self.answer
        missing = [item.images_needed for item in shown.metrics.values() if item.bound < item.floor]
        needed = [number for number in missing if number is not None]
        more = f"about {max(needed):,} needed" if needed and len(needed) == len(missing) else "more needed"
        return f"unproven: {self.images:,} images seen, {more}"


def write_certificate(path: Path, certificate: Certificate) -> None:
    """Write a guard.json."""
    write_json(path, certificate.to_json())


def read_certificate(path: Path) -> Certificate:
    """Read and check a guard.json.

    Raises:
        CalibrationError: The file cannot be read or is damaged.
    """
    return certificate_from(read_json(path, "certificate"), str(path))


def certificate_from(value: Any, where: str) -> Certificate:
    """Return the certificate of a JSON value.

    Raises:
        CalibrationError: The value is none.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else value
        raise CalibrationError(f"{where}: format is {found!r}, this edgepose reads {FORMAT}; build again")
    refuse_unknown(Certificate, value, where, error=CalibrationError)
    found_: Certificate = read_as(Certificate, value, where, error=CalibrationError)
    if found_.chosen is not None and not 0 <= found_.chosen < len(found_.candidates):
        raise CalibrationError(f"{where}: chosen = {found_.chosen}; there are {len(found_.candidates)} candidates")
    return found_
