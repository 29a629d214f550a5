"""Write the tables of the README, the docs and the model card from benchmarks/results/; `--check` only compares them.

    python benchmarks/tables.py [--check]

A table is placed between `<!-- table:NAME -->` and `<!-- /table -->`, where NAME is a key of TABLES.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import tables_families
import tables_peers
import tables_quantization
import tables_streams
import tables_tracking
from records import read_csv, read_machine

from edgepose._files import write_bytes
from edgepose.metrics import registered_metrics
from edgepose.metrics.metric import FRACTION_OF_JOINTS, Declaration
from edgepose.metrics.retention import Interval
from edgepose.report.tables import machine_line, markdown, metric_name, percent, with_interval
from edgepose.training.recipe import recipe_names

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "edgepose" / "zoo" / "MODEL_CARD.md",
    ROOT / "docs" / "guides" / "your-network.md",
    ROOT / "docs" / "guides" / "fine-tune-int8.md",
    ROOT / "docs" / "guides" / "tracking.md",
    ROOT / "docs" / "guides" / "video.md",
    *sorted((ROOT / "docs" / "results").glob("*.md")),
)
HEADLINES = ("pck@0.2", "pckh@0.5", "pcp@0.5", "pdj_auc", "oks_ap")
RATIO = "edgepose / pycocotools"
STAGES = ("preprocess", "inference", "decode", "end_to_end", "network")


def _share(text: str) -> str:
    return percent(float(text))


VALUE = ("value", "low", "high")
RETAINED = ("retained", "retained_low", "retained_high")


def _interval(
    line: dict[str, str], columns: tuple[str, str, str] = VALUE, declared: Declaration = FRACTION_OF_JOINTS
) -> str:
    value, low, high = (float(line[column]) for column in columns)
    return with_interval(Interval(value=value, low=low, high=high), declared)


def accuracy() -> str:
    """Return each metric in FP32, and in FP16 and INT8 with its retention."""
    lines = {(line["engine"], line["metric"]): line for line in read_csv("lite-accuracy.csv")}
    registered = registered_metrics()
    rows = []
    for metric in dict.fromkeys(metric for _, metric in lines):
        declared = registered[metric].declared
        row = [metric_name(metric, declared), _interval(lines["openvino-fp32", metric], VALUE, declared)]
        for engine in ("openvino-fp16", "openvino-int8"):
            line = lines[engine, metric]
            row += [declared.text(float(line["value"])), _interval(line, RETAINED)]
        row.append(_share(lines["openvino-int8", metric]["detectable"]))
        rows.append(row)
    header = ["metric", "FP32 [95 %]", "FP16", "retention [95 %]", "INT8", "retention [95 %]", "detectable"]
    return markdown(header, rows)


def headlines() -> str:
    """Return five metrics in FP32 and INT8, the retention of INT8, and the smallest loss this sample can detect."""
    lines = {(line["engine"], line["metric"]): line for line in read_csv("lite-accuracy.csv")}
    rows = []
    for metric in HEADLINES:
        fp32, int8 = (lines[f"openvino-{precision}", metric] for precision in ("fp32", "int8"))
        values = [_share(fp32["value"]), _share(int8["value"])]
        rows.append([metric, *values, _interval(int8, RETAINED), _share(int8["detectable"])])
    return markdown(["metric", "FP32", "INT8", "retention [95 %]", "detectable loss"], rows)


def joints() -> str:
    """Return PCK@0.2 of each joint in FP32 and INT8."""
    lines = {
        (line["engine"], line["part"]): line["value"]
        for line in read_csv("lite-joints.csv")
        if line["metric"] == "pck@0.2"
    }
    parts = list(dict.fromkeys(part for _, part in lines))
    rows = [
        [part.replace("_", " "), *(_share(lines[engine, part]) for engine in ("openvino-fp32", "openvino-int8"))]
        for part in parts
    ]
    return markdown(["joint", "FP32", "INT8"], rows)


def _latency(name: str) -> str:
    lines = {(line["engine"], line["stage"]): line for line in read_csv(f"{name}-latency.csv")}
    ratios = {(line["engine"], line["what"]): line for line in read_csv(f"{name}-ratios.csv")}
    engines = list(dict.fromkeys(engine for engine, _ in lines))
    rows = []
    for engine in engines:
        faster = ratios.get((engine, "network_times_faster"))
        row = [engine.replace("-", " "), *(f"{float(lines[engine, stage]['p50_ms']):.2f}" for stage in STAGES)]
        row.append(f"{float(lines[engine, 'end_to_end']['p95_ms']):.2f}")
        row.append(f"{float(ratios[engine, 'pipeline_over_network']['value']):.3f}")
        row.append("1" if faster is None else f"{float(faster['value']):.2f}")
        rows.append(row)
    header = ["engine", "preprocess", "inference", "decode", "end to end", "network alone", "end to end p95",
              "pipeline / network", "times faster"]  # fmt: skip
    table = markdown(header, rows)
    machine = read_machine(name)
    how = "Milliseconds, median of one interleaved run, one thread, batch 1, 1280x720 frame"
    return f"{table}\n{how}. {machine_line(machine)}.\n"


def memory() -> str:
    rows = [[line["model"], line["photographs"], line["peak_mib"]] for line in read_csv("memory.csv")]
    return markdown(["model", "photographs observed", "peak MiB of the process"], rows)


PAPERS = {
    "cpm": "Convolutional Pose Machines, Wei et al., CVPR 2016",
    "deeppose": "DeepPose, Toshev and Szegedy, CVPR 2014",
    "eol": "Efficient Object Localization, Tompson et al., CVPR 2015",
    "ief": "Iterative Error Feedback, Carreira et al., CVPR 2016",
    "cpn": "Cascaded Pyramid Network, Chen et al., CVPR 2018",
    "hourglass": "Stacked Hourglass, Newell et al., ECCV 2016",
    "hrnet": "HRNet, Sun et al., CVPR 2019",
    "openpose": "OpenPose PAF, Cao et al., CVPR 2017",
    "people": "FCOS, Tian et al., ICCV 2019; YOLOX, Ge et al., 2021",
    "pyramid": "Feature Pyramid Networks, Lin et al., CVPR 2017",
    "simplebaseline": "SimpleBaseline, Xiao et al., ECCV 2018",
}


def networks() -> str:
    """Return the paper, the codec, the parameters and the multiply-adds of every network."""
    rows = []
    for line in read_csv("networks.csv"):
        size = f"{line['height']}x{line['width']}"
        cost = [f"{int(line['parameters']) / 1e6:.2f}", f"{int(line['multiply_adds']) / 1e9:.2f}"]
        rows.append([f"`{line['model']}`", PAPERS[line["model"].partition("-")[0]], line["codec"], size, *cost])
    table = markdown(["network", "paper", "codec", "input", "million parameters", "billion multiply-adds"], rows)
    return table.replace("|---|---:|---:|", "|---|---|---|", 1)  # paper and codec are text


def systems() -> str:
    """Return accuracy, cost, latency and INT8 retention of every system on LSP test, and the result of its paper."""
    times = {(line["system"], line["precision"]): line["p50_ms"] for line in read_csv("systems-latency.csv")}
    rows = []
    for line in read_csv("systems.csv"):
        cost = [f"{int(line['parameters']) / 1e6:.2f}", f"{int(line['multiply_adds']) / 1e9:.2f}"]
        pck = _interval(line, ("pck@0.2", "pck@0.2_low", "pck@0.2_high"))
        accuracy = [pck, _share(line["pcp@0.5"]), _share(line["pdj@0.2"])]
        latency = [f"{float(times[line['system'], precision]):.1f}" for precision in ("fp32", "int8")]
        kept = [_interval(line, RETAINED), _share(line["detectable"])]
        rows.append([f"`{line['system']}`", *accuracy, *cost, *latency, *kept, line["paper"]])
    header = ["system", "PCK@0.2 [95 %]", "PCP", "PDJ@0.2", "million parameters", "billion multiply-adds",
              "FP32 ms", "INT8 ms", "INT8 retention of PCK [95 %]", "detectable",
              "result in the paper (training data)"]  # fmt: skip
    machine = read_machine("systems-latency")
    budget = " and ".join(
        sorted({f"{line['epochs']} epochs of {line['people']} people" for line in read_csv("systems.csv")})
    )
    how = (
        "Accuracy is on LSP test, 1,000 people, labeled boxes. Latency is that of the network alone with OpenVINO, "
        "one thread, batch 1"
    )
    measured = {line["system"] for line in read_csv("systems.csv")}
    missing = [f"`{name}`" for name in recipe_names() if name.endswith("-small") and name not in measured]
    left = f"Not trained and measured yet: {', '.join(missing)}. " if missing else ""
    notes = (
        "The latency was measured with random weights. `openpose-small` is measured by its heatmaps alone, on the same "
        "crops as the others. Its parameters and multiply-adds include its fields, whose INT8 is not measured here"
    )
    return (
        f"{markdown(header, rows)}\n{left}Each system was trained for {budget} (LSP fit and LSP Extended) on a CPU. "
        f"{how}. {notes}. {machine_line(machine)}.\n"
    )


def ranges() -> str:
    """Return the INT8 retention of each system with and without float parts, for each calibration method."""
    lines = {(line["system"], line["float_parts"], line["calibration"], line["split"]): line
             for line in read_csv("ranges.csv")}  # fmt: skip
    rows = []
    for name, kept, method in dict.fromkeys(key[:3] for key in lines):
        shares = [_interval(lines[name, kept, method, split], RETAINED) for split in ("val", "test")]
        rows.append([f"`{name}`", kept, method, *shares])
    header = ["system", "float parts", "calibration", "INT8 retention of PCK, LSP val [95 %]", "LSP test [95 %]"]
    return markdown(header, rows)


def pictorial() -> str:
    """Return PCP and PCK of each network with independent joints and with the best body model, and the gain."""
    rows = []
    for line in read_csv("pictorial.csv"):
        ways = [_interval(line, (way, f"{way}_low", f"{way}_high")) for way in ("plain", "pictorial", "gain")]
        rows.append([f"`{line['model']}`", line["metric"], *ways, f"{float(line['weight']):g}"])
    header = [
        "network",
        "metric",
        "independent joints [95 %]",
        "body model [95 %]",
        "gain [95 %]",
        "weight of the springs",
    ]
    return markdown(header, rows)


def metrics() -> str:
    """Return the CPU seconds of the metrics, and the ratio to pycocotools."""
    lines = read_csv("metrics.csv")
    ratio = next(line for line in lines if line["what"] == RATIO)
    rows = [[line["what"], line["median_s"]] for line in lines if line["what"] != RATIO]
    table = markdown(["5,000 images, 11,000 people; LSP test: 1,000 people", "CPU seconds"], rows)
    machine = read_machine("metrics")
    return f"{table}\n{RATIO}: {ratio['median_s']}, median of {ratio['rounds']} rounds. {machine_line(machine)}.\n"


def kernels() -> str:
    """Return the time of each operation, and the time of other implementations relative to edgepose."""
    lines = read_csv("kernels-latency.csv")
    ratios = {(line["operation"], line["what"]): line for line in read_csv("kernels-ratios.csv")}
    rows = []
    for line in lines:
        ratio = ratios.get((line["operation"], f"{line['subject']} / edgepose"))
        times = (
            "" if ratio is None else f"{float(ratio['value']):.1f} [{_plain(ratio['low'])}, {_plain(ratio['high'])}]"
        )
        rows.append([line["operation"], line["subject"], f"{1e3 * float(line['p50_ms']):.1f}", times])
    notes = [f"{line['operation']}, {line['what']}: {float(line['value']):.2f}." for line in ratios.values()
             if not line["what"].endswith("/ edgepose")]  # fmt: skip
    machine = machine_line(read_machine("kernels"))
    how = "One thread, except where two are named. Times are means of ten calls, and medians of interleaved rounds"
    table = markdown(["operation", "subject", "µs", "time relative to edgepose [95 %]"], rows)
    return f"{table}\n{how}. {' '.join(notes)}\n{machine}; {lines[0]['kernels']}.\n"


def _plain(text: str) -> str:
    return f"{float(text):.1f}"


def rtx() -> str:
    """Return the size of the portable engines of every network in MB, and of the engine for three GPU architectures."""
    lines = {(line["model"], line["precision"], line["target"]): line for line in read_csv("rtx.csv")}
    rows = []
    for name in dict.fromkeys(model for model, _, _ in lines):
        portable = {p: lines[name, p, "portable"] for p in ("fp32", "fp16", "int8", "int8-fp16")}
        size = {p: int(line["engine_bytes"]) for p, line in portable.items()}
        bare = {p: size[p] - int(portable[p]["source_bytes"]) for p in size}
        three = int(lines[name, "int8", "SM86+SM89+SM120"]["engine_bytes"])
        seconds = "/".join(f"{float(portable[p]['build_seconds']):.1f}" for p in ("fp32", "fp16", "int8"))
        row = [name, *(f"{size[p] / 1e6:.1f}" for p in size), f"{size['int8'] / size['fp32']:.3f}"]
        rows.append(
            [*row, portable["int8"]["kernels"], f"{bare['int8'] / bare['fp32']:.3f}", f"{three / 1e6:.1f}", seconds]
        )
    header = ["network", "FP32 MB", "FP16 MB", "INT8 MB", "INT8-FP16 MB", "INT8 / FP32", "kernels as source",
              "INT8 / FP32 without source", "INT8 for SM86+89+120 MB", "build s FP32/FP16/INT8"]  # fmt: skip
    return markdown(header, rows)


def fuzz() -> str:
    """Return how many damaged inputs of each kind ended in which way."""
    lines = read_csv("fuzz.csv")
    endings = ["inputs", "right", "refused", "traceback", "crash", "hang", "memory", "silently_wrong", "command_lines"]
    rows = [[line["kind"], *(line[ending] for ending in endings)] for line in lines]
    rows.append(["all", *(str(sum(int(line[ending]) for line in lines)) for ending in endings)])
    table = markdown(["kind of input", *(ending.replace("_", " ") for ending in endings)], rows)
    return f"{table}\n{machine_line(read_machine('fuzz'))}.\n"


def fuzz_kills() -> str:
    """Return what was left after each command was killed at random moments."""
    columns = ["kills", "ended_before", "unreadable", "next_call_failed", "left_behind"]
    rows = [[line["command"], *(line[column] for column in columns)] for line in read_csv("fuzz-kills.csv")]
    return markdown(["command", *(column.replace("_", " ") for column in columns)], rows)


def fuzz_places() -> str:
    """Return how the commands ended where they could not write, or wrote at the same time."""
    columns = ["tries", "done", "refused", "faults"]
    rows = [
        [f"{line['place']}, {line['command']}", *(line[column] for column in columns)]
        for line in read_csv("fuzz-places.csv")
    ]
    return markdown(["place and command", *columns], rows)


TABLES: dict[str, Callable[[], str]] = {
    "lite-headlines": headlines,
    "lite-accuracy": accuracy,
    "lite-joints": joints,
    "lite-latency": lambda: _latency("lite"),
    "resnet18-latency": lambda: _latency("resnet18"),
    "memory": memory,
    "networks": networks,
    "systems": systems,
    "ranges": ranges,
    "quantization": tables_quantization.retention,
    "quantization-builds": tables_quantization.builds,
    "quantization-systems": tables_quantization.systems,
    "fine-tune": tables_quantization.fine_tuned,
    "guard": tables_quantization.guard,
    "families": tables_families.accuracy,
    "families-int8": tables_families.int8,
    "family-summary": tables_peers.families,
    "peers": tables_peers.compared,
    "peers-latency": tables_peers.latency,
    "pictorial": pictorial,
    "metrics": metrics,
    "kernels": kernels,
    "rtx": rtx,
    "fuzz": fuzz,
    "fuzz-kills": fuzz_kills,
    "fuzz-places": fuzz_places,
    "tracking-identities": tables_tracking.identities,
    "tracking-time": tables_tracking.times,
    "tracking-smoothing": tables_tracking.smoothing,
    "tracking-speed": tables_tracking.speed,
    "streams-speed": tables_streams.speed,
    "streams-memory": tables_streams.memory,
    "soak": tables_streams.soak,
}


def fill(text: str) -> str:
    """Return the page with all tables replaced."""

    def table(match: re.Match[str]) -> str:
        return f"<!-- table:{match[1]} -->\n{TABLES[match[1]]()}<!-- /table -->"

    return re.sub(r"<!-- table:([\w-]+) -->\n.*?<!-- /table -->", table, text, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for page in PAGES:
        text = page.read_text()
        filled = fill(text)
        if check and filled != text:
            sys.exit(f"the tables of {page.relative_to(ROOT)} differ from benchmarks/results; run: make results")
        if not check:
            write_bytes(page, filled.encode())


if __name__ == "__main__":
    main()
