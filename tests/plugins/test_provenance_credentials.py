"""Content Credentials: trust of every signer in a chain, states in words, no network, no verifier."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import socket
import sys
import threading
from math import log
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

from d2f_provenance import evidence as states
from d2f_provenance.claims import Signed, read_claim, signed_manifests
from d2f_provenance.credentials import (
    NOT_INSTALLED,
    CredentialReader,
    TrustList,
    fetched_list,
    shipped_lists,
    trust_lists,
)
from d2f_provenance.reader import Provenance, ProvenanceOptions

from d2f import D2FError, Evidence, load_chain
from tests.docs.pages import DOCS
from tests.plugins.provenance_files import STAGE, jpeg_xmp, segment, xmp
from tests.plugins.provenance_signing import action, authority, opened, signed

AI, CAMERA = log(1000), -log(100)
PICTURE = DOCS / "tutorial" / "images" / "camera-like.jpg"


def read(data: bytes, *trusted: str) -> Evidence:
    """Return the credential evidence of a file where some authorities are trusted."""
    anchors = "".join(authority(name).root for name in trusted)
    reader = CredentialReader([TrustList("list of the test", anchors)])
    from d2f_provenance.containers import read_blocks

    (found,) = reader.read(data, read_blocks(data), ())
    return found


def camera(by: str = "Alpha") -> bytes:
    return signed(authority(by), [action("created", "digitalCapture")])


def generated(by: str = "Alpha") -> bytes:
    return signed(authority(by), [action("created", "trainedAlgorithmicMedia")])


# Trust along the chain


def test_one_manifest() -> None:
    assert (read(camera(), "Alpha").trust, read(camera(), "Alpha").llr) == (states.TRUSTED, pytest.approx(CAMERA))
    assert (read(camera(), "Beta").trust, read(camera(), "Beta").llr) == (states.UNKNOWN_SIGNER, 0.0)
    assert read(generated(), "Alpha").llr == pytest.approx(AI)
    assert read(generated(), "Beta").llr == pytest.approx(log(10))


@pytest.mark.parametrize(
    ("trusted", "state", "llr"),
    [
        (("Alpha", "Beta"), states.TRUSTED, CAMERA),
        (("Beta",), states.UNKNOWN_SIGNER, 0.0),
        (("Alpha",), states.UNKNOWN_SIGNER, 0.0),
    ],
)
def test_camera_claim_needs_every_signer_on_the_way(trusted: tuple[str, ...], state: str, llr: float) -> None:
    # The verifier calls the second one Trusted: it asks the newest signer alone.
    chain = signed(authority("Beta"), [opened(), action("cropped")], [("parentOf", camera())])
    third = signed(authority("Beta"), [opened(), action("resized")], [("parentOf", chain)], seed=3)
    for data in (chain, third):
        found = read(data, *trusted)
        assert (found.trust, found.llr) == (state, pytest.approx(llr))


def test_a_parent_changed_before_it_was_opened() -> None:
    broken = bytearray(camera())
    broken[-40] ^= 1
    chain = signed(authority("Beta"), [opened(), action("cropped")], [("parentOf", bytes(broken))])
    found = read(chain, "Alpha", "Beta")
    assert (found.trust, found.llr) == (states.CHANGED, 0.0)
    assert "before it was opened again" in found.statement


def test_changes_after_signing() -> None:
    data = generated()
    broken = bytearray(data)
    broken[-40] ^= 1
    captioned = data[:2] + segment(0xFE, b"a caption") + data[2:]
    for changed in (bytes(broken), captioned):
        found = read(changed, "Alpha")
        assert (found.trust, found.llr) == (states.CHANGED, 0.0)
        assert "assertion.dataHash.mismatch" in found.statement
        assert "generative AI made the picture" in found.statement


# Claims

FILL = action("edited", "compositeWithTrainedAlgorithmicMedia")


@pytest.mark.parametrize(
    ("actions", "says", "llr"),
    [
        ([opened(), action("converted")], "digital camera", CAMERA),
        ([opened(), action("edited", "humanEdits")], "digital camera", CAMERA),
        ([opened(), action("edited")], "edits followed", 0.0),
        ([opened(), action("drawing")], "edits followed", 0.0),
        ([opened(), action("edited", "composite")], "edits followed", 0.0),
        ([opened(), FILL], "edited the picture or made a part", 0.0),
        ([opened(), action("edited", "trainedAlgorithmicMedia")], "generative AI edited", 0.0),
    ],
)
def test_what_follows_a_camera(actions: list[dict[str, Any]], says: str, llr: float) -> None:
    found = read(signed(authority("Alpha"), actions, [("parentOf", camera())]), "Alpha")
    assert says in found.statement
    assert found.llr == pytest.approx(llr)


def test_generation_deeper_in_the_chain() -> None:
    first = signed(authority("Alpha"), [opened(), action("converted")], [("parentOf", generated())])
    second = signed(authority("Alpha"), [opened(), action("edited", "composite")], [("parentOf", first)], seed=2)
    found = read(second, "Alpha")
    assert found.llr == pytest.approx(AI)
    assert [len(entry["actions"]) for entry in json.loads(found.raw)] == [2, 2, 1]


def test_parts_and_inputs() -> None:
    ingredients = [("parentOf", camera()), ("componentOf", generated())]
    placed = action("placed", parameters={"ingredientIds": ["xmp:iid:componentOf"]})
    found = read(signed(authority("Alpha"), [opened(), placed], ingredients), "Alpha")
    assert "a generated picture was placed" in found.statement
    assert found.llr == 0.0
    prompted = signed(authority("Alpha"), [action("created", "trainedAlgorithmicMedia")], [("inputTo", camera())])
    assert read(prompted, "Alpha").llr == pytest.approx(AI)
    referred = signed(authority("Alpha"), [action("created", "digitalCapture")], [("inputTo", generated())])
    assert read(referred, "Alpha").llr == pytest.approx(CAMERA)


def test_makers_that_state_no_source_type() -> None:
    bing = signed(authority("Alpha"), [action("created", softwareAgent="Image Creator from Designer")], version=1)
    assert read(bing, "Alpha").llr == pytest.approx(AI)
    flux = [{"label": "c2pa.ai_generated_content", "data": {"ai_generated": True, "model": "x"}}]
    assert read(signed(authority("Alpha"), [action("created")], more=flux, version=1), "Alpha").llr == pytest.approx(AI)
    drawing = signed(authority("Alpha"), [action("created", softwareAgent="A drawing program")], version=1)
    assert "nothing of how the picture was made" in read(drawing, "Alpha").statement


def test_reports_of_any_shape_are_read() -> None:
    for report in (
        {},
        {"manifests": []},
        {"active_manifest": "a", "manifests": {"a": 3}},
        {"manifests": {"a": {"ingredients": 1}}},
    ):
        assert read_claim(signed_manifests(report)).says == "nothing"
    odd = {
        "assertions": [3, {"label": "c2pa.actions", "data": {"actions": [3, {"digitalSourceType": 5}]}}],
        "ingredients": [3],
    }
    circle = {"ingredients": [{"relationship": "parentOf", "active_manifest": "a"}]}
    assert [len(signed_manifests({"active_manifest": "a", "manifests": {"a": each}})) for each in (odd, circle)] == [
        1,
        1,
    ]


def test_a_claim_without_manifests_says_nothing() -> None:
    assert read_claim([]).says == "nothing"
    assert read_claim([Signed("A", "", "", [], frozenset())]).depth == 1


# Without the verifier, without the network


def test_without_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    (found,) = STAGE.read(generated(), None)
    assert (found.statement, found.trust, found.llr) == (NOT_INSTALLED, states.NOT_READ, 0.0)
    assert NOT_INSTALLED == "Content Credentials not read: install d2f[c2pa]"
    assert STAGE.read(jpeg_xmp(xmp('xmp:CreatorTool="A camera"')), None) == ()


def test_the_shipped_lists_use_no_network() -> None:
    for trust in shipped_lists():
        settings = trust.settings()
        assert settings["verify"] == {"remote_manifest_fetch": False, "ocsp_fetch": False}
        assert settings["core"]["allowed_network_hosts"] == []
        assert trust.anchors.count("BEGIN CERTIFICATE") >= 27


class Listener:
    """A local server that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


def test_a_manifest_kept_elsewhere_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import c2pa

    listener = Listener()
    address = f"http://127.0.0.1:{listener.port}/manifest.c2pa"
    data = jpeg_xmp(xmp(f'dcterms:provenance="{address}"'))
    # What the verifier does without d2f's settings shows that the listener would notice.
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(data))
    assert listener.connections == 1

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    (found,) = STAGE.read(data, None)
    assert (found.trust, found.raw) == (states.ELSEWHERE, address)
    # And asked directly, the verifier with these settings refuses.
    context = c2pa.Context.from_dict(shipped_lists()[1].settings())
    with pytest.raises(c2pa.C2paError, match="Remote"):
        c2pa.Reader.try_create("image/jpeg", io.BytesIO(data), context=context)
    assert listener.connections == 1
    monkeypatch.undo()
    listener.socket.close()


def _read_in_child(data: bytes, queue: Any) -> None:
    queue.put([item.trust for item in STAGE.read(data, None)])


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reader_made_before_a_fork_reads_after_it() -> None:
    data = generated()
    assert [item.trust for item in STAGE.read(data, None)] == [states.UNKNOWN_SIGNER]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(data, queue))
    child.start()
    assert queue.get(timeout=60) == [states.UNKNOWN_SIGNER]
    child.join()


# A list of one's own


def test_a_trust_list_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "ours.pem"
    path.write_text(authority("Alpha").root, "utf-8")
    stage = Provenance(ProvenanceOptions(trust_list=str(path)))
    stage.load()
    (found,) = stage.read(generated(), None)
    assert found.trust == states.TRUSTED
    assert "trust list ours.pem" in found.statement


def test_a_trust_list_that_is_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing", "utf-8")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(D2FError, match="trust list"):
            Provenance(ProvenanceOptions(trust_list=str(path))).load()


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "broken.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "utf-8")
    with pytest.raises(D2FError, match="trust list"):
        Provenance(ProvenanceOptions(trust_list=str(path))).load()


def test_a_fetched_list_replaces_the_official_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    before = load_chain("fast")
    official = shipped_lists()[0].anchors
    data = official.encode()
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{sha256}.pem").write_bytes(data)
    (tmp_path / "weights" / "pins.json").write_text(json.dumps({"c2pa-trust-list": sha256}))
    lists = trust_lists(fetched_list())
    assert lists[0].name == f"C2PA trust list as fetched, sha256 {sha256[:12]}"
    assert lists[0].anchors == official
    assert lists[1].anchors.startswith(official)
    after = load_chain("fast")
    assert after.digest != before.digest
    (tmp_path / "weights" / f"{sha256}.pem").write_bytes(data[:-1])
    with pytest.raises(D2FError, match="D2F503"):
        list(load_chain("fast").run(PICTURE))


def test_a_chain_takes_a_list_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text(shipped_lists()[0].anchors)
    (tmp_path / "empty.pem").write_text("")
    chain = load_chain("fast").with_prior(0.1)
    own = chain.with_trust_list(tmp_path / "own.pem")
    assert own.digest != chain.digest
    assert own.prior == 0.1
    assert own.judge(PICTURE).llr == chain.judge(PICTURE).llr
    assert own.plan.evidence[0].stage._credentials._lists[0].name == "trust list own.pem"
    (tmp_path / "copy.pem").write_bytes((tmp_path / "own.pem").read_bytes())
    assert chain.with_trust_list(tmp_path / "copy.pem").digest == own.digest
    (tmp_path / "own.pem").write_text(shipped_lists()[1].anchors)
    assert chain.with_trust_list(tmp_path / "own.pem").digest != own.digest
    for name in ("empty.pem", "none.pem"):
        with pytest.raises(D2FError, match="D2F114"):
            chain.with_trust_list(tmp_path / name)
