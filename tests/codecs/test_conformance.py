"""What every registered codec must do. A new codec needs an entry in EXAMPLES, and passes.

`toy_codec.CentroidCodec` is a codec of one file and one registry line.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ideal_outputs
import numpy as np
import onnx
import pytest
from nets import answering
from numpy.typing import DTypeLike
from toy_codec import centroids

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec, ModelSpec, spec_from_dict
from edgepose.artifacts.tables import keys_of
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.codecs import (
    CODECS,
    affinity,
    associative,
    codec_named,
    grids,
    heatmap,
    offsets,
    onestage,
    paf,
    pifpaf,
    posenet,
    regression,
    simcc,
)
from edgepose.codecs.cells import RULES, cells_to_image
from edgepose.codecs.codec import People
from edgepose.codecs.outputs import outputs_of
from edgepose.errors import SpecError
from edgepose.export.foreign import import_onnx
from edgepose.kernels import choice
from edgepose.kernels.cuda import DeviceArray, Launch
from edgepose.pose.geometry import apply_affine, grid_affine, invert_affine
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.pipeline import open_pipeline

SIZE, MAP = (64, 48), (16, 12)
SKELETON = {
    "name": "star",
    "joints": ["a", "left_b", "right_b", "c"],
    "flips": [["left_b", "right_b"]],
    "limbs": [["a", "left_b"], ["a", "right_b"], ["c", "a"]],
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "centroid", "toy_codec:CentroidCodec")


NAMES = [*CODECS, "centroid"]


# --- How a network that was trained well answers, and how the written definition decodes that -------------------------


def _seen(xy: Array) -> Array:
    return np.ones(xy.shape[:-1], bool)


def _heatmaps(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    cells = apply_affine(grids.grid(getattr(codec, "refine", "quarter"), SIZE, MAP), xy)
    return (heatmap.encode(cells, _seen(xy), MAP, getattr(codec, "sigma", 1.5)),)


def _limbs(contract: ModelSpec) -> Array:
    return np.array(contract.skeleton.limb_indices())


def _cells(codec: Any, xy: Array) -> Array:
    return apply_affine(RULES[codec.rule](SIZE, MAP), xy)


def _to_image(codec: Any, inverse: Array) -> Array:
    return cells_to_image(codec.rule, MAP, SIZE, inverse[0])


def _fields(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    cells, limbs = apply_affine(grid_affine(SIZE, MAP), xy), _limbs(contract)
    maps, fields = paf.encode(cells, _seen(xy), limbs, MAP, sigma=1.0, width=1.0)
    return maps[None], fields[:, ::-1].reshape(1, -1, *MAP)  # the example's fields are y before x


def _tags(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    return ideal_outputs.associative(_cells(codec, xy), MAP, (3.0, -2.0))


def _displaced(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    return ideal_outputs.offsets(_cells(codec, xy), MAP, -1)


def _tree(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    return ideal_outputs.posenet(_cells(codec, xy), _limbs(contract), MAP, RULES[codec.rule](MAP, SIZE))


def _tree_people(codec: Any, outputs: Sequence[Array], inverse: Array, contract: ModelSpec) -> People:
    fields = posenet.fields_of(outputs, SIZE, codec.rule)
    return posenet.people_of(fields, _limbs(contract), inverse[0], codec)


def _composite(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    return ideal_outputs.pifpaf(_cells(codec, xy), _limbs(contract), MAP)


def _grown(codec: Any, outputs: Sequence[Array], inverse: Array, contract: ModelSpec) -> People:
    people = pifpaf.people_of(outputs[0][0], outputs[1][0], _limbs(contract), codec)
    found = pifpaf.without_doubles(people, len(contract.skeleton))
    xy = apply_affine(_to_image(codec, inverse), found[..., :2]).astype(np.float32)
    scores = np.array([pifpaf.score_of(row) for row in found[..., 2]])
    return paf.with_boxes(xy, found[..., 2].astype(np.float32), scores)


def _paf_people(codec: Any, outputs: Sequence[Array], inverse: Array, contract: ModelSpec) -> People:
    limbs = _limbs(contract)
    fields = outputs[1].reshape(len(limbs), 2, *MAP)[:, ::-1]
    return paf.with_boxes(*paf.decode_to_image(outputs[0][0], fields, limbs, inverse[0], SIZE, codec))


def _joined(xy: Array, scores: Array) -> Array:
    return np.concatenate([xy, scores[..., None]], axis=-1)


def _rows(codec: Any, xy: Array, contract: ModelSpec) -> tuple[Array, ...]:
    """Each person three times: as it is, a little worse, and with a score that is too low."""
    rows = []
    for person in xy:
        box = np.array([*person.min(axis=0), *person.max(axis=0)])
        joints = _joined(person, np.full(len(person), 0.7))
        grown = box + np.array([-1, -1, 1, 1])
        rows += [[*edges, score, *joints.ravel()] for edges, score in ((box, 0.9), (grown, 0.8), (box, 0.1))]
    return (np.array([rows], np.float32),)


def _onestage_people(codec: Any, outputs: Sequence[Array], inverse: Array, contract: ModelSpec) -> People:
    thresholds = codec.score_threshold, codec.iou_threshold, codec.max_people
    return onestage.people_of(onestage.decode_to_image(outputs[0], inverse, *thresholds)[0])


@dataclass(frozen=True)
class Example:
    """table: the codec's parameters, none at its default. encode, decode: what the definition does."""

    table: dict[str, Any]
    encode: Callable[[Any, Array, ModelSpec], tuple[Array, ...]]
    decode: Callable[[Any, Sequence[Array], Array, ModelSpec], Array | People]
    accuracy: float  # pixels of the input


EXAMPLES = {
    "heatmap": Example(
        {"decode": "dark", "sigma": 1.5},
        _heatmaps,
        lambda c, o, inverse, _: _joined(*heatmap.decode_to_image(o[0], inverse, SIZE, c.refine, sigma=c.sigma)),
        0.2,
    ),
    "simcc": Example(
        {"split": 3.0},
        lambda c, xy, _: simcc.encode(xy, _seen(xy), SIZE, c.split, 2.0),
        lambda c, o, inverse, _: _joined(*simcc.decode_to_image(o[0], o[1], inverse, c.split)),
        0.2,
    ),
    "regression": Example(
        {"range": "unit"},
        lambda c, xy, _: (regression.encode(xy, SIZE, c.range),),
        lambda c, o, inverse, _: _joined(*regression.decode_to_image(o[0], inverse, SIZE, c.range)),
        0.01,
    ),
    "paf": Example(
        {"peak_threshold": 0.2, "min_joints": 3, "limb_samples": 8, "field_order": "yx"}, _fields, _paf_people, 1.0
    ),
    "associative": Example(
        {"grid": "corners", "tag_threshold": 0.5, "order": ["c", "a", "left_b", "right_b"]},
        _tags,
        lambda c, o, i, spec: associative.people_of(
            o[0][0], o[1][0], _to_image(c, i), c.joint_order(spec.skeleton), c, affinity.peaks
        ),
        1.0,
    ),
    "offsets": Example(
        {"grid": "centers", "displacement": "subtract"},
        _displaced,
        lambda c, o, i, spec: offsets.people_of(o[0][0], o[1][0], _to_image(c, i), c, affinity.peaks),
        0.01,
    ),
    "posenet": Example({"nms_radius": 5.0, "grid": "centers"}, _tree, _tree_people, 0.01),
    "pifpaf": Example({"seed_threshold": 0.4, "min_joints": 2}, _composite, _grown, 0.01),
    "onestage": Example(
        {"score_threshold": 0.3, "iou_threshold": 0.5, "max_people": 20}, _rows, _onestage_people, 0.01
    ),
    "centroid": Example({"power": 2.0}, _heatmaps, lambda c, o, i, spec: centroids(o[0] ** c.power, i, spec), 0.5),
}


def contract_of(name: str, table: dict[str, Any] | None = None) -> ModelSpec:
    given = EXAMPLES[name].table if table is None else table
    value = {
        "name": "net", "skeleton": SKELETON, "input": {"size": list(SIZE)},
        "codec": {"type": name, **given}, "outputs": list(codec_named(name).output_names),
    }  # fmt: skip
    return spec_from_dict(value, "net.toml")


def joints_in_input() -> Array:
    """[2, 4, 2]: two people, far enough apart for a network that sees both."""
    first = np.array([[12.3, 14.2], [20.4, 9.7], [10.1, 25.8], [16.6, 24.9]])
    return np.stack([first, first + np.array([13.2, 22.4])])


def answered(name: str) -> tuple[ModelSpec, tuple[Array, ...], Array]:
    """(contract, outputs for `joints_in_input`, inverse)."""
    contract = contract_of(name)
    outputs = EXAMPLES[name].encode(contract.codec, joints_in_input(), contract)
    inverse = invert_affine(np.array([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]))
    return contract, outputs, np.stack([inverse] * len(outputs[0]))


def joints_found(found: Array | People) -> Array:
    """[N, K, 3] of either answer; people from the top of the image to the bottom."""
    if not isinstance(found, People):
        return found
    return _joined(found.xy_image, found.scores)[np.argsort(found.boxes_xyxy[:, 1])]


# --- What they must do ------------------------------------------------------------------------------------------------


def test_every_codec_has_an_example() -> None:
    assert set(EXAMPLES) == set(CODECS), "give a new codec an entry in EXAMPLES"


@pytest.mark.parametrize("name", NAMES)
def test_a_contract_reads_back(name: str) -> None:
    for table in ({}, EXAMPLES[name].table):
        contract = contract_of(name, table)
        again = spec_from_dict(json.loads(json.dumps(contract.to_json())), "json")
        assert again == contract and again.sha256() == contract.sha256()
    assert contract_of(name) != contract_of(name, {})
    assert contract.to_json()["codec"].items() >= {"type": name, **EXAMPLES[name].table}.items()


@pytest.mark.parametrize("name", NAMES)
def test_a_codec_describes_itself(name: str) -> None:
    kind = codec_named(name)
    assert kind.name == name
    assert len(kind.decodes) == len(kind.output_names) == len(contract_of(name).codec.shapes(*axes_of(name)))
    assert kind.__doc__ and "\n" not in kind.__doc__.splitlines()[0]


def axes_of(name: str) -> tuple[Skeleton, InputSpec]:
    contract = contract_of(name)
    return contract.skeleton, contract.input


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_names_the_nearest(name: str) -> None:
    known = next(iter(keys_of(codec_named(name))))
    with pytest.raises(SpecError, match=rf"net\.toml: unknown key codec\.{known}s.*did you mean '{known}'\?"):
        contract_of(name, {f"{known}s": 1})


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_of_another_type_is_named(name: str) -> None:
    for key in keys_of(codec_named(name)):
        with pytest.raises(SpecError, match=rf"net\.toml: codec\.{key} "):
            contract_of(name, {key: [1]})


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_taken_or_refused_by_name(name: str) -> None:
    contract, outputs, inverse = answered(name)
    given = dict(zip(contract.outputs, outputs, strict=True))
    found = outputs_of(contract, given, len(inverse))
    assert all(one is other for one, other in zip(found, outputs, strict=True))
    for output in contract.outputs:
        fewer = given[output][..., :2] if name == "onestage" else given[output][:, :2]  # any number of people is fine
        for wrong in (fewer, given[output][None], np.repeat(given[output], 2, axis=0)):
            with pytest.raises(
                SpecError, match=rf"net: output '{output}' has shape .*codec '{name}'.*correct the spec"
            ):
                outputs_of(contract, {**given, output: wrong}, len(inverse))


@pytest.mark.parametrize("name", NAMES)
def test_too_few_outputs_are_asked_for(name: str) -> None:
    kind = codec_named(name)
    value = contract_of(name).to_json() | {"outputs": list(kind.output_names[:-1]) or ["x"]}
    if len(kind.decodes) > 1:
        with pytest.raises(SpecError, match=f"decodes {len(kind.decodes)}: name the {kind.decodes[0]} and"):
            spec_from_dict(value, "net.toml")


@pytest.mark.parametrize("name", NAMES)
def test_decoding_is_the_definition_and_finds_the_joints(name: str) -> None:
    contract, outputs, inverse = answered(name)
    found = contract.codec.decode(outputs, None, inverse, contract)
    assert isinstance(found, People) == codec_named(name).finds_people
    expected = EXAMPLES[name].decode(contract.codec, outputs, inverse, contract)
    np.testing.assert_allclose(joints_found(found), joints_found(expected), atol=1e-3)
    assert joints_found(found).dtype == np.float32
    truth = apply_affine(inverse[0], joints_in_input())
    assert np.abs(joints_found(found)[..., :2] - truth).max() < 2 * EXAMPLES[name].accuracy


@pytest.mark.parametrize("name", NAMES)
def test_merging_the_answer_for_the_mirrored_input_changes_nothing(name: str) -> None:
    contract, outputs, inverse = answered(name)
    xy = joints_in_input()[:, list(contract.skeleton.flip_order())]
    xy[..., 0] = SIZE[1] - 1 - xy[..., 0]
    flipped = EXAMPLES[name].encode(contract.codec, xy, contract)
    contract.codec.check_flip(contract.skeleton)
    for merged, output in zip(contract.codec.merge_flip(outputs, flipped, contract), outputs, strict=True):
        # a list of people is joined with the other list; decoding suppresses half of them
        expected = np.concatenate([output, output], axis=1) if name == "onestage" else output
        np.testing.assert_allclose(merged, expected, atol=1e-4)
    found, alone = (contract.codec.decode(outputs, other, inverse, contract) for other in (flipped, None))
    np.testing.assert_allclose(joints_found(found), joints_found(alone), atol=1e-2)


class HostMemory:
    """A device whose memory is the host's, with the kernels compiled for the CPU."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._arrays: dict[int, Array] = {}
        library.cuda_host_array(None, ctypes.c_size_t(0))

    def upload(self, values: Array, dtype: DTypeLike = None) -> DeviceArray:
        array = np.ascontiguousarray(values, dtype)
        self._arrays[array.ctypes.data] = array
        return DeviceArray(array.ctypes.data, array.shape, array.dtype)

    def run(self, launch: Launch) -> None:
        sizes = [(ctypes.c_uint * 3)(*size) for size in (launch.grid, launch.block)]
        size = ctypes.c_size_t(len(launch.args))
        error = self._library.cuda_host_launch(launch.name.encode(), *sizes, launch.args, size, 0)
        assert error is None, error.decode()

    def download(self, array: DeviceArray) -> Array:
        return self._arrays[array.address]


@pytest.mark.skipif(choice.native is None, reason="the kernels' matrices come from the host extension")
@pytest.mark.parametrize("flip_test", [False, True], ids=["plain", "flip"])
@pytest.mark.parametrize("name", NAMES)
def test_the_device_decodes_as_the_host(name: str, flip_test: bool, request: pytest.FixtureRequest) -> None:
    contract, outputs, inverse = answered(name)
    codec, flipped = contract.codec, outputs if flip_test else None
    if codec.device_problem(flip_test) is not None:
        pytest.skip(str(codec.device_problem(flip_test)))
    device = HostMemory(request.getfixturevalue("emulated"))
    joints = device.upload(np.zeros((len(inverse), *codec.device_shape(contract.skeleton)), np.float32))
    height, width = outputs[0].shape[-2:]
    affines = device.upload(codec.device_affines(inverse, (height, width), contract))
    there = [device.upload(output) for output in outputs]
    order = device.upload(np.array(contract.skeleton.flip_order(), np.int32))
    device.run(codec.device_decoder(there, (there, order) if flip_test else None, affines, joints))
    expected = joints_found(codec.decode(outputs, flipped, inverse, contract))
    found = joints_found(codec.from_device(device.download(joints)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_imported(name: str, tmp_path: Path) -> None:
    contract, outputs, _ = answered(name)
    answers = {output: value[:1] for output, value in zip(contract.outputs, outputs, strict=True)}
    table = contract.to_json()
    del table["input"]["name"]
    model, spec = import_onnx(answering(tmp_path / "net.onnx", answers, SIZE), table)
    assert spec.codec == contract.codec and import_onnx_again(model, tmp_path) == spec
    with pytest.raises(SpecError, match=r"skeleton|expect"):
        import_onnx(tmp_path / "net.onnx", {**table, "skeleton": "lsp14", "codec": {"type": name}})


def import_onnx_again(model: onnx.ModelProto, folder: Path) -> ModelSpec:
    onnx.save(model, str(folder / "again.onnx"))
    return import_onnx(folder / "again.onnx", None)[1]


def test_a_codec_that_is_registered_in_one_line_runs(tmp_path: Path) -> None:
    contract, outputs, _ = answered("centroid")
    table = contract.to_json() | {"crop": {"padding": 1.0}}
    del table["input"]["name"]
    model, spec = import_onnx(answering(tmp_path / "net.onnx", {"masses": outputs[0][:1]}, SIZE), table)
    box = np.array([[-0.5, -0.5, SIZE[1] - 0.5, SIZE[0] - 0.5]])
    image = np.zeros((*SIZE, 3), np.uint8)
    session = OnnxRuntimeSession(model.SerializeToString(), OpenOptions())
    with session, open_pipeline(session, spec) as pipeline:
        poses = pipeline(image, box)
    assert np.abs(poses.xy_image[0] - joints_in_input()[0]).max() < 1.0
