"""Images of an object store scored on Ray, one actor killed on the way: is there one row for each, and the right one?

    python -m tests.benchmarks.store_by_ray --images 10000

The store is moto's S3 server on the loopback, the chain a toy: what is tested is that nothing is lost or doubled. Exit
code 1 where something is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.kills import made_toy, victims
from tests.ray_cluster import ray_cluster
from tests.stores import BUCKET, s3_server


def filled(toy_folder: Path, images: int) -> dict[str, str]:
    """Store the toy's pictures under many names; return the digest of each."""
    import boto3

    pictures = sorted((toy_folder / "photos").iterdir())
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    digests = {}
    for number in range(images):
        data = pictures[number % len(pictures)].read_bytes()
        key = f"in/{number // 1000:03}/{number:06}.png"
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
        digests[f"s3://{BUCKET}/{key}"] = hashlib.sha256(data).hexdigest()
    return digests


def measured(images: int, rows_before_kill: int) -> dict[str, Any]:
    """Run, kill an actor after some rows, and compare."""
    with tempfile.TemporaryDirectory() as folder, s3_server():
        toy = made_toy(Path(folder), images=200)
        toy.slow(0.0)
        expected = filled(toy.folder, images)
        with ray_cluster(toy.environment["PYTHONPATH"]):
            begun = time.monotonic()
            more = ["--engine", "ray", "--workers", "2", "-o", "actor.jsonl", "-q"]
            command = toy.command("slow.yaml", f"s3://{BUCKET}/in", *more)
            with subprocess.Popen(command, cwd=toy.folder, env=toy.environment) as running:
                alive = victims(toy, "actor", running, rows_before_kill, 0.0)
                for actor in alive[:1]:
                    os.kill(actor, signal.SIGKILL)
                code = running.wait()
            seconds = time.monotonic() - begun
        rows = [json.loads(line) for line in (toy.folder / "actor.jsonl").read_text("utf-8").splitlines()]
    found = {row["path"]: row["sha256"] for row in rows}
    return {
        "images": images,
        "rows": len(rows),
        "equal": found == expected and len(rows) == images,
        "in order": [row["path"] for row in rows] == sorted(expected),
        "actors killed": len(alive[:1]),
        "exit": code,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--kill-after", type=int, default=1_000, help="rows")
    parser.add_argument("-o", "--output", type=Path, help="also write it as JSON")
    given = parser.parse_args()
    found = measured(given.images, given.kill_after)
    print(json.dumps(found))
    if given.output is not None:
        given.output.write_text(json.dumps(found) + "\n", "utf-8")
    sys.exit(0 if found["equal"] and found["in order"] and found["exit"] == 0 and found["actors killed"] else 1)


if __name__ == "__main__":
    main()
