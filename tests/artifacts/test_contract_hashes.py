"""Contracts that exist keep their hash: engines, scales and published results are keyed by it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

import edgepose
from edgepose.artifacts.spec import embedded_spec
from edgepose.training.recipe import read_recipe, recipe_names

RECORDED = Path(__file__).with_name("contract_hashes.json")
LITE = Path(edgepose.__file__).parent / "zoo" / "lite.onnx"


def hashes() -> dict[str, str]:
    """The sha256 of the contract of the zoo's network and of every recipe that ships."""
    found = {name: read_recipe(name).spec().sha256() for name in recipe_names()}
    return {"zoo/lite": embedded_spec(onnx.load(str(LITE)), "lite").sha256()} | found


def test_contracts_keep_their_hash() -> None:
    assert hashes() == json.loads(RECORDED.read_text())


def test_the_contract_of_the_zoo_is_written_as_it_was_read() -> None:
    model = onnx.load(str(LITE))
    text = next(prop.value for prop in model.metadata_props if prop.key == "edgepose.spec")
    assert embedded_spec(model, "lite").to_json() == json.loads(text)
