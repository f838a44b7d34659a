"""`d2f weights convert`: weights from one file format to another, and published names to d2f's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

TORCH = (".pth", ".pt", ".ckpt", ".bin", ".tar")
WRITTEN = (".safetensors", ".npz")


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "publisher",
    type=click.Choice(["torchvision", "timm"]),
    help="Rename the arrays of a published ResNet-18, 34, 50 or VGG-11, 13, 16, 19 to those of d2f.models.",
)
@click.option("--head", type=click.Choice(["keep", "drop"]), default="keep", show_default=True, help="The last layer.")
@click.option("--key", help="Where a checkpoint keeps the weights, such as model_ema.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there already.")
def convert(source: str, target: Path, publisher: str | None, head: str, key: str | None, overwrite: bool) -> None:
    """Read IN (.pth, .pt, .npz or .safetensors) and write OUT (.safetensors or .npz).

    Of a PyTorch checkpoint the tensors alone are read; nothing in it is run. With --map, convolutions are also turned
    to channels last, and a name that is missing, unknown or of another shape is an error.
    """
    from d2f.api.errors import D2FError
    from d2f.weights import write_weights

    if target.suffix not in WRITTEN:
        raise click.UsageError(f"the file to write ends with .safetensors or .npz, not as '{target.name}'")
    if head == "drop" and publisher is None:
        raise click.UsageError("--head drop needs --map, which tells the head")
    if target.exists() and not overwrite:
        raise D2FError.of("D2F004", f"'{target}' exists already", "to replace it: --overwrite")
    arrays, metadata = _read(source, key)
    lines = [f"{len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers"]
    if publisher is not None:
        arrays, metadata = _mapped(arrays, metadata, publisher, head == "drop", lines)
    sha256 = write_weights(target, arrays, metadata)
    click.echo("\n".join([*lines, f"{target}  sha256 {sha256}"]))


def _read(source: str, key: str | None) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from d2f.weights import read_weights
    from d2f.weights.torch_file import read_torch

    if source.lower().endswith(TORCH):
        return read_torch(source, key), {}
    if key is not None:
        raise click.UsageError("--key is for PyTorch checkpoints")
    held = read_weights(source)
    return held.arrays, held.metadata


def _mapped(
    arrays: dict[str, NDArray[Any]], metadata: dict[str, str], publisher: Any, drop_head: bool, lines: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from d2f.models import from_published

    found = from_published(arrays, publisher, drop_head)
    config = found.config.model_dump_json(exclude_defaults=True)
    counters = sum(name.endswith("num_batches_tracked") for name in found.dropped)
    others = [name for name in found.dropped if not name.endswith("num_batches_tracked")]
    lines.append(f"the network: {config}")
    lines.append(f"renamed {len(found.arrays)}, none missing, none unknown")
    lines += [f"dropped {counters} counters of batches"] if counters else []
    lines += [f"dropped the head: {', '.join(others)}"] if others else []
    return found.arrays, {**metadata, "d2f.model": config}
