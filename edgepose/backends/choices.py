"""The options of all backends together: given once, they reach every backend that declares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

from edgepose._options import all_unset, declared, is_given
from edgepose.backends import BACKENDS, about
from edgepose.backends.declaration import BuildOptions
from edgepose.errors import UsageError, nearest


def declared_by(backend: str) -> dict[str, Field[Any]]:
    """Return the options with a flag that a backend declares, by field name."""
    return declared(about(backend).options)


def readers(option: str) -> tuple[str, ...]:
    """Return the names of the backends that declare an option, in the order of `BACKENDS`."""
    return tuple(name for name in BACKENDS if option in declared_by(name))


def engine_options() -> type[Any]:
    """Return a frozen dataclass with every option that a backend declares, each "not given" by default."""
    return all_unset("EngineOptions", *(about(name).options for name in BACKENDS))


def refuse_unread(given: Mapping[str, Any], backends: Sequence[str]) -> None:
    """Refuse an option that none of the chosen backends reads.

    Args:
        given: Values of options by field name.
        backends: Names of the backends of the build.

    Raises:
        UsageError: No backend declares the option, or none of the chosen ones does.
    """
    refuse_unknown_options(given)
    known = dict(_all_declared())
    for name, value in given.items():
        if is_given(value) and not set(readers(name)) & set(backends):
            flag = known[name].metadata["flag"]
            raise UsageError(f"{flag} is for --backend {' or '.join(readers(name))}, which is not built here")


def refuse_unknown_options(given: Mapping[str, Any]) -> None:
    """Raise UsageError for a name of an option that no backend declares."""
    known = dict(_all_declared())
    for name in given:
        if name not in known:
            raise UsageError(f"unknown backend option {name!r}{nearest(name, tuple(known))}")


def options_for(backend: str, precision: str, out: Path, given: Mapping[str, Any]) -> BuildOptions:
    """Return a backend's options for one engine, made from those of the given options that it declares.

    Args:
        backend: A key of `BACKENDS`.
        precision: Precision of the engine.
        out: Folder of the build.
        given: Values of options by field name; options of other backends are left out.

    Raises:
        UsageError: A value is out of range, or the backend does not build engines in FP8.
    """
    refuse_precision(backend, precision)
    own = declared_by(backend)
    values = {name: value for name, value in given.items() if name in own and is_given(value)}
    return about(backend).options.for_build(precision, out, values)


def refuse_precision(backend: str, precision: str) -> None:
    """Raise UsageError for a precision in which a backend builds no engines."""
    if precision == "fp8" and not about(backend).fp8:
        able = " or ".join(name for name in BACKENDS if about(name).fp8)
        raise UsageError(f"{backend} builds no fp8 engines; give --backend {able}, or leave fp8 out of --precision")


def _all_declared() -> Iterator[tuple[str, Field[Any]]]:
    for backend in BACKENDS:
        yield from declared_by(backend).items()
