"""What a server is told: where it listens, who may ask, and its limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from d2f.api.errors import D2FError, Problem, did_you_mean
from d2f.api.inputs import Bounds

LEAST_TOKEN = 16
"""Characters that a token has at least, so that it cannot be tried out."""


class Limits(BaseModel):
    """Every limit of a server; `d2f serve --limit NAME=N` sets one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_bytes: int = Field(default=64 * 2**20, ge=1, description="Bytes of one picture; more is status 413.")
    pixels: int = Field(default=64 * 2**20, ge=1, description="Pixels of one picture; more is status 413.")
    files: int = Field(default=32, ge=1, description="Pictures of one request; more is status 413.")
    request_bytes: int = Field(default=256 * 2**20, ge=1, description="Bytes of one request; more is status 413.")
    held_bytes: int = Field(
        default=1024 * 2**20, ge=1, description="Bytes of all requests that are held at once; more is status 503."
    )
    requests: int = Field(default=64, ge=1, description="Requests that are worked on at once; more is status 429.")
    queue: int = Field(default=256, ge=1, description="Pictures that wait; more is status 503.")
    connections: int = Field(default=512, ge=1, description="Open connections; more is status 503.")
    seconds: float = Field(
        default=120.0, gt=0.0, description="Seconds from a whole request to its answer; more is status 504."
    )
    stage_seconds: float = Field(
        default=30.0, gt=0.0, description="Seconds of one stage, or of decoding, for one picture; then it is ended."
    )
    explain_seconds: float = Field(
        default=90.0, gt=0.0, description="Seconds of one explanation; then it is ended, and the row stands."
    )
    upload_seconds: float = Field(
        default=300.0, gt=0.0, description="Seconds in which a request's body arrives; more is status 408."
    )
    idle_seconds: float = Field(
        default=15.0, gt=0.0, description="Seconds without a byte of a header, a body or an answer that was begun."
    )
    window_ms: float = Field(
        default=15.0, ge=0.0, le=1000.0, description="Milliseconds that a picture waits for others of its batch."
    )
    jobs: int = Field(default=16, ge=1, description="Jobs that are kept; more is status 429.")
    job_files: int = Field(default=100_000, ge=1, description="Pictures of one job; more is status 413.")
    job_bytes: int = Field(
        default=4 * 2**30, ge=1, description="Bytes of all uploaded archives and results on disk; more is status 413."
    )

    @property
    def bounds(self) -> Bounds:
        """The bounds that files are decoded within."""
        return Bounds(bytes=self.file_bytes, pixels=self.pixels)


class ServeSettings(BaseModel):
    """A server's settings.

    Parameters
    ----------
    host, port
        Where it listens.
    token : str, optional
        What a client must present, at least 16 characters.
    insecure : bool
        Whether other machines may ask without a token.
    allow_host : tuple of str
        Names by which the server may be addressed, besides ``localhost`` and every numeric address.
    allow_origin : tuple of str
        Origins that may ask from a browser, besides the server's own page.
    root : path, optional
        Folder whose folders may be judged by jobs; None: none.
    workers : int, optional
        Worker processes; by default one a core, if memory allows.
    limits : Limits
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    token: SecretStr | None = None
    insecure: bool = False
    allow_host: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    root: Path | None = None
    workers: int | None = Field(default=None, ge=1)
    limits: Limits = Limits()

    @field_validator("allow_host")
    @classmethod
    def _as_asked_for(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower().removesuffix("/").removesuffix(".") for name in names)

    @field_validator("allow_origin")
    @classmethod
    def _as_sent(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(origin) for origin in origins)

    def check(self) -> None:
        """Raise D2F001 where the server would be open to other machines, or its token is too short."""
        if self.token is not None and len(self.token.get_secret_value()) < LEAST_TOKEN:
            raise D2FError.of(
                "D2F001",
                f"the token has less than {LEAST_TOKEN} characters",
                "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'",
            )
        if self.token is None and not self.insecure and not is_loopback(self.host):
            raise D2FError.of(
                "D2F001",
                f"--host {self.host} lets other machines ask, and there is no token",
                "give it one in D2F_TOKEN or with --token; or listen on 127.0.0.1 behind a reverse proxy",
                "where everybody who can reach this address may ask: --insecure",
            )


def _origin(given: str) -> str:
    """Return an origin as browsers send it; D2F001 where none would send it."""
    origin = given.lower().removesuffix("/")
    scheme, _, place = origin.partition("://")
    if origin != "null" and (not scheme or not place or any(mark in place for mark in "/?#@")):
        raise D2FError.of(
            "D2F001",
            f"--allow-origin {given} is no origin",
            "give scheme, host and port without a path, such as https://d2f.example.org or https://d2f.example.org:8443",
        )
    return origin


def is_loopback(host: str) -> bool:
    """Whether a host that is listened on is this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def limits_of(given: Mapping[str, float]) -> Limits:
    """Return limits of which some are given by name; D2F001 where one is unknown or out of range."""
    for name in given:
        if name not in Limits.model_fields:
            near = did_you_mean(name, Limits.model_fields)
            raise D2FError.of("D2F001", f"unknown limit '{name}'", *near, f"limits: {', '.join(Limits.model_fields)}")
    try:
        return Limits(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [Problem("D2F001", f"limit {one['loc'][0]}: {one['msg']}") for one in error.errors()]
        raise D2FError(problems) from None
