"""The options of a build. The command line makes its flags of the fields' metadata (`edgepose.cli.flags`)."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edgepose._options import all_unset, declared, option, paths_of_text, words_of
from edgepose.artifacts.quantization import QuantizeOptions, refuse_unknown
from edgepose.backends import BACKENDS
from edgepose.errors import UsageError, nearest, redact
from edgepose.graph.importing.limits import LONGEST

USUAL_METRICS = ("pck@0.2", "pcp@0.5", "oks_ap", "pck@0.1")
STRICT = ("pck@0.1",)  # it shows small changes of a joint, so half a point less is asked for
_METRIC = r"(pck|pck_box|pck_oc|pckh|pdj|pcp|pcp_loose|pcp_oc)@[0-9.]+|(pdj|pckh)_auc|oks_a[pr](50|75|_medium|_large)?"
PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16", "fp8")


def _words(option: str, choices: Callable[[], Sequence[str]]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of a comma-separated list of `choices`."""

    def parse(text: str) -> tuple[str, ...]:
        known = choices()
        parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        for part in parts:
            if part not in known:
                raise UsageError(f"{option}: unknown {part!r}{nearest(part, known)}")
        if not parts:
            raise UsageError(f"{option} is empty; choose from {', '.join(known)}")
        return parts

    return parse


def size_of(text: str) -> tuple[int, int]:
    """Return (height, width) of a text such as "256x192".

    Raises:
        UsageError: The text is no size, or a side is too long.
    """
    found = re.fullmatch(r"([0-9]{1,9})[x,]([0-9]{1,9})", text.strip().lower())
    sides = [int(side) for side in found.groups()] if found else []
    if not sides or not all(1 <= side <= LONGEST for side in sides):
        raise UsageError(
            f"--shape = {text!r}; expected HEIGHTxWIDTH in pixels from 1 to {LONGEST}, such as 256x192 (height first)"
        )
    return sides[0], sides[1]


def refuse_unknown_precision(precision: str) -> None:
    """Raise UsageError for a precision that does not exist."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}{nearest(precision, PRECISIONS)}")


def words_of_classes(text: str) -> tuple[str, ...]:
    """Read names and numbers of classes with commas between them.

    Raises:
        UsageError: There is none, or one is empty.
    """
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise UsageError(f"--det-classes {text!r}: expected names or numbers of classes with commas between them")
    return words


def is_quantized(precision: str) -> bool:
    """Return whether graphs of a precision are made with the scales of a calibration."""
    return precision.startswith("int8") or precision == "fp8"


def _backends() -> tuple[str, ...]:
    return ("auto", *BACKENDS)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build engines.

    Attributes:
        precisions: Any of fp32, fp16, int8, int8-fp16 and, as an experiment, fp8; one engine for each.
        backends: Names of backends; "auto" is the fastest that can be used on this machine.
        spec: A spec.toml, the contract of an ONNX file that was trained elsewhere.
        shape: (height, width) of the image, for an ONNX file whose graph takes images of any size. Without it the
            metadata, the files beside the network or the family decide.
        det_classes: Names or numbers of the classes of a person detector that count as people; empty is "person".
        scales: A scales.json. Without it and without `calib`, the scales that ship with a zoo model or those in
            the output folder are used.
        calib: Calibration images as KIND:PATH[:SPLIT]. Graphs and engines are also compared on a few of them, in every
            precision.
        calib_limit: Largest number of people to calibrate on.
        keep: Percent of the float network's accuracy that INT8 has to retain (pck@0.1 half a point less).
        keep_metric: Metrics that have to retain it, each with a percentage of its own if it ends in one
            ("pck@0.1:99"); empty for the usual ones.
        guard: Labeled images KIND:PATH[:SPLIT] to test the accuracy of INT8 on. Without them, a part of the calibration
            images is held out, and what the float network finds on moved crops stands in for labels.
        no_guard: Whether to build INT8 without searching for layers to keep in float and without testing its accuracy.
        fastest: Whether the engines are candidates of which only the fastest on this machine stays. They are those of
            `precisions` and `backends`, or of fp32, fp16 and int8 where `precisions` has its default.
        effort: How long to search for the layers that INT8 leaves in float: "fast", "default" or "thorough".
        quantize: Options of INT8 by name (fields of `artifacts.quantization.QuantizeOptions`); they come before those
            of the contract.
        engine: Options of the backends by name (fields of the `options` that each declares), such as
            {"batch": (1, 4, 8)} for TensorRT. An option that no chosen backend has raises UsageError.
    """

    precisions: tuple[str, ...] = option(
        ("fp32", "int8"), "--precision",
        "Comma-separated: fp32, fp16, int8, int8-fp16 (INT8 with FP16 float parts), fp8 (experimental, tensorrt_rtx).",
        metavar="LIST", parse=_words("--precision", lambda: PRECISIONS),
    )  # fmt: skip
    backends: tuple[str, ...] = option(
        ("auto",), "--backend", f"Comma-separated: {', '.join(('auto', *BACKENDS))}.",
        metavar="LIST", parse=_words("--backend", _backends),
    )  # fmt: skip
    spec: Path | None = option(None, "--spec", "The spec.toml of a network that was trained elsewhere.", exists=True)
    shape: tuple[int, int] | None = option(
        None, "--shape", "Height and width for a network that takes images of any size, such as 256x192.",
        metavar="HxW", parse=size_of, joined="x",
    )  # fmt: skip
    det_classes: tuple[str, ...] = option(
        (), "--det-classes", "Of a person detector in ONNX: the classes that count as people, by name or number.",
        metavar="NAME|INDEX,...", parse=words_of_classes,
    )  # fmt: skip
    scales: Path | None = option(None, "--scales", "A scales.json of `edgepose calibrate`.", exists=True)
    calib: str | None = option(
        None,
        "--calib",
        "Images to calibrate on (at least 32 people) and to compare graphs on.",
        metavar="KIND:PATH[:SPLIT]",
    )
    calib_limit: int = option(512, "--calib-limit", "Largest number of people to calibrate on.", min=32)
    keep: float = option(99.5, "--keep", "Percent of the accuracy that INT8 has to retain.", min=50.0, max=100.0)
    keep_metric: tuple[str, ...] = option(
        (), "--keep-metric", "Comma-separated metrics that have to retain it, such as pck@0.1,oks_ap or pck@0.1:99.0.",
        metavar="LIST", parse=lambda text: tuple(floors_of(text.split(","), 99.5, spelled=True)),
    )  # fmt: skip
    guard: str | None = option(
        None, "--guard", "Labeled images to test the accuracy of INT8 on; by default calibration images are held out.",
        metavar="KIND:PATH[:SPLIT]",
    )  # fmt: skip
    no_guard: bool = option(False, "--no-guard", "Do not search for float layers, and do not test INT8's accuracy.")
    fastest: bool = option(
        False,
        "--fastest",
        "Time the engines (without --precision: fp32, fp16, int8) here, and keep only the fastest one that passes.",
    )
    effort: str = option(
        "default", "--effort", "How long to search for the layers that INT8 leaves in float.",
        choices=("fast", "default", "thorough"),
    )  # fmt: skip
    quantize: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take paths as text too; refuse a text in the place of a list of names.

        Raises:
            UsageError: `precisions` or `backends` is a text or empty.
        """
        paths_of_text(self, "spec", "scales")
        if isinstance(self.shape, str):
            object.__setattr__(self, "shape", size_of(self.shape))
        self.floors()
        for name in ("precisions", "backends"):
            value = getattr(self, name)
            if isinstance(value, str) or not value:
                raise UsageError(
                    f"{name} = {value!r}; expected a tuple of names, such as {declared(BuildOptions)[name].default}"
                )

    def floors(self) -> dict[str, float]:
        """Return metric -> the share of the float network's value that INT8 has to retain.

        Raises:
            UsageError: There is no such metric, or it is no share for which higher is better.
        """
        return floors_of(self.keep_metric or USUAL_METRICS, self.keep)


def floors_of(words: Sequence[str], keep: float, *, spelled: bool = False) -> dict[str, float]:
    """Return metric -> share to retain.

    Args:
        words: Names of metrics, each with ":PERCENT" behind it or without.
        keep: The percentage of those without; `STRICT` ones get half a point less.
        spelled: Whether to return the words as keys, as they were written.

    Raises:
        UsageError: A word is no such metric, or a percentage is none.
    """
    floors = {}
    for word in (word.strip() for word in words):
        name, colon, percent = word.partition(":")
        if not re.fullmatch(_METRIC, name):
            raise UsageError(f"--keep-metric: {name!r} is no metric that is a share{nearest(name, USUAL_METRICS)}")
        try:
            value = float(percent) if colon else max(0.0, keep - (0.5 if name in STRICT else 0.0))
        except ValueError:
            value = math.nan
        if not 0 <= value <= 100:
            raise UsageError(f"--keep-metric: {word!r} does not end in a percentage; write {name}:99.0")
        floors[word if spelled else name] = value / 100
    if not floors:
        raise UsageError("--keep-metric is empty; write pck@0.1,oks_ap")
    return floors


QuantizeFlags = all_unset("QuantizeFlags", QuantizeOptions)  # what is not given is what the contract says


@dataclass(frozen=True, kw_only=True)
class BuildRequest(BuildOptions):
    """The options of one build with its model and its output folder.

    Attributes:
        model: A checkpoint (.pt), an ONNX file or a zoo name; of a folder with a network, the ONNX file in it.
        out: Folder of graphs, scales and engines.
        overwrite: Whether to replace files that exist.
        command: The command line that repeats the build; the manifest of each engine records it.
    """

    model: str
    out: Path
    overwrite: bool = False
    command: str = ""


def build_request(model: str | Path, out: str | Path, options: BuildOptions, **given: Any) -> BuildRequest:
    """Combine a model, an output folder and options; without a `command`, write the command line of the options."""
    from edgepose.backends.choices import refuse_unknown_options
    from edgepose.graph.folder import network_file

    for precision in options.precisions:
        refuse_unknown_precision(precision)
    refuse_unknown(options.quantize)
    refuse_unknown_options(options.engine)
    chosen = {item.name: getattr(options, item.name) for item in fields(BuildOptions)}
    given["command"] = redact(given.get("command") or _command(model, out, options))  # it is stored
    source = str(network_file(Path(model))) if Path(model).is_dir() else str(model)
    return BuildRequest(model=source, out=Path(out), **chosen, **given)


def _command(model: str | Path, out: str | Path, options: BuildOptions) -> str:
    from edgepose.backends.choices import engine_options

    own = {name: getattr(options, name) for name, item in declared(BuildOptions).items()}
    changed = {name: value for name, value in own.items() if value != declared(BuildOptions)[name].default}
    parts = ["edgepose", "build", str(model), "--out", str(out), *words_of(BuildOptions, changed)]
    parts += words_of(QuantizeOptions, options.quantize) + words_of(engine_options(), options.engine)
    return shlex.join(parts)
