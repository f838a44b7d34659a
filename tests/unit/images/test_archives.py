"""Images in archives and in object stores: those of the folder, and a hostile archive costs its own rows."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from d2f.api.errors import D2FError
from d2f.engine.prefetch import prefetch
from d2f.images import archives
from d2f.images.files import find_images
from d2f.images.read import Bounds, Unread, load_image
from d2f.images.walk import Listing, location
from tests.stores import put, s3_server

FILES = ("a.png", "b/c.png", "b/ä d.png", "b/noname", "x.json", ".hidden.png", "__x/._a.png")


def picture(number: int = 0) -> bytes:
    """A small PNG."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 12), (number, 9, 200)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four images and three other files."""
    for number, name in enumerate(FILES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}" if name.endswith("json") else picture(number))
    return tmp_path / "photos"


def pack_tar(folder: Path, name: str, mode: str = "w") -> Path:
    """Pack the folder, in the order of `FILES`, with a link and a folder of its own."""
    with tarfile.open(folder.parent / name, mode, format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
        for file in FILES:
            tar.add(folder / file, file)
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return folder.parent / name


def pack_zip(folder: Path, name: str = "photos.zip") -> Path:
    """Pack the folder."""
    with zipfile.ZipFile(folder.parent / name, "w", zipfile.ZIP_DEFLATED) as file:
        for one in FILES:
            file.write(folder / one, one)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    return folder.parent / name


PACKERS: dict[str, Callable[[Path], Path]] = {
    "tar": lambda folder: pack_tar(folder, "photos.tar"),
    "tgz": lambda folder: pack_tar(folder, "photos.tgz", "w:gz"),
    "xz": lambda folder: pack_tar(folder, "photos.tar.xz", "w:xz"),
    "zip": pack_zip,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_holds_the_images_of_the_folder(folder: Path, kind: str) -> None:
    archive, listing = PACKERS[kind](folder), Listing()
    found = list(find_images([str(archive)], listing))
    assert found == [f"{archive}!{name}" for name in FILES[:4]]
    assert listing.passed_over == {".json": 1, "hidden": 2, "that is no regular file": 1}
    for path in found:
        image, file = load_image(path), load_image(str(folder / path.partition("!")[2]))
        assert not isinstance(image, Unread)
        assert not isinstance(file, Unread)
        assert (image.sha256, image.path) == (file.sha256, path)


def test_an_archive_is_met_by_name_or_glob_and_one_member_by_its_path(folder: Path) -> None:
    pack_zip(folder)
    archive = pack_tar(folder, "photos.tar")
    (folder / "inner.tar").write_bytes(archive.read_bytes())
    listing = Listing()
    assert len(list(find_images([str(folder)], listing))) == 4
    assert listing.passed_over[".tar"] == 1
    assert len(list(find_images([str(folder.parent / "*.tar")]))) == 4
    one = f"{archive}!b/c.png"
    listing = Listing()
    assert list(find_images([one, str(archive)], listing)).index(one) == 0
    assert listing.repeated == 1
    assert location(one) == f"{archive.resolve()}!b/c.png"
    gone = load_image(f"{archive}!no.png")
    assert isinstance(gone, Unread)
    assert gone.failure.code == "D2F301"


def test_a_file_with_the_name_of_a_member_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    Path("odd.tar!x.png").write_bytes(picture(7))
    image = load_image("odd.tar!x.png")
    assert not isinstance(image, Unread)


def test_readers_in_several_threads_share_one_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed tar larger than what is held behind: listed and read at once, it is decompressed once."""
    monkeypatch.setattr(archives, "HELD_BEHIND", 3 * 2**20)
    noise = [bytes([number]) * 2**17 for number in range(4)]
    with tarfile.open(folder.parent / "big.tar.gz", "w:gz", compresslevel=1) as tar:
        for number in range(64):
            info = tarfile.TarInfo(f"{number:03}.png")
            data = picture(number) + noise[number % 4]
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    begun = 0
    restart = archives.Decompressed._restart

    def counted(self: archives.Decompressed) -> None:
        nonlocal begun
        begun += 1
        restart(self)

    monkeypatch.setattr(archives.Decompressed, "_restart", counted)
    found = list(prefetch(find_images([str(folder.parent / "big.tar.gz")]), workers=3))
    assert [image for image in found if isinstance(image, Unread)] == []
    assert len({image.sha256 for image in found}) == 64
    assert begun == 1


def codes(archive: Path, bounds: Bounds | None = None) -> dict[str, str]:
    """Return the code of each row that an archive gives, by member; empty where it was read."""
    found = {}
    for path in find_images([str(archive)]):
        image = load_image(path, bounds)
        found[path.partition("!")[2]] = image.failure.code if isinstance(image, Unread) else ""
    return found


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_cut_at_any_place_says_so(folder: Path, kind: str) -> None:
    whole = PACKERS[kind](folder).read_bytes()
    cut = folder.parent / f"cut.{'tar.xz' if kind == 'xz' else kind}"
    step = 512 if kind == "tar" else 97
    for length in [1, *range(step // 2, len(whole.rstrip(b"\0")) - 1, step)]:
        cut.write_bytes(whole[:length])
        found = codes(cut)
        assert found.pop("") in ("D2F304", "D2F302"), length
        assert set(found.values()) <= {"", "D2F304"}


def test_a_damaged_header_in_the_middle_is_no_end(folder: Path) -> None:
    archive = pack_tar(folder, "photos.tar")
    data = bytearray(archive.read_bytes())
    data[1024:1030] = b"\xff" * 6
    archive.write_bytes(data)
    assert codes(archive) == {"a.png": "", "": "D2F304"}


def bomb_tar(path: Path) -> None:
    """Write a compressed tar whose second member is 4 GiB of zeros."""
    import gzip

    with gzip.open(path, "wb", compresslevel=1) as file:
        info = tarfile.TarInfo("zeros.png")
        info.size = 2**32
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**26))


def test_what_an_archive_claims_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_EXPANSION", (2**24, 10))
    bomb_tar(folder.parent / "bomb.tgz")
    assert codes(folder.parent / "bomb.tgz", Bounds(bytes=2**20)) == {"zeros.png": "D2F305", "": "D2F304"}
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    assert codes(pack_tar(folder, "photos.tar")) == {"a.png": "", "b/c.png": "", "": "D2F304"}


def test_a_tar_whose_headers_lie_ends(folder: Path) -> None:
    """Negative sizes, which lead back to the same header, and a name of 8 GiB."""
    for size, kind in ((-1024, tarfile.REGTYPE), (-512, tarfile.XHDTYPE), (2**33, tarfile.GNUTYPE_LONGNAME)):
        info = tarfile.TarInfo("a.png")
        info.size, info.type = abs(size), kind
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = (size % 2**96).to_bytes(12, "big") if size < 0 else header[124:136]
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        path = folder.parent / "lie.tar"
        path.write_bytes(bytes(header) + picture().ljust(1024, b"\0") + bytes(1024))
        assert codes(path)[""] == "D2F304"


def test_a_zip_whose_members_overlap_or_are_closed_is_refused(folder: Path) -> None:
    archive = pack_zip(folder)
    data = archive.read_bytes()
    start = data.index(b"PK\1\2")
    first = data[start : data.index(b"PK\1\2", start + 4)]
    count = 3000
    directory = first * count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    archive.write_bytes(data[:start] + directory + end)
    assert codes(archive) == {"": "D2F304"}

    closed = bytearray(data)
    for place in (data.index(b"PK\3\4") + 6, start + 8):
        closed[place] |= 1
    archive.write_bytes(closed)
    assert codes(archive)["a.png"] == "D2F301"


def test_a_zip_with_a_wrong_checksum_or_size_costs_that_member(folder: Path) -> None:
    archive = pack_zip(folder)
    data = bytearray(archive.read_bytes())
    start = data.index(b"PK\1\2")
    data[start + 16] ^= 0xFF
    archive.write_bytes(data)
    found = codes(archive)
    assert found.pop("a.png") == "D2F304"
    assert set(found.values()) == {""}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["two.tar", "two.tgz", "two.zip"])
def test_of_members_of_one_name_the_last_is_read_or_the_first_of_a_stream(tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as packed:
            for number in range(3):
                packed.writestr("a.png", picture(number))
    else:
        with tarfile.open(archive, "w:gz" if name.endswith("tgz") else "w") as tar:
            for number in range(3):
                member = tarfile.TarInfo("a.png")
                member.size = len(picture(number))
                tar.addfile(member, io.BytesIO(picture(number)))
    listing = Listing()
    assert list(find_images([str(archive)], listing)) == [f"{archive}!a.png"]
    why, number = "replaced by a later one of its name in an archive", 2
    if name.endswith("tgz"):
        why, number = "behind the first of its name in a tar read forwards", 0
    assert (listing.passed_over, listing.repeated) == ({why: 2}, 0)
    opened = archives.opened(str(archive))
    assert opened.read("a.png", opened.size("a.png")) == picture(number)


@pytest.mark.parametrize("name", ["linked.tar", "linked.tgz"])
def test_a_hard_link_holds_the_bytes_of_the_member_before_it(folder: Path, name: str) -> None:
    archive = folder.parent / name
    with tarfile.open(archive, "w:gz" if name.endswith("tgz") else "w") as tar:
        tar.add(folder / "a.png", "a.png")
        for link, target in (("b.png", "a.png"), ("c.png", "b.png"), ("out.png", "/etc/passwd"), ("on.png", "z.png")):
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.LNKTYPE, target
            tar.addfile(member)
        tar.add(folder / "b/c.png", "z.png")
    listing = Listing()
    found = list(find_images([str(archive)], listing))
    assert found == [f"{archive}!{one}" for one in ("a.png", "b.png", "c.png", "z.png")]
    assert [archives.opened(str(archive)).read(one, len(picture())) for one in ("b.png", "c.png")] == [picture(0)] * 2
    assert listing.passed_over == {"that is no regular file": 2}


# Objects of a store are images as files are: found below a prefix or by a pattern, in archives and manifests.

KEYS = ("a/1.png", "a/b/2.png", "a/b/c/3.png", "odd #é?!.tar.png", "a/text.txt", "a/.hidden/4.png", "a/no-ending")


@pytest.fixture(scope="module")
def bucket() -> Iterator[None]:
    """A bucket of five images."""
    with s3_server():
        for number, key in enumerate(KEYS):
            put(key, b"words" if key.endswith("txt") else picture(number))
        yield


@pytest.mark.usefixtures("bucket")
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


@pytest.mark.usefixtures("bucket")
def test_what_is_passed_over_is_counted() -> None:
    listing = Listing()
    list(find_images(["s3://photos/a"], listing))
    assert listing.passed_over == {".txt": 1, "hidden": 1}


@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_is_said() -> None:
    for name in ("s3://photos/none", "s3://no-bucket/a.png", "nothing+like://this/a.png"):
        with pytest.raises(D2FError) as caught:
            find_images([name])
        assert caught.value.problems[0].code in ("D2F002", "D2F001")
    gone = load_image("s3://photos/none.png")
    assert isinstance(gone, Unread)
    assert gone.failure.code == "D2F301"


@pytest.mark.usefixtures("bucket")
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


@pytest.mark.usefixtures("bucket")
def test_another_scheme_by_fsspec(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/kept/a.png", picture())
    (found,) = find_images(["memory://kept"])
    image = load_image(found)
    assert (found, isinstance(image, Unread)) == ("memory://kept/a.png", False)
