"""The options of a build. The command line makes its flags of the fields' metadata (`edgepose.cli.flags`)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edgepose._options import all_unset, declared, option, paths_of_text, words_of
from edgepose.artifacts.quantization import QuantizeOptions, refuse_unknown
from edgepose.backends import BACKENDS
from edgepose.errors import UsageError, nearest, redact

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


def refuse_unknown_precision(precision: str) -> None:
    """Raise UsageError for a precision that does not exist."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}{nearest(precision, PRECISIONS)}")


def _backends() -> tuple[str, ...]:
    return ("auto", *BACKENDS)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build engines.

    Attributes:
        precisions: Any of fp32, fp16, int8, int8-fp16 and fp8 (an experiment), one engine for each.
        backends: Names of backends; "auto" is the fastest that can be used on this machine.
        spec: A spec.toml, the contract of an ONNX file that was trained elsewhere.
        scales: A scales.json. Without it and without `calib`, the scales that ship with a zoo model or those in
            the output folder are used.
        calib: Calibration images as KIND:PATH[:SPLIT]. Graphs and engines are also compared on a few of them, in every
            precision.
        calib_limit: Largest number of people to calibrate on.
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
        "Comma-separated: fp32, fp16, int8, int8-fp16 (float parts in FP16), fp8 (experimental, tensorrt_rtx only).",
        metavar="LIST", parse=_words("--precision", lambda: PRECISIONS),
    )  # fmt: skip
    backends: tuple[str, ...] = option(
        ("auto",), "--backend", f"Comma-separated: {', '.join(('auto', *BACKENDS))}.",
        metavar="LIST", parse=_words("--backend", _backends),
    )  # fmt: skip
    spec: Path | None = option(None, "--spec", "The spec.toml of a network that was trained elsewhere.", exists=True)
    scales: Path | None = option(None, "--scales", "A scales.json of `edgepose calibrate`.", exists=True)
    calib: str | None = option(
        None,
        "--calib",
        "Images to calibrate on (at least 32 people) and to compare graphs on.",
        metavar="KIND:PATH[:SPLIT]",
    )
    calib_limit: int = option(512, "--calib-limit", "Largest number of people to calibrate on.", min=32)
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
        for name in ("precisions", "backends"):
            value = getattr(self, name)
            if isinstance(value, str) or not value:
                raise UsageError(
                    f"{name} = {value!r}; expected a tuple of names, such as {declared(BuildOptions)[name].default}"
                )


QuantizeFlags = all_unset("QuantizeFlags", QuantizeOptions)  # what is not given is what the contract says


@dataclass(frozen=True, kw_only=True)
class BuildRequest(BuildOptions):
    """The options of one build with its model and its output folder.

    Attributes:
        model: A checkpoint (.pt), an ONNX file or a zoo name.
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

    for precision in options.precisions:
        refuse_unknown_precision(precision)
    refuse_unknown(options.quantize)
    refuse_unknown_options(options.engine)
    chosen = {item.name: getattr(options, item.name) for item in fields(BuildOptions)}
    given["command"] = redact(given.get("command") or _command(model, out, options))  # it is stored
    return BuildRequest(model=str(model), out=Path(out), **chosen, **given)


def _command(model: str | Path, out: str | Path, options: BuildOptions) -> str:
    from edgepose.backends.choices import engine_options

    own = {name: getattr(options, name) for name, item in declared(BuildOptions).items()}
    changed = {name: value for name, value in own.items() if value != declared(BuildOptions)[name].default}
    parts = ["edgepose", "build", str(model), "--out", str(out), *words_of(BuildOptions, changed)]
    parts += words_of(QuantizeOptions, options.quantize) + words_of(engine_options(), options.engine)
    return shlex.join(parts)
