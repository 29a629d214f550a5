"""The tables about networks of other projects, from peers*.csv and families.csv; `tables.py` places them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from records import RESULTS, read_csv, read_machine

from edgepose.metrics.retention import Interval
from edgepose.report.tables import machine_line, markdown, with_interval

NOT_YET = "Not measured yet.\n"
NOTHING = "not measured"
SHOWN = {("lsp", "oks_ap"): "OKS AP", ("coco-mini", "box_ap"): "AP of boxes"}
PARTS = {"total": "total ms", "network": "network ms", "around": "around it ms"}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A row of the summary.

    Attributes:
        label: What the family is called in the documentation.
        recognized: What it is recognized from.
        real: Networks of families.csv, as they were published.
        peers: The (family, network) of peers.csv whose exports or random outputs were compared; the network may be a
            beginning of its name.
        latency: The networks of peers-latency.csv.
        tests: Whether its tests decode stubs with the published inputs and outputs.
    """

    label: str
    recognized: str
    real: tuple[str, ...] = ()
    peers: tuple[tuple[str, str], ...] = ()
    latency: str = ""
    tests: bool = True


FAMILIES = (
    Family(
        label="YOLOv8, 11, 12, 26 pose of Ultralytics",
        recognized="metadata",
        real=("yolo11n-pose",),
        peers=(("ultralytics-pose", ""),),
        latency="YOLO11n-pose",
    ),
    Family(label="the same without metadata; DeepStream", recognized="shapes"),
    Family(
        label="RTMPose, RTMW, DWPose (SimCC)",
        recognized="files, or names and shapes",
        peers=(("simcc", ""), ("mmdeploy", "SimCC")),
        latency="YOLOX-nano, SimCC",
    ),
    Family(label="heatmap networks of mmdeploy", recognized="files", peers=(("mmdeploy", "MSRA"), ("mmdeploy", "UDP"))),
    Family(label="ViTPose", recognized="files", peers=(("huggingface-pose", ""),)),
    Family(
        label="heatmap networks, PP-TinyPose",
        recognized="shapes",
        real=("pp-tinypose", "pp-tinypose-aligned"),
        latency="YOLOX-nano, PP-TinyPose",
    ),
    Family(label="RTMO, YOLOX-pose", recognized="names", peers=(("rtmo", ""),)),
    Family(label="YOLO-NAS-pose", recognized="names or shapes"),
    Family(label="DETRPose", recognized="names"),
    Family(label="MoveNet SinglePose", recognized="shapes", real=("movenet-lightning",)),
    Family(label="MoveNet MultiPose", recognized="shapes"),
    Family(label="BlazePose", recognized="shapes", real=("blazepose-lite",)),
    Family(label="lightweight-openpose, OpenPose, trt_pose", recognized="names or channels"),
    Family(label="associative embedding, HigherHRNet", recognized="names or channels"),
    Family(label="DEKR, PoseNet, openpifpaf", recognized="names or channels"),
    Family(label="detectors of Ultralytics", recognized="metadata or shapes", peers=(("ultralytics-detect", ""),)),
    Family(label="RTMDet of mmdeploy", recognized="names", real=("rtmdet-nano",)),
    Family(label="YOLOX", recognized="names, shapes and values", real=("yolox-nano",), peers=(("yolox", ""),)),
    Family(label="SSD, NanoDet, RT-DETR, D-FINE", recognized="names or shapes"),
)


def compared() -> str:
    """Return the largest differences from the projects' own code, and how many values were compared."""
    if not (RESULTS / "peers.csv").exists():
        return NOT_YET
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for line in read_csv("peers.csv"):
        network = re.sub(r", \d+x\d+$", "", line["network"])  # the frames of one network are one row
        key = (line["project"], line["version"], network, line["family"], line["weights"], line["what"], line["unit"])
        groups.setdefault((*key, line["note"]), []).append(line)
    rows = []
    for (project, version, network, family, weights, what, unit, note), lines in groups.items():
        outputs = {"random": "export, random weights", "none": "random outputs"}[weights]
        largest = max(float(line["largest"]) for line in lines)
        count = sum(int(line["count"]) for line in lines)
        rows.append([f"{project} {version}", network, family, outputs, what, f"{count}", f"{largest:.1e} {unit}", note])
    header = ["project", "network", "recognized as", "outputs", "compared", "values", "largest difference", "note"]
    return f"{markdown(header, rows)}\n{machine_line(read_machine('peers'))}.\n"


def latency() -> str:
    """Return the time of whole calls, of the networks and around them, of edgepose and of the projects' runtimes."""
    if not (RESULTS / "peers-latency.csv").exists():
        return NOT_YET
    lines = {(line["networks"], line["runtime"], line["part"]): line for line in read_csv("peers-latency.csv")}
    rows = []
    for networks, runtime in dict.fromkeys(key[:2] for key in lines):
        parts = [lines[networks, runtime, part] for part in PARTS]
        ratios = ["1" if not line["times_edgepose"] else _times(line) for line in (parts[0], parts[2])]
        name = runtime if runtime == "edgepose" else f"{runtime} {parts[0]['version']}"
        rows.append([networks, parts[0]["people"], name, *(f"{float(line['p50_ms']):.2f}" for line in parts), *ratios])
    header = ["networks", "people", "runtime", *PARTS.values(), "total / edgepose [95 %]", "around / edgepose [95 %]"]
    how = "Medians of one interleaved run, ONNX Runtime with one thread for all, one photograph"
    return f"{markdown(header, rows)}\n{how}. {machine_line(read_machine('peers-latency'))}.\n"


def _times(line: dict[str, str]) -> str:
    return f"{float(line['times_edgepose']):.2f} [{line['times_low']}, {line['times_high']}]"


def families() -> str:
    """Return how each family is recognized and tested, its accuracy, what INT8 keeps of it, and its latency."""
    known = [line for line in read_csv("families.csv") if (line["data"], line["metric"]) in SHOWN]
    known += _quantized({line["network"] for line in known if line.get("precision") == "int8"})
    there = (RESULTS / "peers.csv").exists()
    peers = [(line["family"], line["network"]) for line in read_csv("peers.csv")] if there else []
    timed = read_csv("peers-latency.csv") if (RESULTS / "peers-latency.csv").exists() else []
    rows = []
    for family in FAMILIES:
        exported = any(name == one and network.startswith(start)
                       for name, start in family.peers for one, network in peers)  # fmt: skip
        tested = [*(["real"] if family.real else []), *(["random"] if exported else [])]
        tested += ["stub"] if family.tests else []
        lines = {
            precision: [line for line in known if line["network"] in family.real and _precision(line) == precision]
            for precision in ("fp32", "int8")
        }
        fp32 = "; ".join(f"{line['network']}: {_metric(line)} {_interval(line, '')}" for line in lines["fp32"])
        int8 = "; ".join(f"{line['network']}: {_interval(line, 'kept')}" for line in lines["int8"])
        times = [
            f"{line['runtime']} {float(line['p50_ms']):.1f}"
            for line in timed
            if line["networks"] == family.latency and line["part"] == "total"
        ]
        rows.append([family.label, family.recognized, ", ".join(tested), fp32 or NOTHING, int8 or NOTHING,
                     ", ".join(times) or NOTHING])  # fmt: skip
    fp32 = "FP32: OKS AP on LSP test, AP of boxes on COCO-mini val [95 %]"
    header = ["family", "recognized from", "tested with", fp32, "INT8 keeps [95 %]", "latency, ms"]
    return markdown(header, rows)


def _quantized(measured: set[str]) -> list[dict[str, str]]:
    """Return what INT8 keeps of networks for boxes of people, of which families.csv has FP32 alone.

    Args:
        measured: The networks whose INT8 is in families.csv.
    """
    return [
        {
            "network": line["network"],
            "precision": "int8",
            **{f"kept{end}": f"{100 * float(line[f'retained{end}'])}" for end in ("", "_low", "_high")},
        }
        for line in read_csv("quantization.csv")
        if (line["engine"], line["metric"]) == ("int8", "oks_ap") and line["network"] not in measured
    ]


def _metric(line: dict[str, str]) -> str:
    return SHOWN[line["data"], line["metric"]]


def _precision(line: dict[str, str]) -> str:
    return line.get("precision", "fp32")


def _interval(line: dict[str, str], what: str) -> str:
    names = (what, f"{what}_low", f"{what}_high") if what else ("value", "low", "high")
    value, low, high = (float(line[name]) / 100 for name in names)
    return with_interval(Interval(value=value, low=low, high=high))
