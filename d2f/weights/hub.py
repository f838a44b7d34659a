"""Files of the Hugging Face hub, by its own library: `hf://ORG/REPO/FILE@REVISION`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from d2f.weights.attempt import Attempt, Unfetched

PREFIX = "hf://"
SOURCE = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+)@(?P<revision>[\w./-]+)")


def fetch_from_hub(source: str, attempt: Attempt) -> None:
    """Bring a file of a repository at a revision; what a private one asks for is taken from the hub's own login."""
    found = SOURCE.fullmatch(source)
    if found is None or ".." in found["file"].split("/"):
        raise Unfetched("not of the form hf://ORG/REPO/FILE@REVISION")
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        raise Unfetched("huggingface_hub is not installed: pip install 'd2f[hub]'") from error
    disable_progress_bars()
    folder = attempt.part.with_suffix(".hub")
    repo, file, revision = found["repo"], found["file"], found["revision"]
    try:
        size = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision)).size
        attempt.watch(0, None if size is None else attempt.bounded(size))
        # Into a folder of its own: the hub's cache would keep the file a second time.
        kept = Path(hf_hub_download(repo, file, revision=revision, local_dir=folder))
    except Unfetched:
        raise
    except Exception as error:
        raise Unfetched(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    size = attempt.bounded(kept.stat().st_size)
    kept.replace(attempt.part)
    shutil.rmtree(folder, ignore_errors=True)
    attempt.watch(size, size)
