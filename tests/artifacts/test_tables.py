"""Tables of TOML and JSON become dataclasses; what is wrong is named with its source and key."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edgepose.artifacts.tables import read_as
from edgepose.errors import DataError, SpecError, UsageError


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.share > 1:
            raise UsageError(f"share = {self.share}; expected at most 1")


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 1
    kind: str = field(default="a", metadata={"key": "type"})
    inner: Inner | None = None


def test_values_are_converted() -> None:
    assert read_as(Outer, {"count": 2, "type": "b", "inner": {"share": 1}}, "here") == Outer(
        count=2, kind="b", inner=Inner(share=1.0)
    )
    assert read_as(tuple[str, ...], ["a"], "here", "names") == ("a",)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"cuont": 2}, r"here: unknown key 'cuont'; did you mean 'count'\?"),
        ({"kind": "b"}, "here: unknown key 'kind'"),
        ({"inner": {"shar": 2}}, r"here: unknown key inner\.shar; did you mean 'share'\?"),
        ({"count": "2"}, "here: count = '2'; expected whole number, got text"),
        ({"type": 3}, "here: type = 3; expected text, got whole number"),
        ({"inner": {"share": float("-inf")}}, r"here: inner\.share = -inf; expected a finite number"),
        ({"inner": {"share": 2}}, "here: .*share = 2.0; expected at most 1"),
        ([], r"here: expected a table with count, inner, type, got \[\]"),
    ],
)
def test_what_is_wrong_is_named(value: object, says: str) -> None:
    for error in (SpecError, DataError):
        with pytest.raises(error, match=says):
            read_as(Outer, value, "here", error=error)
