from __future__ import annotations

import pytest

from edgepose.errors import UsageError
from edgepose.quantize.names import matches, named_by


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("/head/*", "/head/conv", True),
        ("/head/*", "/neck/conv", False),
        ("/layers.[01]/conv", "/layers.1/conv", True),
        ("backbone.layers[6].conv", "backbone.layers[6].conv", True),  # exact
        ("backbone.layers[6].*", "backbone.layers[6].conv", True),  # brackets match themselves
        ("backbone.layers[6].conv", "backbone.layers6.conv", True),  # a set of one character
        ("what?[*]", "what?[*]", True),
        ("/a", "/A", False),
    ],
)
def test_patterns_and_exact_names(pattern, name, expected):
    assert matches(pattern, name) is expected


def test_a_pattern_without_a_node_is_an_error():
    assert named_by("/b*", ["/a", "/b", "/b1"], "keep_float") == ["/b", "/b1"]
    with pytest.raises(UsageError, match="keep_float: '/sten' names no node of the network; did you mean '/stem'"):
        named_by("/sten", ["/stem", "/head"], "keep_float")
