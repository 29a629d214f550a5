"""Every opaque error in the table is told in our words, with what to do, and the library's own behind."""

from __future__ import annotations

from types import ModuleType

import pytest

from edgepose.backends.tensorrt.log import MEANINGS, NO_REASON, explain, log_of, plain

# As TensorRT 8.6 to 11 and TensorRT-RTX write them -> a word of what we say.
SAID = {
    "1: [stdArchiveReader.cpp::StdArchiveReader::42] Error Code 1: Serialization (Serialization assertion "
    "stdVersionRead == serializationVersion failed.Version tag does not match. Note: Current Version: 0, Serialized "
    "Engine Version: 43)": "another version of the library",
    "6: The engine plan file is not compatible with this version of TensorRT, expecting library version 8.6.1 got "
    "8.5.2, please rebuild.": "another version of the library",
    "6: The engine plan file is generated on an incompatible device, expecting compute 8.7 got compute 8.6, please "
    "rebuild.": "another GPU",
    "1: [runtime.cpp::parsePlan::314] Error Code 1: Serialization (Serialization assertion plan->header.magicTag == "
    "rt::kPLAN_MAGIC_TAG failed.)": "damaged",
    "IRuntime::deserializeCudaEngine: Error Code 1: Cuda Runtime (In ScopedContext at /_src/x.cpp:12 (cudaError 35: "
    "CUDA driver version is insufficient for CUDA runtime version))": "no NVIDIA driver here",
    "CUDA initialization failure with error: 35": "no NVIDIA driver here",
    "CUDA initialization failure with error: 100. Please check your CUDA installation": "no GPU can be used",
    "2: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory (no further information)": "--batch",
    "Requested amount of GPU memory (8589934592 bytes) could not be allocated.": "memory ran out",
    "10: [optimizer.cpp::computeCosts::4040] Error Code 10: Internal Error (Could not find any implementation for node "
    "{ForeignNode[/a.../b]}.)": "no kernel fits a layer",
    "No importer registered for op: GridSample3D. Attempting to import as plugin.": "no such operator",
    "Plugin not found, are the plugin name, version, and namespace correct?": "no such operator",
    "Non-zero zero point is not supported. Please use symmetric quantization": "symmetric INT8 only",
    "DequantizeLinear: input has type Int32 but must be Int8": "a bias is quantized",
    "Assertion failed: (scaleAllPositive || allowNegative): Scale coefficients must all be positive": "a scale is zero",
    "Error Code 4: API Usage Error (Network has dynamic or shape inputs, but no optimization profile has been "
    "defined.)": "a free axis has no range",
    "3: [executionContext.cpp::setInputShape::2068] Error Code 3: API Usage Error (Parameter check failed, condition: "
    "satisfyProfile Static dimension mismatch while setting input shape for input.)": "--batch MIN,OPT,MAX",
    "Calibration table does not match calibrator algorithm type.": "the calibration cache is of another",
    "/conv: DLA cannot handle this layer, and GPU fallback is not supported on DLA core 0": "without --dla-core",
    "Unable to load library: libnvinfer_builder_resource.so.10.3.0": "installation is incomplete",
    "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([myelin_graph.h:1295: attachExceptionMsgToGraph] "
    "MyelinCheckException: graph_jit.cpp:278: CHECK(status == CUDA_SUCCESS) failed.)": "own compiler failed",
}


@pytest.mark.parametrize("line", SAID)
def test_an_error_is_told_in_our_words_with_its_own_behind(line: str) -> None:
    text = explain([line])
    ours, _, theirs = text.partition(" [")
    assert SAID[line] in ours
    assert theirs.endswith("]") and len(theirs) > 10
    assert "\n" not in text


def test_the_table_has_no_entry_that_nothing_reaches() -> None:
    reached = {explain([line]).partition(" [")[0] for line in SAID}
    assert {meaning for _, meaning in MEANINGS} == reached


def test_the_first_error_that_is_known_decides() -> None:
    assert explain(["odd", "cudaError 2 again"]).startswith("memory ran out")
    assert explain(["odd", "strange"]) == "odd"
    assert explain([]) == NO_REASON


def test_source_positions_are_left_out() -> None:
    line = (
        "Error Code 1: Myelin ([myelin_graph.h:1295: attach] failed.  In compileGraph at /_src/codeGenerator.cpp:2012)"
    )
    assert ".cpp" not in plain(line)


def test_a_module_has_one_logger_that_keeps_errors_and_warnings(trt_doubles: ModuleType) -> None:
    trt = trt_doubles.double("tensorrt-10.3.0")
    log = log_of(trt)
    assert log_of(trt) is log
    assert log.name == "TensorRT"
    for severity in ("VERBOSE", "INFO", "WARNING", "ERROR", "INTERNAL_ERROR"):
        log.logger.log(getattr(trt.ILogger, severity), severity.lower())
    assert (list(log.errors), list(log.warnings)) == (["error", "internal_error"], ["warning"])
    assert log.reason("cannot build x.onnx") == "TensorRT cannot build x.onnx: error"
    log.clear()
    assert (list(log.errors), list(log.warnings)) == ([], [])
    assert log_of(trt_doubles.double("tensorrt_rtx-1.7.1.116")).name == "TensorRT-RTX"
