"""Objects of a store are images as files are: found below a prefix or by a pattern, in archives and manifests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from d2f.api.errors import D2FError
from d2f.images.files import find_images
from d2f.images.read import Unread, load_image
from d2f.images.walk import Listing
from tests.stores import put, s3_server
from tests.unit.images.test_archives import picture

KEYS = ("a/1.png", "a/b/2.png", "a/b/c/3.png", "odd #é?!.tar.png", "a/text.txt", "a/.hidden/4.png", "a/no-ending")


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[None]:
    """A bucket of five images."""
    with s3_server():
        for number, key in enumerate(KEYS):
            put(key, b"words" if key.endswith("txt") else picture(number))
        yield


@pytest.mark.parametrize(
    ("named", "keys"),
    [
        ("s3://photos", [0, 1, 2, 6, 3]),
        ("s3://photos/a/b", [1, 2]),
        ("s3://photos/*.png", [3]),
        ("s3://photos/a/*", [0, 6]),
        ("s3://photos/**/*.png", [0, 1, 2, 3]),
        ("s3://photos/a/**/?.png", [0, 1, 2]),
        ("s3://photos/odd #é?!.tar.png", [3]),
    ],
)
def test_what_a_url_names(named: str, keys: list[int]) -> None:
    found = list(find_images([named]))
    assert found == [f"s3://photos/{KEYS[number]}" for number in keys]
    assert not any(isinstance(load_image(path), Unread) for path in found)


def test_what_is_passed_over_is_counted() -> None:
    listing = Listing()
    list(find_images(["s3://photos/a"], listing))
    assert listing.passed_over == {".txt": 1, "hidden": 1}


def test_what_is_not_there_is_said() -> None:
    for name in ("s3://photos/none", "s3://no-bucket/a.png", "nothing+like://this/a.png"):
        with pytest.raises(D2FError) as caught:
            find_images([name])
        assert caught.value.problems[0].code in ("D2F002", "D2F001")
    gone = load_image("s3://photos/none.png")
    assert isinstance(gone, Unread)
    assert gone.failure.code == "D2F301"


def test_shards_and_manifests_in_a_store() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number in range(5):
            info = tarfile.TarInfo(f"{number}.png")
            data = picture(number) + bytes(3 * 2**20)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    for number in range(2):
        put(f"shards/{number}.tar", stream.getvalue())
    found = list(find_images(["s3://photos/shards/*.tar"]))
    assert found == [f"s3://photos/shards/{shard}.tar!{number}.png" for shard in range(2) for number in range(5)]
    assert not any(isinstance(load_image(path), Unread) for path in found)
    listed = put(
        "lists/all.csv", b"path\n../a/1.png\ns3://photos/shards/1.tar!3.png\n".replace(b"../a", b"s3://photos/a")
    )
    assert list(find_images([listed])) == ["s3://photos/a/1.png", "s3://photos/shards/1.tar!3.png"]


def test_another_scheme_by_fsspec(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/kept/a.png", picture())
    (found,) = find_images(["memory://kept"])
    image = load_image(found)
    assert (found, isinstance(image, Unread)) == ("memory://kept/a.png", False)
