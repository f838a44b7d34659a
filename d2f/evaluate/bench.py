"""The scores of a bench: every chain, every attack, every image, once; continued after a kill."""

from __future__ import annotations

import datetime
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Labels, ProtocolName
from d2f.api.rows import Failure, Member
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.data.protocol import for_judging
from d2f.engine.local import LocalEngine
from d2f.engine.plan import Scored
from d2f.evaluate.bench_curves import WORDS, Joint, comparisons, curves, flips, join
from d2f.evaluate.bench_figures import (
    DRAWS,
    FIGURES,
    LEVEL,
    WORST,
    Draws,
    Group,
    Measured,
    group_aucs,
    group_figures,
    groups,
    measure,
)
from d2f.evaluate.bench_systems import LAYINGS, Laid, Laying, Speed, Subject, chain_subjects, described, told_names
from d2f.evaluate.delong import auc_error
from d2f.evaluate.score import CLEAN, Attack, ScoreTable, collect, score_groups
from d2f.output import append as refusals
from d2f.output.append import Mode
from d2f.output.parquet import PartsFolder
from d2f.plugins.catalog import canonical
from d2f.version import __version__

if TYPE_CHECKING:
    import pyarrow

    from d2f.chain.chain import Chain


PART_ROWS = 4096
PART_SECONDS = (2.0, 60.0)
"""A part is closed when it has `PART_ROWS` rows, or is so old: 2 s the first, then twice as long each, up to 60 s."""


class Store:
    """A folder of Parquet parts: a row for each copy of each image, all copies of an image in one part."""

    def __init__(self, folder: Path, run: str, names: Sequence[str], members: Sequence[tuple[str, str]], mode: Mode):
        self._names, self._members, self._run = tuple(names), tuple(members), run
        self._rows: list[dict[str, Any]] = []
        self._patience, self._since = PART_SECONDS[0], time.monotonic()
        self._parts = PartsFolder(str(folder), mode)
        try:
            self.done = frozenset(number for number, _ in self.groups(scores=False))
        except D2FError:
            self.close()
            raise

    def add(self, number: int, group: Sequence[Scored]) -> None:
        """Keep an image's copies; write a part when one is due."""
        self._rows += [self._row(number, copy, scored) for copy, scored in enumerate(group)]
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since >= self._patience:
            self._patience = min(2 * self._patience, PART_SECONDS[1])
            self.flush()

    def flush(self) -> None:
        """Write what is kept in memory."""
        import pyarrow

        if self._rows:
            self._parts.add(pyarrow.Table.from_pylist(self._rows, self._schema()))
        self._rows, self._since = [], time.monotonic()

    def groups(self, scores: bool = True) -> Iterator[tuple[int, list[Scored]]]:
        """Yield what was written, image by image; without `scores`, copies are empty."""
        import pyarrow.parquet

        for part in self._parts.parts():
            try:
                table = pyarrow.parquet.ParquetFile(part)
                if (table.schema_arrow.metadata or {}).get(b"d2f.bench_run", b"").decode() != self._run:
                    raise _another(self._parts.path)
                rows = table.read(None if scores else ["image"]).to_pylist()
            except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
                raise refusals.unreadable(self._parts.path, f"{part.name}: {error}") from error
            for number, group in groupby(rows, key=lambda row: row["image"]):
                yield number, [self._scored(row) for row in group] if scores else []

    def close(self) -> None:
        """Unlock; what was not flushed is lost."""
        self._parts.close()

    def remove(self) -> None:
        """Delete the parts, once everything in them stands elsewhere."""
        for part in self._parts.parts():
            part.unlink()
        self.close()
        Path(self._parts.path).rmdir()

    def _schema(self) -> Any:
        import pyarrow as pa

        fields = [("image", pa.int32()), ("copy", pa.int16()), ("path", pa.string()), ("sha256", pa.string())]
        fields += [("code", pa.string()), ("message", pa.string())]
        for detector, view in self._members:
            fields += [(f"{detector}/{view}", pa.float64()), (f"{detector}/{view}:why", pa.string())]
        return pa.schema(fields, metadata={"d2f.bench_run": self._run})

    def _row(self, number: int, copy: int, scored: Scored) -> dict[str, Any]:
        row: dict[str, Any] = {"image": number, "copy": copy, "path": scored.path, "sha256": scored.sha256}
        if scored.failure:
            row |= {"code": scored.failure.code, "message": scored.failure.message}
        for member in scored.members:
            row[member.name] = member.score
            row[f"{member.name}:why"] = (
                f"{member.error.code} {member.error.message}" if member.error else member.abstained
            )
        return row

    def _scored(self, row: dict[str, Any]) -> Scored:
        failure = Failure(row["code"], row["message"]) if row["code"] else None
        members = () if failure else tuple(self._member(row, *names) for names in self._members)
        return Scored(row["path"], row["sha256"], None, None, None, members, failure)

    def _member(self, row: dict[str, Any], detector: str, view: str) -> Member:
        score, why = row[f"{detector}/{view}"], row[f"{detector}/{view}:why"]
        if score is not None and not math.isnan(score):
            return Member(detector, view, score)
        code, _, message = (why or "").partition(" ")
        if code.startswith("D2F") and code[3:].isdigit():
            return Member(detector, view, error=Failure(code, message))
        return Member(detector, view, abstained=why)


def _another(name: str) -> D2FError:
    return D2FError.of(
        "D2F005",
        f"'{name}' holds scores of another run: other chains, images, attacks or protocol",
        "repeat that run's command with --resume, replace it with --overwrite, or choose another folder with -o",
    )


@dataclass(frozen=True)
class Run:
    """Scores of several chains on one set."""

    joint: ScoreTable
    tables: tuple[ScoreTable, ...]
    speed: Speed
    kept: int = 0
    store: Store | None = None

    def finish(self) -> None:
        """Delete the parts, once everything in them stands elsewhere."""
        if self.store is not None:
            self.store.remove()


def run_chains(
    chains: Sequence[Chain],
    images: Dataset,
    attacks: Sequence[Attack],
    protocol: ProtocolName = "whole",
    *,
    parts: Path | None = None,
    mode: Mode = "new",
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> Run:
    """Score a set with every chain, clean and under each attack."""
    for chain in chains:
        if not chain.file.calibrate:
            raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted", "fit it first: d2f chain fit")
    joint = join(chains)
    LocalEngine(joint.plan).load()
    names = (CLEAN, *(attack.name for attack in attacks))
    speed = Speed()

    def scored(which: Dataset) -> Iterator[list[Scored]]:
        bring = for_judging(protocol)
        return score_groups(joint.plan, which, bring, attacks, workers=workers, tick=tick, observe=speed.observe)

    if parts is None:
        with speed.running():
            table = collect(images, names, joint.plan.member_names, enumerate(scored(images)))
        return Run(table, _tables(joint, table, chains), speed)
    store = Store(parts, _identity(joint, images, attacks, protocol), names, joint.plan.members, mode)
    try:
        left = [number for number in range(len(images)) if number not in store.done]
        for _ in store.done:
            if tick is not None:
                tick()
        with speed.running():
            for number, group in zip(left, scored(images.select(left)), strict=True):
                store.add(number, group)
        store.flush()
        table = collect(images, names, joint.plan.member_names, store.groups())
    finally:
        # What was scored before an interrupt is kept as well.
        store.flush()
        store.close()
    return Run(table, _tables(joint, table, chains), speed, len(store.done), store)


def _tables(joint: Joint, table: ScoreTable, chains: Sequence[Chain]) -> tuple[ScoreTable, ...]:
    return tuple(
        replace(table, members=chain.plan.member_names, scores=table.scores[:, :, list(columns)])
        for chain, columns in zip(chains, joint.columns, strict=True)
    )


def _identity(joint: Joint, images: Dataset, attacks: Sequence[Attack], protocol: ProtocolName) -> str:
    """A digest of everything that the scores depend on, but for the images' bytes."""
    facts = {
        "d2f": __version__,
        "protocol": protocol,
        "members": list(joint.keys),
        "names": list(joint.plan.member_names),
        "attacks": [[attack.name, *(step.key for step in attack.steps)] for attack in attacks],
        "images": [[image.path, image.label] for image in images],
    }
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def write_rows(path: Path, run: Run, chains: Sequence[Chain], peers: Sequence[Subject] = ()) -> None:
    """Write ``rows.parquet``, one row group for each chain, member and attack.

    Columns: path, sha256, label, generator, source, collection, group, component, attack, chain, member (empty for
    the chain itself), score (a member's own; null for a chain), llr, probability (at even prior), verdict.
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

    words = [(name, pa.string()) for name in ("attack", "chain", "member")]
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


def _columns(subject: Subject, scores: Any, attack: str, copy: int, chain: str, member: str) -> list[Any]:
    import pyarrow as pa

    from d2f.engine.findings import expit

    count, values = len(subject.values), subject.values[:, copy]
    llr = values if subject.calibrated else np.full(count, np.nan)
    own = scores if scores is not None else (np.full(count, np.nan) if subject.calibrated else values)
    verdicts = [None] * count if subject.verdicts is None else [WORDS[int(v)] for v in subject.verdicts[:, copy]]
    words = [pa.array([word] * count, pa.string()) for word in (attack, chain, member)]
    numbers = [pa.array(column, pa.float64(), from_pandas=True) for column in (own, llr, expit(llr))]
    return [*words, *numbers, pa.array(verdicts, pa.string())]


SCHEMA = 1
"""Version of bench.json; it changes when a key changes its meaning."""

FAILURES_LISTED = 20


@dataclass(frozen=True)
class Asked:
    """How a bench was asked for, as far as its report says so."""

    protocol: ProtocolName
    laid: Laid
    over: Laying = "both"
    limit: int | None = None
    seed: int = 0
    draws: int = DRAWS
    today: datetime.date = field(default_factory=datetime.date.today)
    as_found: Sequence[str] = ()


def head(run: Run, asked: Asked) -> dict[str, Any]:
    """Return everything of a result that is no figure."""
    return {
        "d2f_bench": SCHEMA,
        "d2f": __version__,
        "date": asked.today.isoformat(),
        "protocol": asked.protocol,
        "laid_over": asked.over,
        "data": _data(run, asked),
        "as_found": list(asked.as_found),
        "attacks": list(described(asked.laid)),
        "notes": list(asked.laid.notes),
        "draws": asked.draws,
        "level": LEVEL,
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
        "speed": {
            "wall": run.speed.wall,
            "images": len(run.joint.labels),
            "kept": run.kept,
            "stages": run.speed.stages(),
        },
        "failures": _failures(run),
    }


def _data(run: Run, asked: Asked) -> dict[str, Any]:
    table = run.joint
    labels = table.labels
    return {
        "root": table.images.root,
        "digest": digest_of(zip(table.sha256, labels.tolist(), strict=True)),
        "images": len(labels),
        "real": int((labels == 0).sum()),
        "generated": int((labels == 1).sum()),
        "components": len(set(table.components.tolist())),
        "limit": asked.limit,
        "seed": asked.seed,
    }


def _failures(run: Run) -> dict[str, Any]:
    unread = [[path, failure.code, failure.message] for path, failure in run.joint.unread]
    failed = [[path, where, failure.code, failure.message] for path, where, failure in run.joint.failed]
    return {
        "unread": {"count": len(unread), "first": unread[:FAILURES_LISTED]},
        "failed": {"count": len(failed), "first": failed[:FAILURES_LISTED]},
    }


def result(run: Run, chains: Sequence[Chain], asked: Asked, peers: Sequence[Subject] = ()) -> dict[str, Any]:
    """Measure everything."""
    table, labels = run.joint, run.joint.labels
    draws = Draws(table.components, labels, asked.draws, asked.seed)
    judged = [
        chain_subjects(chain, part, name)
        for chain, part, name in zip(chains, run.tables, told_names(chains), strict=True)
    ]
    whole = [*(subject for subject, _ in judged), *peers]
    measured = [measure(subject, labels, table.copies, draws, asked.over) for subject in whole]
    told = [_told(one, subject, labels, asked) for one, subject in zip(measured, whole, strict=True)]
    parts = groups(table.images)
    for group in parts:
        for entry, figures in zip(told, group_figures(group, table.images, measured), strict=True):
            entry["groups"].append(figures)
    for entry, one, (_, stages), chain in zip(told, measured, judged, chains, strict=False):
        entry |= _chain_told(chain, one, table.images)
        each = (measure(stage, labels, table.copies, draws, asked.over) for stage in stages)
        entry["stages"] = [_stage_told(stage, parts, table.images, asked.laid) for stage in each]
    found: dict[str, Any] = plain(
        {
            **head(run, asked),
            "subjects": told,
            "comparisons": list(comparisons(measured, labels)),
        }
    )
    return found


def _chain_told(chain: Chain, one: Measured, images: Dataset) -> dict[str, Any]:
    rule = chain.file.verdict
    return {
        "digest": chain.digest,
        "thresholds": {"real_below": rule.real_below, "generated_above": rule.generated_above},
        "flips": flips(one.subject, images, one.copies),
    }


def plain(value: Any) -> Any:
    """Return data that JSON holds: no NaN, numbers of at most 6 significant decimals."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _told(one: Measured, subject: Subject, labels: Labels, asked: Asked) -> dict[str, Any]:
    found = _figures_told(one, asked.laid)
    found["kind"] = one.subject.kind
    found["auc_laid_over"] = {
        over: {copy: measured.interval(copy, "auc") for copy in one.copies}
        for over in LAYINGS
        for measured in [one if over == asked.over else measure(subject, labels, one.copies, one.draws, over)]
    }
    found["delong_error"] = {copy: _delong(one.subject, labels, i) for i, copy in enumerate(one.copies)}
    found["curves"] = {copy: curves(one.subject, labels, i) for i, copy in enumerate(one.copies)}
    found["groups"] = []
    return found


def _figures_told(one: Measured, laid: Laid) -> dict[str, Any]:
    worst = {figure: one.worst(figure, laid.apart) for figure in WORST}
    return {
        "name": one.subject.name,
        "figures": {copy: {figure: one.interval(copy, figure) for figure in FIGURES} for copy in one.copies},
        "worst": {figure: copy for figure, copy in worst.items() if copy is not None},
    }


def _stage_told(one: Measured, parts: Sequence[Group], images: Dataset, laid: Laid) -> dict[str, Any]:
    listed = [group_aucs(group, images, one.subject, one.copies) for group in parts]
    return {**_figures_told(one, laid), "groups": listed}


def _delong(subject: Subject, labels: Labels, copy: int) -> float:
    values = subject.values[:, copy]
    held = np.isfinite(values) | subject.calibrated
    return auc_error(labels[held], np.nan_to_num(values[held], nan=0.0))
