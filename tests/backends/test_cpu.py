"""/proc/cpuinfo of an x86 server, an ARM board, and a system that has none."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgepose.backends.cpu import cpu_flags, cpu_name, int8_reason, int8_saturates

X86 = """processor\t: 0
model name\t: Some(R)   CPU @ 2.0GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni amx_int8

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd aes asimddp\nCPU part\t: 0xd42\n"


def test_x86(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(X86)
    assert cpu_name(tmp_path / "cpuinfo") == "Some(R) CPU @ 2.0GHz"
    assert cpu_flags(tmp_path / "cpuinfo") == ("avx2", "avx512", "avx512_vnni", "amx_int8")


def test_arm(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(ARM)
    assert cpu_flags(tmp_path / "cpuinfo") == ("neon", "dotprod")
    assert cpu_name(tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", "avx2", True),
        ("x86_64", "avx512f avx512bw", True),
        ("x86_64", "", True),
        ("x86_64", "avx2 avx_vnni", False),
        ("x86_64", "avx512f avx512_vnni", False),
        ("aarch64", "asimd", False),
    ],
)
def test_int8_saturates_on_x86_without_dot_products(
    machine: str, flags: str, saturates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert int8_saturates(tmp_path / "cpuinfo") == saturates


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flags : avx2\n", "no VNNI, no AMX"),
        ("flags : fpu sse2\n", "no VNNI, no AMX"),
        (None, "cannot tell whether this CPU has VNNI or AMX"),
        ("flags : avx512_vnni\n", None),
    ],
)
def test_int8_reason_tells_known_from_unknown(
    text: str | None, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert int8_reason(tmp_path / "cpuinfo") == reason
    assert int8_saturates(tmp_path / "cpuinfo") == (reason is not None)


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "none") == ()
    assert cpu_name(tmp_path / "none")
