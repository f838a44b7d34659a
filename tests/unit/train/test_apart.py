"""No picture stands in two parts: groups and bytes are refused; likeness and shared collections are warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset, Labelled, write_manifest
from d2f.testing import camera_picture
from d2f.train.images import divide
from tests.unit.train.network_toys import recipe, trained, write_pictures
from tests.unit.train.test_network import Said


def manifest(folder: Path, name: str, **columns: str) -> str:
    """Write a manifest of two empty files, which are not to be opened; its photograph has the columns."""
    for label in "01":
        (folder / f"{name}-{label}.png").touch()
    real = Labelled(str(folder / f"{name}-0.png"), 0, **columns)
    write_manifest(folder / f"{name}.csv", Dataset((real, Labelled(str(folder / f"{name}-1.png"), 1, "g")), name))
    return str(folder / f"{name}.csv")


@pytest.mark.parametrize(("key", "said"), [("validation", "train"), ("test", "train or validate")])
def test_tiles_of_one_picture_on_both_sides_are_refused_before_they_are_read(
    tmp_path: Path, key: str, said: str
) -> None:
    other = {"validation": manifest(tmp_path, "valid")} | {key: manifest(tmp_path, "other", group="picture-7")}
    wanted = recipe(**{f"data__{name}": path for name, path in other.items()})
    with pytest.raises(D2FError) as caught:
        divide(wanted, manifest(tmp_path, "train", group="picture-7"))
    assert caught.value.problems[0].code == "D2F604"
    assert f"share a group with images that {said}: 'picture-7'" in str(caught.value)
    divide(wanted, manifest(tmp_path, "train", group="picture-8"))


def test_numbered_groups_and_collections_are_no_reason_to_refuse_but_to_warn(tmp_path: Path) -> None:
    def listed(name: str, seed: int) -> str:
        images = [
            Labelled(str(file), int("generated" in file.parts), "", "", "town", "near-3" if i == 0 else "")
            for i, file in enumerate(sorted(write_pictures(tmp_path / name, 4, seed=seed).rglob("*.png")))
        ]
        write_manifest(tmp_path / name / "manifest.csv", Dataset(tuple(images), name))
        return str(tmp_path / name)

    said: list[str] = []
    listed("set", 0)
    trained(tmp_path, "warned", recipe(epochs=1, data__validation=listed("other", 1)), Said(said))
    warnings = [line.splitlines()[0] for line in said if line.startswith("warning")]
    assert warnings == [
        "warning[D2F604]: 8 of the images that validate share a collection with images that train: 'town'",
        "warning[D2F604]: 1 of the images that validate share a group with images that train: 'near-3'",
    ]


@pytest.mark.parametrize("key", ["validation", "test"])
def test_a_picture_that_was_saved_anew_is_warned_of(tmp_path: Path, key: str) -> None:
    said: list[str] = []
    picture = np.asarray(camera_picture(48, 48))
    for name, seed in (("set", 0), ("other", 1)):
        write_pictures(tmp_path / name, 4, seed=seed)
    Image.fromarray(picture).save(tmp_path / "set" / "real" / "place-1" / "first.png")
    wanted = recipe(epochs=1, data__validation=str(write_pictures(tmp_path / "valid", 4, seed=2)))
    wanted = wanted.changed({f"data.{key}": str(tmp_path / "other")})
    trained(tmp_path, "before", wanted, Said(said))
    assert not [line for line in said if "look like" in line]
    Image.fromarray(picture[::2, ::2]).save(tmp_path / "other" / "real" / "place-1" / "again.jpg", quality=80)
    trained(tmp_path, "after", wanted, Said(said))
    (warning,) = [line for line in said if "look like" in line]
    what, others = {
        "validation": ("images that validate", "train"),
        "test": ("images of data.test", "train or validate"),
    }[key]
    head, pair, *_ = warning.splitlines()
    assert head == f"warning[D2F604]: 1 of the {what} look like images that {others}"
    assert "other/real/place-1/again.jpg" in pair
    assert "set/real/place-1/first.png" in pair
