"""What computes: the extension where it was compiled, the fallback where it was not or was asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose.kernels import choice, implementation

SAY = "from edgepose.kernels import implementation; print(implementation())"


def python(*arguments, before="", **environment):
    """A new process, in which `before` runs first."""
    kept = {name: value for name, value in os.environ.items() if name != choice.SETTING}
    code = [arguments[0], before + arguments[1]] if arguments[0] == "-c" else list(arguments)
    return subprocess.run([sys.executable, *code], env=kept | environment, capture_output=True, text=True)


def test_the_extension_is_here_where_a_compiler_is():
    if shutil.which("c++") is None and choice.native is None:
        pytest.skip("neither the extension nor a compiler is here")
    assert choice.native is not None, f"{choice.WHY_NOT}, though there is a compiler"
    assert implementation() == f"extension, {choice.native.instruction_set()}"


def test_the_best_instruction_set_comes_first(extension):
    sets = extension.instruction_sets()
    assert extension.instruction_set() == sets[0]
    assert [name for name in ("avx512", "avx2", "sse2", "neon", "generic") if name in sets] == sets
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").is_file() else []
    if "avx2" in flags and "fma" in flags and "f16c" in flags:
        assert "avx2" in sets


def test_another_instruction_set_can_be_selected_and_no_unknown_one(extension):
    before = extension.instruction_set()
    for name in extension.instruction_sets():
        extension.select(name)
        assert implementation() == f"extension, {name}"
    with pytest.raises(ValueError, match="not an instruction set of this CPU"):
        extension.select("avx1024")
    assert extension.instruction_set() == extension.instruction_sets()[-1]
    extension.select(before)


def test_the_fallback_when_it_is_asked_for():
    told = python("-c", SAY, **{choice.SETTING: "fallback"})
    assert told.stdout.strip() == "numpy and OpenCV: EDGEPOSE_KERNELS=fallback is set; unset it for the extension"
    told = python("-m", "edgepose", "doctor", "--json", **{choice.SETTING: "fallback"})
    assert json.loads(told.stdout)["kernels"]["host"].startswith("numpy and OpenCV: EDGEPOSE_KERNELS=fallback is set")


def test_an_empty_setting_is_none():
    assert python("-c", SAY, **{choice.SETTING: ""}).stdout.strip() == implementation()


def test_a_setting_that_means_nothing_is_refused():
    told = python("-m", "edgepose", "doctor", **{choice.SETTING: "falback"})
    assert told.returncode == 2
    assert "EDGEPOSE_KERNELS to 'falback'; set it to 'fallback', or unset it" in told.stderr
    assert "Traceback" not in told.stderr


def test_without_a_compiler_it_says_what_to_do():
    hidden = "import sys; sys.modules['edgepose.kernels._native'] = None; "  # as if it were not there
    told = python("-c", SAY, before=hidden)
    assert told.stdout.startswith("numpy and OpenCV: edgepose was installed without a C++ compiler; install g++ and")


def test_an_extension_that_cannot_be_loaded_says_why(tmp_path):
    broken = tmp_path / "_native.so"
    broken.write_bytes(b"no library")
    loaded = (
        "import importlib.machinery as m, importlib.util as u, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'edgepose.kernels._native':\n"
        f"            return u.spec_from_loader(name, m.ExtensionFileLoader(name, {str(broken)!r}))\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    told = python("-c", SAY, before=loaded)
    assert told.stdout.startswith("numpy and OpenCV: the extension cannot be loaded ("), told.stderr
    assert "_native.so" in told.stdout
