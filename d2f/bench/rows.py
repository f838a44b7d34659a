"""Every row of a bench as one Parquet file: image x attack x (chain or cell)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.bench.flips import WORDS
from d2f.bench.run import Run
from d2f.bench.subject import Subject, chain_subjects, told_names

if TYPE_CHECKING:
    import pyarrow

    from d2f.chain.chain import Chain


def write_rows(path: Path, run: Run, chains: Sequence[Chain], peers: Sequence[Subject] = ()) -> None:
    """Write ``rows.parquet``, one row group for each chain, cell and attack.

    Columns: path, sha256, label, generator, source, collection, group, component, attack, chain, cell (empty for
    the chain itself), score (a cell's own; null for a chain), llr, probability (at even prior), verdict.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts = _facts(run)
    schema = pa.schema([(name, kind) for name, (kind, _) in facts.items()] + _own())
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=True) as writer:
        for columns in _blocks(run, chains, peers):
            arrays = [values for _, values in facts.values()]
            writer.write_table(pa.table([*arrays, *columns], schema=schema))


def _facts(run: Run) -> dict[str, tuple[pyarrow.DataType, Any]]:
    import pyarrow as pa

    images = run.joint.images
    text = {
        name: (pa.string(), pa.array([getattr(image, name) for image in images], pa.string()))
        for name in ("path", "generator", "source", "collection", "group")
    }
    return {
        "path": text.pop("path"),
        "sha256": (pa.string(), pa.array(run.joint.sha256, pa.string())),
        "label": (pa.string(), pa.array([WORDS[1 if image.label else -1] for image in images])),
        **text,
        "component": (pa.int32(), pa.array(run.joint.components.astype(np.int32))),
    }


def _own() -> list[tuple[str, Any]]:
    import pyarrow as pa

    words = [(name, pa.string()) for name in ("attack", "chain", "cell")]
    numbers = [(name, pa.float64()) for name in ("score", "llr", "probability")]
    return [*words, *numbers, ("verdict", pa.string())]


def _blocks(run: Run, chains: Sequence[Chain], peers: Sequence[Subject]) -> Iterator[list[Any]]:
    for chain, table, told in zip(chains, run.tables, told_names(chains), strict=True):
        whole, stages = chain_subjects(chain, table, told)
        for copy, name in enumerate(table.copies):
            yield _columns(whole, None, name, copy, told, "")
            for place, stage in enumerate(stages):
                yield _columns(stage, table.scores[:, copy, place], name, copy, told, stage.name)
    for peer in peers:
        for copy, name in enumerate(run.joint.copies):
            yield _columns(peer, None, name, copy, peer.name, "")


def _columns(subject: Subject, scores: Any, attack: str, copy: int, chain: str, cell: str) -> list[Any]:
    import pyarrow as pa

    from d2f.engine.logits import expit

    count, values = len(subject.values), subject.values[:, copy]
    llr = values if subject.calibrated else np.full(count, np.nan)
    own = scores if scores is not None else (np.full(count, np.nan) if subject.calibrated else values)
    verdicts = [None] * count if subject.verdicts is None else [WORDS[int(v)] for v in subject.verdicts[:, copy]]
    words = [pa.array([word] * count, pa.string()) for word in (attack, chain, cell)]
    numbers = [pa.array(column, pa.float64(), from_pandas=True) for column in (own, llr, expit(llr))]
    return [*words, *numbers, pa.array(verdicts, pa.string())]
