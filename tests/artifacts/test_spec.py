"""ModelSpec: what is written reads back, and every field says what is wrong with it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from edgepose.artifacts import spec as module
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import (
    SPEC_KEY,
    CropSpec,
    InputSpec,
    ModelSpec,
    embed_spec,
    embedded_spec,
    get_metadata,
    read_toml,
    set_metadata,
    spec_from_dict,
)
from edgepose.artifacts.tables import keys_of
from edgepose.codecs import CODECS, codec_named
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.simcc import SimccCodec
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import SpecError, UsageError
from edgepose.pose.skeletons import SKELETONS, Skeleton

GOOD = {"name": "net", "skeleton": "coco17"}


def tiny_model() -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    return helper.make_model(graph)


def unusual() -> ModelSpec:
    """Nothing at its default."""
    return ModelSpec(
        name="other",
        skeleton=Skeleton(name="own", joints=("a", "b"), flips=(("a", "b"),), limbs=(("a", "b"),), sigmas=(0.1, 0.2)),
        input=InputSpec(
            name="data",
            size=(64, 48),
            color="bgr",
            mean=(1, 2, 3),
            std=(4, 5, 6.5),
            layout="nhwc",
            dtype="float16",
            scale=2,
        ),
        codec=SimccCodec(split=3),
        crop=CropSpec(padding=1.1, border_value=3),
        quantize=QuantizeOptions(keep_float=("/head/*", "stem"), method="percentile"),
        outputs=("x", "y"),
    )


@pytest.mark.parametrize("made", [spec_from_dict(GOOD, "here"), unusual()], ids=["defaults", "unusual"])
def test_json_round_trip(made):
    again = spec_from_dict(json.loads(json.dumps(made.to_json())), "json")
    assert again == made
    assert again.sha256() == made.sha256()
    assert again.sha256() != replace(made, name="another").sha256()


def test_defaults():
    made = spec_from_dict(GOOD, "here")
    assert made.skeleton is SKELETONS["coco17"]
    assert made.input == InputSpec()
    assert made.input.size == (256, 192)
    assert made.outputs == ("heatmaps",)
    assert spec_from_dict(GOOD | {"input": {"size": [64, 48]}}, "here").input == InputSpec(size=(64, 48))


def test_a_contract_names_its_way_of_choosing_ranges_where_it_is_not_the_usual_one():
    usual, other = (spec_from_dict(GOOD | {"quantize": {"method": name}}, "here") for name in ("image_max", "mse"))
    assert usual == spec_from_dict(GOOD, "here")
    assert usual.to_json()["quantize"] == {"keep_float": []}
    assert other.to_json()["quantize"] == {"keep_float": [], "method": "mse"}
    with pytest.raises(SpecError, match=r"here: quantize\.method = 'percentil'; did you mean 'percentile'"):
        spec_from_dict(GOOD | {"quantize": {"method": "percentil"}}, "here")


ABSENT = {  # by default
    "heatmap": ("pictorial", "grid", "offset"),
    "paf": ("field_order", "background"),
    "onestage": ("iou_threshold",),
}


def test_a_contract_holds_its_codecs_parameters_only():
    """Hashes of contracts that were written before there were other codecs stay what they were."""
    heatmap = spec_from_dict(GOOD, "here")
    assert heatmap.sha256() == "aa06f21d2afc2ad4d45552b9a4ad8df85da424e9b9ed79858cec0e7186119fa8"
    assert heatmap.to_json()["codec"] == {"type": "heatmap", "decode": "quarter", "sigma": 2.0}
    assert unusual().to_json()["codec"] == {"type": "simcc", "split": 3.0}
    parameters = {name: list(keys_of(codec_named(name))) for name in CODECS}
    for codec, names in parameters.items():
        limbs = {"name": "own", "joints": list("abcd"), "limbs": [["a", "b"], ["c", "b"], ["d", "a"]]}
        made = spec_from_dict(
            {
                "name": "net",
                "skeleton": limbs,
                "codec": {"type": codec},
                "outputs": list(codec_named(codec).output_names),
            },
            "here",
        )
        value = made.to_json()["codec"]
        assert list(value) == ["type", *(name for name in names if name not in ABSENT.get(codec, ()))]
        assert spec_from_dict(made.to_json(), "again") == made
        for foreign in {name for other in parameters.values() for name in other} - set(names):
            with pytest.raises(SpecError, match=rf"unknown key codec\.{foreign} for codec '{codec}'"):
                spec_from_dict(GOOD | {"codec": {"type": codec, foreign: 1}}, "here")


def test_a_codec_says_which_outputs_and_limbs_it_wants():
    for codec, says in (("simcc", "the x vectors and the y vectors"), ("paf", "the joint maps and the limb fields")):
        with pytest.raises(SpecError, match=rf"outputs = \['heatmaps'\].*decodes 2: name {says}, in this order"):
            spec_from_dict(GOOD | {"codec": {"type": codec}}, "here")
    paf = GOOD | {"codec": {"type": "paf"}, "outputs": ["maps", "fields"]}
    bare = {"name": "own", "joints": ["a", "b"]}
    with pytest.raises(SpecError, match="the limbs of skeleton 'own' do not reach a, b; give a skeleton table"):
        spec_from_dict(paf | {"skeleton": bare}, "here")
    with pytest.raises(SpecError, match="the limbs of skeleton 'coco17' do not reach left_shoulder, right_shoulder"):
        spec_from_dict(paf, "here")
    with pytest.raises(SpecError, match=r"codec\.min_joints = 4; skeleton 'own' has 2 joints"):
        spec_from_dict(paf | {"skeleton": bare | {"limbs": [["a", "b"]]}}, "here")


def test_a_network_that_sees_whole_frames_sees_no_rim():
    joined = {"name": "own", "joints": ["a", "b"], "limbs": [["a", "b"]]}
    paf = {"name": "net", "skeleton": joined, "codec": {"type": "paf", "min_joints": 2}, "outputs": ["maps", "fields"]}
    assert spec_from_dict(paf, "here").crop == spec_from_dict(paf | {"crop": {}}, "here").crop == CropSpec(padding=1.0)
    assert spec_from_dict(paf | {"crop": {"padding": 1.1}}, "here").crop == CropSpec(padding=1.1)
    assert spec_from_dict(GOOD, "here").crop == CropSpec(padding=1.25)
    with pytest.raises(SpecError, match="crop must be a table"):
        spec_from_dict(paf | {"crop": 1.0}, "here")


def test_preprocessing_is_what_decides_the_pixels():
    made = unusual()
    key = made.preprocessing()
    assert key != replace(made, crop=CropSpec(padding=1.3)).preprocessing()
    assert key != replace(made, input=replace(made.input, color="rgb")).preprocessing()
    assert key == replace(made, name="x", codec=HeatmapCodec(), outputs=("z",)).preprocessing()


def test_keys_that_are_new_are_not_written_at_their_default():
    value = spec_from_dict(GOOD, "here").to_json()
    assert set(value["input"]) == {"name", "size", "color", "mean", "std"}
    assert set(value["crop"]) == {"padding"}
    given = {"layout": "nhwc", "dtype": "float16", "scale": 1 / 255}
    for crop in ({"border": "replicate"}, {"border_value": 114}):
        made = spec_from_dict(GOOD | {"input": given, "crop": crop}, "here").to_json()
        assert made["input"].items() >= given.items() and made["crop"].items() >= crop.items()


def test_a_border_value_without_effect_is_refused():
    with pytest.raises(
        SpecError, match=r"crop\.border_value has no effect with crop\.border = 'replicate'; leave it out"
    ):
        spec_from_dict(GOOD | {"crop": {"border": "replicate", "border_value": 114}}, "here")


def test_an_input_of_pixels_takes_them_as_they_are():
    made = spec_from_dict(GOOD | {"input": {"dtype": "uint8"}}, "here")
    assert (made.input.mean, made.input.std, made.input.scale) == ((0, 0, 0), (1, 1, 1), 1)
    assert spec_from_dict(made.to_json(), "again") == made
    for wrong in ({"mean": [1, 2, 3]}, {"std": [2, 2, 2]}, {"scale": 2}):
        with pytest.raises(SpecError, match=r"'uint8' takes pixels as they are; leave out input\.mean"):
            spec_from_dict(GOOD | {"input": {"dtype": "uint8", **wrong}}, "here")


def test_the_example_in_the_docstring_is_a_spec(tmp_path):
    lines = [line for line in module.__doc__.splitlines() if line.startswith("    ")]
    path = tmp_path / "net.toml"
    path.write_text(textwrap.dedent("\n".join(lines)))
    made = spec_from_dict(read_toml(path), "docstring")
    assert made.input.name == "data"
    assert made.quantize.keep_float == ("/head/*",)
    assert len(lines) == len(made.to_json())  # every key is shown


UNKNOWN = [
    (GOOD | {"skelton": "x"}, "unknown key 'skelton'; did you mean 'skeleton'"),
    (GOOD | {"input": {"siez": [1, 2]}}, "unknown key input.siez; did you mean 'size'"),
    (GOOD | {"codec": {"decoder": "dark"}}, "unknown key codec.decoder for codec 'heatmap'; did you mean 'decode'"),
    (GOOD | {"crop": {"pad": 1.2}}, "unknown key crop.pad"),
    (
        GOOD | {"quantize": {"keep": []}},
        "unknown key quantize.keep; known: bias_correction, channels, clip_to_relu, deconv,",
    ),
    (GOOD | {3: 4}, "unknown key 3"),
    ({"name": "net"}, "has no skeleton; add it"),
    ({"skeleton": "coco17"}, "has no name; add it"),
    ([GOOD], "a spec is a table, got list"),
    (None, "a spec is a table, got NoneType"),
]
INF, NAN = float("inf"), float("nan")
TREE = {"parents": [-1, 0, 1], "mean": [[0, 0]] * 3, "variance": [[1, 1]] * 3}
WRONG = {
    "name": [3, None, True, ["net"]],
    "skeleton": [3, None, ["nose"], "coco", {"joints": "nose"}],
    "outputs": ["heatmaps", [1], [], ["a", "a"], {"a": 1}],
    "input": ["data", [1], None],
    "input.name": [3, None],
    "input.size": [
        256,
        [256],
        [256, 192, 3],
        [256.0, 192.0],
        ["256", "192"],
        [0, 192],
        [-1, 5],
        [True, True],
    ],
    "input.color": ["gray", "RGB", 3, None],
    "input.mean": [[1, 2], 1, ["1", "2", "3"], [1, 2, None], [1, 2, NAN], [1, 2, INF], [True, 1, 1]],
    "input.std": [[1, 2], 1, [1, 2, 0], [1, 2, -1], [1, 2, NAN], [1, 2, INF], ["1", "1", "1"]],
    "input.layout": ["chw", 3, None],
    "input.dtype": ["int8", 3, None],
    "input.scale": [0, -1, "1", NAN, INF, True],
    "codec": ["heatmap", 3],
    "codec.type": ["heatmaps", 3, None],
    "codec.decode": ["quarters", "", 3],
    "codec.sigma": [0, -1, "2", NAN, INF, True],
    "codec.pictorial": [
        3,
        None,
        {},
        TREE | {"spring": 1},
        TREE | {"parents": [1, 2, 0]},
        TREE | {"parents": [-1, -1, 0]},
        TREE | {"parents": [-1, 0, 3]},
        TREE | {"parents": [-1, 0, -2]},
        TREE | {"parents": [-1, 2, 1]},
        TREE | {"parents": [-1, 0.0, 1]},
        TREE | {"mean": [[0, 0]] * 2},
        TREE | {"mean": [[0, 0, 0]] * 3},
        TREE | {"variance": [[1, 1], [1, 0], [1, 1]]},
        TREE | {"variance": [[1, 1], [1, NAN], [1, 1]]},
        TREE | {"weight": -1},
        TREE | {"floor": 0},
        TREE,  # the skeleton has 17 joints
    ],
    "codec.split": [0, 0.5, "2", NAN, INF, True],
    "codec.range": ["centred", "", 3],
    "codec.peak_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.capacity": [0, 1001, 2.0, "9", True],
    "codec.limb_samples": [1, 1001, 10.0, "9", True],
    "codec.limb_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.limb_ratio": [-0.1, 1.1, "0.1", NAN, INF, True],
    "codec.min_joints": [0, 2.0, "2", True],
    "codec.min_score": [-0.1, "0.1", NAN, INF, True],
    "codec.field_order": ["yy", "", 3],
    "codec.background": ["yes", 1, 0.0],
    "codec.grid": ["center", "", 3],
    "codec.offset": ["0.5", NAN, INF, True],
    "codec.candidates": [0, 1001, 2.0, "9", True],
    "codec.tag_threshold": [0, -1.0, "2", NAN, INF, True],
    "codec.max_people": [0, 1001, 2.0, "9", True],
    "codec.order": ["nose", ["no joint"], [3], 3],
    "codec.fill": ["yes", 1, 0.0],
    "codec.displacement": ["plus", "", 3],
    "codec.center_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.nms_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.root_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.joint_threshold": [-0.1, "0.1", NAN, INF, True],
    "codec.nms_radius": [-0.1, "0.1", NAN, INF, True],
    "codec.field_threshold": [-0.1, 1.1, "0.1", NAN, INF, True],
    "codec.seed_threshold": [-0.1, 1.1, "0.1", NAN, INF, True],
    "codec.relative_threshold": [-0.1, 1.1, "0.1", NAN, INF, True],
    "codec.score_threshold": [-0.1, 1.1, "0.1", NAN, INF, True],
    "codec.iou_threshold": [-0.1, 1.1, "0.1", NAN, INF, True],
    "crop": [1.25],
    "crop.padding": [0.9, 0, "1.25", NAN, INF, None, True],
    "crop.border": ["reflect", 3, None],
    "crop.border_value": [-1, 256, 1.5, "1", True],
    "crop.place": ["left", 3, None],
    "crop.resize": ["floor", 1, None],
    "quantize": [["/head/*"]],
    "quantize.keep_float": ["/head/*", [3], None],
    "quantize.keep_float32": ["/head/*", [3], None],
    "quantize.method": [3, None, ["mse"], "msee"],
    "quantize.percentile": [50, 101, "99", NAN, True],
    "quantize.deconv": ["int4", 8, None],
    "quantize.deconv_weights": ["axis0", 1],
    "quantize.stem_float": [1, "yes"],
    "quantize.head_float": [0, "no"],
    "quantize.clip_to_relu": [1, None],
    "quantize.bias_correction": [0, "yes"],
    "quantize.equalize": [1, None],
    "quantize.channels": ["nvidia", 1],
}
CASES = [(field, value) for field, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("value", "says"), UNKNOWN, ids=[says for _, says in UNKNOWN])
def test_unknown_and_missing_keys(value, says):
    with pytest.raises(SpecError, match=says):
        spec_from_dict(value, "net.toml")


@pytest.mark.parametrize(("field", "value"), CASES, ids=[f"{field}={value}" for field, value in CASES])
def test_a_wrong_value_names_its_field_and_file(field, value):
    part, _, key = field.partition(".")
    value = {key: value} if key else value
    codec = next((name for name in CODECS if part == "codec" and key in keys_of(codec_named(name))), None)
    if codec is not None:
        value["type"] = codec
    with pytest.raises(SpecError, match=rf"^net\.toml: .*{key or field}( |:|\.)"):
        spec_from_dict(GOOD | {part: value}, "net.toml")


def test_every_field_of_a_spec_is_tried():
    leaves = {f"{part}.{key}" for part, kind in module._PARTS.items() for key in keys_of(kind)}
    codecs = {f"codec.{key}" for name in CODECS for key in keys_of(codec_named(name))}
    assert leaves | codecs | set(module._PARTS) | {"skeleton", "codec", "codec.type"} == set(WRONG)


def test_a_tree_of_springs_is_kept_and_left_out_where_there_is_none():
    three = GOOD | {"skeleton": {"joints": ["a", "b", "c"]}, "codec": {"pictorial": TREE | {"weight": 2}}}
    spec = spec_from_dict(three, "net.toml")
    assert spec.codec.pictorial == PictorialSpec(
        parents=(-1, 0, 1), mean=((0.0, 0.0),) * 3, variance=((1.0, 1.0),) * 3, weight=2.0
    )
    assert spec_from_dict(spec.to_json(), "net.toml") == spec
    assert "pictorial" not in spec_from_dict(GOOD, "net.toml").to_json()["codec"]


def test_embed_and_read_back():
    model, made = tiny_model(), unusual()
    set_metadata(model, "author", "somebody")
    embed_spec(model, made)
    embed_spec(model, made)  # again: it replaces
    assert [prop.key for prop in model.metadata_props] == ["author", SPEC_KEY]
    again = onnx.load_from_string(model.SerializeToString())
    assert embedded_spec(again, "net.onnx") == made
    assert get_metadata(again, "author") == "somebody"
    assert get_metadata(again, "nothing") is None


def test_an_onnx_without_or_with_a_damaged_spec():
    model = tiny_model()
    with pytest.raises(SpecError, match=r"net\.onnx carries no edgepose spec.*--spec spec\.toml"):
        embedded_spec(model, "net.onnx")
    for damaged in ("{", "[" * 100_000, '{"name": ' + "1" * 10_000 + "}"):
        set_metadata(model, SPEC_KEY, damaged)
        with pytest.raises(SpecError, match=r"net\.onnx: the embedded spec is no valid JSON"):
            embedded_spec(model, "net.onnx")
    set_metadata(model, SPEC_KEY, '{"name": "x", "skeleton": "lsp14", "colour": 1}')
    with pytest.raises(SpecError, match=r"net\.onnx: unknown key 'colour'"):
        embedded_spec(model, "net.onnx")


def test_toml_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "net.toml"
    with pytest.raises(SpecError, match=r"cannot read spec .*net\.toml: No such file"):
        read_toml(path)
    path.write_text("name = ")
    with pytest.raises(SpecError, match=r"net\.toml is no valid TOML"):
        read_toml(path)
    path.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(SpecError, match=r"net\.toml is no valid TOML"):
        read_toml(path)


def test_every_quantize_option_travels_and_defaults_are_not_written():
    given = {
        "keep_float": ["/head/*"], "method": "percentile", "percentile": 99.0, "deconv": "float",
        "deconv_weights": "axis1", "stem_float": False, "head_float": False, "clip_to_relu": False,
        "bias_correction": False, "equalize": False, "channels": "tensorrt",
    }  # fmt: skip
    spec = spec_from_dict({"name": "net", "skeleton": "lsp14", "quantize": given}, "net.toml")
    assert spec.to_json()["quantize"] == given
    assert spec_from_dict(spec.to_json(), "again") == spec
    plain = spec_from_dict({"name": "net", "skeleton": "lsp14", "quantize": {"method": "image_max"}}, "net.toml")
    assert plain.to_json()["quantize"] == {"keep_float": []}


def test_options_given_come_before_the_contract_and_patterns_are_added():
    held = QuantizeOptions(method="mse", deconv="float", keep_float=("/a",))
    made = held.changed({"method": "percentile", "percentile": None, "keep_float": ("/b", "/a")})
    assert made == QuantizeOptions(method="percentile", deconv="float", keep_float=("/a", "/b"))


def test_a_percentile_for_another_method_is_refused():
    with pytest.raises(UsageError, match="for method percentile, not image_max"):
        QuantizeOptions().changed({"percentile": 99.0})
    held = QuantizeOptions(method="percentile")
    assert held.changed({"percentile": 99.0}) == QuantizeOptions(method="percentile", percentile=99.0)
    with pytest.raises(UsageError, match="for method percentile, not mse"):
        held.changed({"percentile": 99.0, "method": "mse"})
