"""Files of the Hugging Face hub, from a server of this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from d2f import D2FError, Weights
from d2f.weights.fetch import pull_weights
from tests.unit.weights.fetching.server import Server

DATA = bytes(range(256)) * 50
SHA256 = hashlib.sha256(DATA).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"
SOURCE = f"hf://someone/some-model/folder/model.safetensors@{REVISION}"


@pytest.fixture
def hub(server: Server) -> Server:
    pytest.importorskip("huggingface_hub")
    server.files[f"/someone/some-model/resolve/{REVISION}/folder/model.safetensors"] = DATA
    return server


def run(server: Server, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The hub's library reads its address when it is imported, so that it wants a process of its own.
    own = {"D2F_CACHE": str(cache.parent), "HF_ENDPOINT": server.url(""), "HF_HOME": str(cache.parent / "hub")}
    command = [sys.executable, "-c", "import sys; from d2f.cli.main import main; sys.exit(main())", "weights", "pull"]
    environment = {**os.environ, **own, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_fetched(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE, "--sha256", SHA256)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{SOURCE}: fetched from {SOURCE}, 12.8 kB",
        f"  {cache / SHA256}.safetensors",
    ]
    assert (cache / f"{SHA256}.safetensors").read_bytes() == DATA
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".safetensors"]


def test_too_large(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE, "--sha256", SHA256, "--max-bytes", "10k")
    assert done.returncode == 3
    assert f"{SOURCE}: it holds more than 10000 bytes" in done.stderr
    assert all(method == "" for method, _ in hub.asked)


def test_no_such_file(hub: Server, cache: Path) -> None:
    done = run(hub, cache, SOURCE.replace("model.safetensors", "none.bin"), "--sha256", SHA256)
    assert done.returncode == 3
    assert "error[D2F507]" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_library(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(D2FError, match=r"huggingface_hub is not installed: pip install 'd2f\[hub\]'") as caught:
        pull_weights(Weights("soft", SHA256, "MIT", (SOURCE,)))
    assert caught.value.problems[0].code == "D2F507"


@pytest.mark.parametrize(
    "source",
    ["hf://someone/some-model/a.npz", "hf://some-model@main", "hf://someone/some-model/../a@main", "hf://a/b/c@"],
)
def test_not_understood(source: str, cache: Path) -> None:
    with pytest.raises(D2FError, match="not of the form hf://ORG/REPO/FILE@REVISION"):
        pull_weights(Weights("soft", SHA256, "MIT", (source,)))
