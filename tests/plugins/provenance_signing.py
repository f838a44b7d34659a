"""Pictures signed by certificates that the tests make: two authorities, so that trust can be given to one of them."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from tests.plugins.provenance_files import TERMS, encoded, picture

PEM = serialization.Encoding.PEM
START, END = datetime.datetime(2026, 1, 1), datetime.datetime(2036, 1, 1)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
PARENT = {"ingredientIds": ["xmp:iid:parentOf"]}


@dataclass(frozen=True)
class Authority:
    """A root certificate and a signer below it, PEM."""

    root: str
    chain: bytes
    key: bytes


@cache
def authority(name: str) -> Authority:
    """Make an authority and one signer."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(_name(name, "Root"), _name(name, "Root"), root_key, root_key, authority=True)
    leaf = _certificate(_name(name, f"{name} signer"), _name(name, "Root"), key, root_key, authority=False)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root_pem = root.public_bytes(PEM)
    return Authority(root_pem.decode(), leaf.public_bytes(PEM) + root_pem, private)


def _name(organisation: str, name: str) -> x509.Name:
    pairs = ((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any, signing: Any, *, authority: bool) -> x509.Certificate:
    usage = dict.fromkeys(USAGES, False)
    usage |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(END)
    builder = builder.add_extension(x509.BasicConstraints(authority, None), True)
    builder = builder.add_extension(x509.KeyUsage(**usage), True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False)
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.4")]), False)
    return builder.sign(signing, hashes.SHA256())


def action(name: str, term: str = "", **more: Any) -> dict[str, Any]:
    """Return an action of a manifest."""
    found = {"action": f"c2pa.{name}", **more}
    return found | {"digitalSourceType": TERMS + term} if term else found


def opened() -> dict[str, Any]:
    """Return the action of opening the parent."""
    return action("opened", parameters=PARENT)


@cache
def _context() -> Any:
    automatic = {f"auto_{name}_action": {"enabled": False} for name in ("created", "opened", "placed")}
    return c2pa.Context.from_dict(
        {
            "builder": {"thumbnail": {"enabled": False}, "actions": automatic},
            "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )


def signed(
    by: Authority,
    actions: Sequence[dict[str, Any]],
    ingredients: Sequence[tuple[str, bytes]] = (),
    *,
    seed: int = 0,
    more: Sequence[dict[str, Any]] = (),
    version: int = 2,
) -> bytes:
    """Return a JPEG with a manifest; ingredients are pairs of a relationship and a JPEG."""
    manifest = {
        "claim_generator_info": [{"name": "Example", "version": "1.0"}],
        "title": "example",
        "claim_version": version,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}, *more],
    }
    builder = c2pa.Builder(json.dumps(manifest), context=_context())
    for relationship, data in ingredients:
        fields = {"title": relationship, "relationship": relationship, "instance_id": f"xmp:iid:{relationship}"}
        builder.add_ingredient(json.dumps(fields), "image/jpeg", io.BytesIO(data))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", by.chain, by.key, None))
    out = io.BytesIO()
    builder.sign(signer, "image/jpeg", io.BytesIO(encoded("JPEG", picture(seed))), out)
    return out.getvalue()
