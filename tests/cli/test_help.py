"""Every verb's --help works with no extra installed, has an example, and every module imports bare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepose.cli.main import VERBS, cli

EXTRAS = (
    "torch onnxruntime openvino scipy matplotlib onnxsim tensorboard pycocotools onnxscript "
    "cuda pycuda tensorrt tensorrt_rtx_bindings pynvml"
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which every optional package is missing."""
    folder = tmp_path_factory.mktemp("bare")
    block = (
        "import sys\n"
        "class Block:\n"
        f"    names = set('{EXTRAS}'.split())\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in self.names:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    (folder / "sitecustomize.py").write_text(block)
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_verbs_help_bare(bare: dict[str, str]) -> None:
    code = (
        "from click.testing import CliRunner\n"
        "from edgepose.cli.main import VERBS, cli\n"
        "for verb in VERBS:\n"
        "    result = CliRunner().invoke(cli, [verb, '--help'])\n"
        "    assert result.exit_code == 0, (verb, result.output, result.exception)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=bare)


def test_missing_package_says_what_to_install(bare: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgepose", "train", "lite", "--data", "synthetic:64", "--out", str(tmp_path)]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'edgepose[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert f"edgepose {verb}" in result.output.split("Options:")[0].split("\n", 1)[1]
    assert "\\b" not in result.output, "click wants the control character, not a raw docstring"


def test_unknown_verb_names_the_nearest() -> None:
    result = CliRunner().invoke(cli, ["bild"])
    assert result.exit_code == 2
    assert "did you mean 'build'" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_EDGEPOSE_COMPLETE" in result.output
