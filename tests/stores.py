"""An S3 server on this machine's loopback, by moto, and what reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from d2f import files

BUCKET = "photos"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run the server, with an empty bucket, and set the environment by which d2f and its children reach it."""
    import logging
    import warnings

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    added = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    files._file_system.cache_clear()  # what an earlier test's server was reached by
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        system, _ = FileSystem.from_uri(f"s3://{BUCKET}?allow_bucket_creation=true")
        system.create_dir(BUCKET)
        yield added
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        files._file_system.cache_clear()
        server.stop()


def put(key: str, data: bytes) -> str:
    """Store an object; return its URL."""
    from pyarrow.fs import FileSystem

    system, _ = FileSystem.from_uri(f"s3://{BUCKET}")
    with system.open_output_stream(f"{BUCKET}/{key}") as file:
        file.write(data)
    return f"s3://{BUCKET}/{key}"
