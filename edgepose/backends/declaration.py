"""What a backend declares about itself: its options, its packages and where it computes.

A declaration is read for `edgepose build --help`, so a module that makes one imports neither numpy nor the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """The options that every backend takes. A backend with more options derives its own dataclass from this one.

    A field that is made with `edgepose._options.option` becomes a flag of `edgepose build`.

    Attributes:
        precision: Precision of the graph: fp32, fp16, int8, int8-fp16 or fp8.
    """

    precision: str = "fp32"

    @classmethod
    def for_build(cls, precision: str, out: Path, given: Mapping[str, Any]) -> Self:
        """Make the options of one engine of a build.

        Args:
            precision: Precision of the engine.
            out: Folder of the build, for files that the engines share.
            given: Values of the declared options that the user gave, by field name.

        Returns:
            The options, with defaults for what was not given.

        Raises:
            UsageError: A value is out of range.
        """
        return cls(precision=precision, **given)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A backend as the command line, `edgepose doctor` and the reports see it.

    Attributes:
        module: Path of the module that holds the functions of `edgepose.backends.session.Backend`.
        options: Class of the build options. Fields with a `flag` in their metadata are flags of `edgepose build`.
        imports: Names of the packages that the backend imports, as Python spells them.
        extra: The extra of `pip install 'edgepose[EXTRA]'` that installs these packages.
        packages: Names of the distributions that may provide the library; reports give the version of the first
            one that is installed.
        on_gpu: Whether engines run on a GPU.
        fp8: Whether it builds engines in FP8.
        in_auto: Whether `--backend auto` may choose this backend.
    """

    module: str
    imports: tuple[str, ...]
    extra: str
    packages: tuple[str, ...]
    options: type[BuildOptions] = BuildOptions
    on_gpu: bool = False
    fp8: bool = False
    in_auto: bool = True
