"""What `build` says about the layers that stay in float."""

from __future__ import annotations

from edgepose.api.float_layers import float_lines


def test_nodes_that_the_search_kept_share_one_line() -> None:
    kept = {f"conv{i}": f"search: {i}.4% of the error of all units" for i in range(5)}
    lines = float_lines({"stem": "it reads the input", **kept, "slow": "search: int8 saves no time"})
    assert lines == [
        "int8: 1 node stays in float: it reads the input: stem",
        "int8: 6 nodes stay in float by the search (edgepose inspect int8.onnx lists them): "
        "conv0, conv1, conv2 and 3 more",
    ]


def test_without_such_nodes_nothing_is_said() -> None:
    assert float_lines({}) == []
