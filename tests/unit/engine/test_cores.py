"""Cores counted under affinity and control groups, on folders that look like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2f import cores
from d2f.cores import one_blas_thread, usable_cores


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def groups(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "cgroup", folder / "mount"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "250000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "800000 100000\n"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("3:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 16),
        ("3:cpu,cpuacct:/gone\n", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, 16),
        ("", {}, 16),
    ],
)
def test_quotas(tmp_path: Path, membership: str, files: dict[str, str], expected: int) -> None:
    assert usable_cores(*groups(tmp_path, membership, files)) == expected


def test_without_control_groups(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none", tmp_path) == 16


def test_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cores.os, "sched_getaffinity")
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 3)
    assert usable_cores(tmp_path / "none", tmp_path) == 3


def test_blas_threads_are_asked_for_and_the_users_word_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OPENBLAS_NUM_THREADS": "7"}
    monkeypatch.setattr(cores.os, "environ", environment)
    assert one_blas_thread() is False, "numpy is loaded here, so it is too late"
    assert environment["OPENBLAS_NUM_THREADS"] == "7"
    assert environment["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("said", "cores"), [("3", 3), ("99", 16), ("", 16), ("many", 16), ("0", 1)])
def test_the_environment_bounds_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, cores: int
) -> None:
    monkeypatch.setenv("D2F_THREADS", said)
    assert usable_cores(tmp_path / "none", tmp_path) == cores
