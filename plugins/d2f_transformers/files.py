"""A model's files on this machine: those of a folder, or of the Hugging Face hub's own cache. Nothing is fetched."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from d2f import D2FError, Exit, Problem, Weights, WeightsMissing
from d2f.weights import as_record

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
ALSO = ("processor_config.json", "model.safetensors.index.json")
"""Files that transformers follows too: the first goes before PROCESSOR, the second names the shards."""

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
LAYERS = re.compile(r"layers|depth|blocks")
"""Numbers of config.json that say how often something is repeated."""

LARGEST = 2**20
"""Bytes of one of the JSON files, at most."""


def folder_of(model: str, revision: str) -> Path:
    """Return the folder of a model.

    Parameters
    ----------
    model : str
        A path that is there, or ``ORG/NAME``.
    revision : str
        Of the hub's: a commit, or a tag or branch as it was when it was fetched.

    Raises
    ------
    WeightsMissing
        D2F502: it is not on this machine.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if not HUB_NAME.fullmatch(model) or model.startswith((".", "~")):
        raise WeightsMissing(Problem("D2F502", f"there is no folder '{model}'"))
    repository = _cache() / f"models--{model.replace('/', '--')}"
    pointer = repository / "refs" / revision
    commit = pointer.read_text("utf-8").strip() if pointer.is_file() else revision
    found = repository / "snapshots" / commit
    if not re.fullmatch(r"[\w.-]+", commit) or not found.is_dir():
        wanted = "" if revision == "main" else f" --revision {revision}"
        notes = (f"to fetch it: hf download {model}{wanted}", "or copy it into a folder and give that, as ./folder")
        raise WeightsMissing(Problem("D2F502", f"model '{model}' ({revision}) is not on this machine", notes=notes))
    return found


def _cache() -> Path:
    """Return where huggingface_hub keeps what it fetched."""
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(home).expanduser() / "hub"


def records(model: str, folder: Path) -> tuple[Weights, ...]:
    """Return a record of each file that the result depends on: the JSON files, and the safetensors.

    Raises
    ------
    WeightsMissing
        D2F502: one of them is not there.
    D2FError
        D2F505: the weights are there as a pickle alone.
    """
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        pickled = sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"), *folder.glob("*.ckpt")])
        if pickled:
            note = f"'{pickled[0].name}' may run code when it is read; save the model as safetensors"
            raise D2FError(Problem("D2F505", f"model '{model}' holds no .safetensors", notes=(note,)), Exit.PLUGIN)
        raise WeightsMissing(Problem("D2F502", f"there is no .safetensors file in '{folder}'"))
    files = [*_json_files(folder), *shards]
    held = [as_record(file) for file in files]
    return tuple(
        Weights(f"{model}/{file.name}", record.sha256, "unknown", record.sources, "a file of the user's own")
        for file, record in zip(files, held, strict=True)
    )


def _json_files(folder: Path) -> list[Path]:
    return [folder / CONFIG, folder / PROCESSOR, *(folder / name for name in ALSO if (folder / name).is_file())]


def check_config(folder: Path, name: str) -> None:
    """Refuse a configuration that asks for code of its own, or for more layers than the weights have arrays.

    Raises
    ------
    D2FError
        D2F505.
    """
    for file in _json_files(folder):
        try:
            if file.stat().st_size > LARGEST:
                raise ValueError(f"it holds more than {LARGEST} bytes")
            held = json.loads(file.read_text("utf-8"))
            if not isinstance(held, dict):
                raise ValueError("it is no mapping")
        except (ValueError, OSError, RecursionError) as error:
            raise _fault(f"{file.name} of {name} cannot be read", str(error)) from error
        if any(each.get("auto_map") for each in (held, *held.values()) if isinstance(each, dict)):
            raise _fault(
                f"{file.name} of {name} asks for code of its own", "d2f never runs code that came with weights"
            )
        shards = held.get("weight_map", {}) if file.name == ALSO[1] else {}
        away = next(
            (
                str(one)
                for one in (shards.values() if isinstance(shards, dict) else [shards])
                if Path(str(one)).name != str(one)
            ),
            None,
        )
        if away is not None:
            raise _fault(f"{file.name} of {name} names the shard '{away}'", "shards lie beside it")
        if file.name == CONFIG:
            _bounded(held, _arrays(folder, name), name)


def _bounded(held: object, arrays: int, name: str, key: str = "") -> None:
    """Refuse numbers of layers that the weights cannot hold."""
    if isinstance(held, dict):
        for inner, value in held.items():
            _bounded(value, arrays, name, str(inner))
    elif isinstance(held, list):
        for value in held:
            _bounded(value, arrays, name, key)
    elif isinstance(held, int) and LAYERS.search(key) and held > arrays:
        raise _fault(f"{CONFIG} of {name} asks for {held} of '{key}'", f"its weights hold {arrays} arrays")


def _arrays(folder: Path, name: str) -> int:
    """Return how many arrays the safetensors files hold, by their headers."""
    from safetensors import SafetensorError, safe_open

    count = 0
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, "numpy") as held:
                count += len(held.keys())
        except (SafetensorError, OSError) as error:
            raise _fault(f"{file.name} of {name} is not safetensors, or damaged", str(error)) from error
    return count


def _fault(message: str, *notes: str) -> D2FError:
    return D2FError(Problem("D2F505", message, notes=notes), Exit.PLUGIN)
