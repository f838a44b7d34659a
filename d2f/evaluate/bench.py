"""`d2f bench`: every chain over every image, clean and under each attack (`run_chains`), measured (`result`), and
written to a folder that continues a stopped run (`BenchFolder`)."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Labels, ProtocolName
from d2f.api.outcomes import StageFinished
from d2f.cache import Cache
from d2f.data.audit import source_audit
from d2f.data.dataset import Dataset
from d2f.data.facts import Inspection, inspect
from d2f.data.groups import contradictory, digest, digest_of
from d2f.data.protocol import for_judging
from d2f.engine.local import LocalEngine
from d2f.evaluate.attacks import Attack, AttackSet
from d2f.evaluate.measured import (
    WORST,
    Measured,
    changed_verdicts,
    comparisons,
    curves,
    group_aucs,
    group_figures,
    groups,
    measure,
)
from d2f.evaluate.out_of_fold import seen_notes
from d2f.evaluate.score import ScoreTable, Tick, score_table, without_checks
from d2f.evaluate.stability import turned_verdicts
from d2f.evaluate.systems import ATTACKED, Attacked, System, chain_systems, join, system_names
from d2f.files import cannot_write, file_lock, write_whole
from d2f.metrics.calibration import sigmoid
from d2f.metrics.figures import FIGURES, WORDS, too_few
from d2f.metrics.intervals import DRAWS, LEVEL, Draws
from d2f.report.tables import plain
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

ORDER = ("decode", "protocol", "attack", "preprocessor", "detector")


class Speed:
    """Adds up the events of a run.

    Seconds are the sum over threads, so that images/s is the rate of one thread at that stage alone.
    """

    def __init__(self) -> None:
        self._images: dict[tuple[str, str, str], int] = defaultdict(int)
        self._seconds: dict[tuple[str, str, str], float] = defaultdict(float)
        self.wall = 0.0

    def observe(self, event: StageFinished) -> None:
        """Take one event."""
        key = (event.kind, event.name, event.view)
        self._images[key] += event.images
        self._seconds[key] += event.seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the wall time of what runs in this context."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - begun

    def stages(self) -> list[dict[str, Any]]:
        """Return each stage: kind, name, view, images, seconds, images_per_second."""
        keys = sorted(self._images, key=lambda key: (ORDER.index(key[0]) if key[0] in ORDER else len(ORDER), key))
        return [
            {
                "kind": kind,
                "name": name,
                "view": view,
                "images": (images := self._images[kind, name, view]),
                "seconds": round(seconds := self._seconds[kind, name, view], 3),
                "images_per_second": round(images / seconds if seconds > 0 else 0.0, 1),
            }
            for kind, name, view in keys
        ]


@dataclass(frozen=True)
class BenchRun:
    """Scores of several chains on one set; `joint` holds every member of all of them."""

    joint: ScoreTable
    tables: tuple[ScoreTable, ...]
    speed: Speed


def run_chains(
    chains: Sequence[Chain],
    images: Dataset,
    attacks: Sequence[Attack],
    protocol: ProtocolName = "whole",
    *,
    cache: Cache | None = None,
    workers: int | None = None,
    tick: Tick = None,
) -> BenchRun:
    """Score a set with every chain, clean and under each attack; equal members of two chains are scored once."""
    for chain in chains:
        if not chain.file.calibrate:
            raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted", "fit it first: d2f chain fit")
        LocalEngine(chain.plan).load()
    (plan, joint), speed = join(chains), Speed()
    with speed.running():
        table = score_table(
            plan,
            images,
            for_judging(protocol),
            attacks,
            cache=cache,
            workers=workers,
            tick=tick,
            observe=speed.observe,
        )
    tables = []
    for chain, columns in zip(chains, joint, strict=True):
        names = chain.plan.member_names
        part = replace(without_checks(table.columns(columns), len(names)), members=names)
        with speed.running():
            turned = turned_verdicts(
                chain, part, for_judging(protocol), attacks, cache=cache, workers=workers, observe=speed.observe
            )
        tables.append(replace(part, turned=turned))
    return BenchRun(table, tuple(tables), speed)


SCHEMA = 2
"""Version of bench.json; it changes when a key changes its meaning."""

FAILURES_LISTED = 20


@dataclass(frozen=True)
class BenchSettings:
    """The settings of a bench that its report states; `whole` is the set before any limit, where there is one."""

    protocol: ProtocolName
    attacks: AttackSet
    attacked: Attacked = "both"
    limit: int | None = None
    seed: int = 0
    draws: int = DRAWS
    today: datetime.date = field(default_factory=datetime.date.today)
    whole: Dataset | None = None


def result(
    run: BenchRun, chains: Sequence[Chain], settings: BenchSettings, external: Sequence[System] = ()
) -> dict[str, Any]:
    """Measure everything; return plain data for bench.json and the reports."""
    table, labels = run.joint, run.joint.labels
    draws = Draws(table.components, labels, settings.draws, settings.seed)
    judged = [
        chain_systems(chain, part, name)
        for chain, part, name in zip(chains, run.tables, system_names(chains), strict=True)
    ]
    systems = [*(system for system, _ in judged), *external]
    seen, aspect = inspect(table.images), None
    # Width over height by the headers, where every image can still be read.
    if len(seen.images) == len(table.images):
        aspect = np.array([facts.width / facts.height for facts in seen.facts])
    measured = [measure(one, labels, table.copies, draws, settings.attacked, aspect) for one in systems]
    entries = [_entry(one, system, settings) for one, system in zip(measured, systems, strict=True)]
    parts = groups(table.images)
    for group in parts:
        for entry, figures in zip(entries, group_figures(group, table.images, measured), strict=True):
            entry["groups"].append(figures)
    for entry, one, (_, members), chain, part in zip(entries, measured, judged, chains, run.tables, strict=False):
        entry |= _chain_entry(chain, one, part)
        entry["stages"] = []
        for member in members:
            stage = measure(member, labels, table.copies, draws, settings.attacked)
            aucs = [group_aucs(group, table.images, stage.system, table.copies) for group in parts]
            entry["stages"].append({**_figures_of(stage, settings.attacks), "groups": aucs})
    found: dict[str, Any] = plain(
        {
            **_head(run, chains, settings, draws, seen),
            "systems": entries,
            "comparisons": list(comparisons(measured)),
        }
    )
    return found


def _head(
    run: BenchRun, chains: Sequence[Chain], settings: BenchSettings, draws: Draws, seen: Inspection
) -> dict[str, Any]:
    """Everything of a result that is no figure."""
    table, labels = run.joint, run.joint.labels
    real, generated = table.images.label_counts
    unread = [[path, failure.code, failure.message] for path, failure in table.unread]
    failed = [[path, where, failure.code, failure.message] for path, where, failure in table.failed]
    return {
        "d2f_bench": SCHEMA,
        "d2f": __version__,
        "date": settings.today.isoformat(),
        "protocol": settings.protocol,
        "attacked": settings.attacked,
        "data": {
            "root": table.images.root,
            "digest": digest_of(zip(table.sha256, labels.tolist(), strict=True)),
            "images": len(labels),
            "real": real,
            "generated": generated,
            "components": len(set(table.components.tolist())),
            "limit": settings.limit,
            "seed": settings.seed,
        },
        "source_audit": source_audit(seen, settings.seed),
        "attacks": list(settings.attacks.described()),
        "notes": list(settings.attacks.notes),
        "cautions": list(cautions(run, chains, settings, draws)),
        "draws": settings.draws,
        "level": LEVEL,
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
        "speed": {
            "wall": run.speed.wall,
            "images": len(labels),
            "cached": table.cached,
            "stages": run.speed.stages(),
        },
        "failures": {
            "unread": {"count": len(unread), "first": unread[:FAILURES_LISTED]},
            "failed": {"count": len(failed), "first": failed[:FAILURES_LISTED]},
        },
    }


def cautions(run: BenchRun, chains: Sequence[Chain], settings: BenchSettings, draws: Draws) -> Iterator[str]:
    """Yield what makes figures optimistic or leaves them without a footing: seen images, silent stages, few images."""
    table = run.joint
    whole = ""
    sizes = {chain.file.fitted.images for chain in chains if chain.file.fitted}
    if settings.whole is not None and settings.limit and len(settings.whole) in sizes:
        whole = digest(settings.whole)
    if pairs := contradictory(table.images, table.sha256):
        yield f"{len(pairs)} pairs of files of the same bytes have both labels, such as {' and '.join(pairs[0])}"
    for chain in chains:
        yield from seen_notes(chain, table.images, table.sha256, whole)
    for chain, part in zip(chains, run.tables, strict=True):
        for place, member in enumerate(part.members):
            if np.isnan(part.scores[:, :, place]).all():
                yield f"{member} of chain '{chain.name}' scored no image: every figure is of the others alone"
        rule = chain.file.verdict
        if rule.real_below <= 0 and rule.generated_above >= 1:
            yield f"chain '{chain.name}' can give no verdict: its thresholds are 0 and 1"
    yield from too_few(table.labels)
    if not draws.varied:
        yield "no intervals: each label comes from one collection only"


def _entry(one: Measured, system: System, settings: BenchSettings) -> dict[str, Any]:
    found = _figures_of(one, settings.attacks)
    found["kind"] = one.system.kind
    found["auc_attacked"] = {
        whose: {copy: measured.interval(copy, "auc") for copy in one.copies}
        for whose in ATTACKED
        for measured in [
            one if whose == settings.attacked else measure(system, one.labels, one.copies, one.draws, whose)
        ]
    }
    found["curves"] = {copy: curves(one.system, one.labels, i) for i, copy in enumerate(one.copies)}
    if system.present is not None:
        found["asked_of"] = dict(zip(one.copies, system.present.sum(axis=0).tolist(), strict=True))
    found["groups"] = []
    return found


def _figures_of(one: Measured, attacks: AttackSet) -> dict[str, Any]:
    worst = {figure: one.worst(figure, attacks.optional) for figure in WORST}
    return {
        "name": one.system.name,
        "figures": {copy: {figure: one.interval(copy, figure) for figure in FIGURES} for copy in one.copies},
        "worst": {figure: copy for figure, copy in worst.items() if copy is not None},
    }


def _chain_entry(chain: Chain, one: Measured, part: ScoreTable) -> dict[str, Any]:
    rule, fitted = chain.file.verdict, chain.file.fitted
    return {
        "digest": chain.digest,
        "thresholds": {"real_below": rule.real_below, "generated_above": rule.generated_above},
        "fitted": None if fitted is None else fitted.model_dump(mode="json", exclude_none=True),
        "refused": _shares(part.refused, part.labels, one.copies),
        "turned": _shares(part.turned, part.labels, one.copies),
        "changed": changed_verdicts(one.system, part.images, one.copies),
    }


def _shares(which: NDArray[np.bool_] | None, labels: Labels, copies: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the share of images, by copy and label, for which something holds; `which` (images, copies)."""
    held = np.zeros((len(labels), len(copies)), dtype=bool) if which is None else which
    words = [(word, labels == label) for label, word in enumerate(("real", "generated")) if (labels == label).any()]
    return {copy: {word: float(held[mask, i].mean()) for word, mask in words} for i, copy in enumerate(copies)}


def write_rows(path: Path, run: BenchRun, chains: Sequence[Chain], external: Sequence[System] = ()) -> None:
    """Write ``rows.parquet``, one row group for each system, member and attack.

    Columns: path, sha256, label, generator, source, collection, group, component, attack, chain, member (empty for
    the chain itself), score (a member's own; null for a chain), llr, probability (at even prior), verdict.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = run.joint.images
    facts = {
        "path": pa.array([image.path for image in images], pa.string()),
        "sha256": pa.array(run.joint.sha256, pa.string()),
        "label": pa.array([WORDS[1 if image.label else -1] for image in images], pa.string()),
    }
    for name in ("generator", "source", "collection", "group"):
        facts[name] = pa.array([getattr(image, name) for image in images], pa.string())
    facts["component"] = pa.array(run.joint.components, pa.int32())
    own = {
        **dict.fromkeys(("attack", "chain", "member"), pa.string()),
        **dict.fromkeys(("score", "llr", "probability"), pa.float64()),
        "verdict": pa.string(),
    }
    schema = pa.schema({**{name: values.type for name, values in facts.items()}, **own})
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=True) as writer:
        for columns in _blocks(run, chains, external):
            writer.write_table(pa.table([*facts.values(), *columns], schema=schema))
    os.replace(part, path)


def _blocks(run: BenchRun, chains: Sequence[Chain], external: Sequence[System]) -> Iterator[list[Any]]:
    for chain, table, name in zip(chains, run.tables, system_names(chains), strict=True):
        whole, members = chain_systems(chain, table, name)
        for copy, attack in enumerate(table.copies):
            yield _columns(whole, None, attack, copy, name, "")
            for place, member in enumerate(members):
                yield _columns(member, table.scores[:, copy, place], attack, copy, name, member.name)
    for system in external:
        for copy, attack in enumerate(run.joint.copies):
            yield _columns(system, None, attack, copy, system.name, "")


def _columns(system: System, scores: Any, attack: str, copy: int, chain: str, member: str) -> list[Any]:
    import pyarrow as pa

    count, values = len(system.values), system.values[:, copy]
    llr = values if system.calibrated else np.full(count, np.nan)
    own = scores if scores is not None else (np.full(count, np.nan) if system.calibrated else values)
    verdicts = [None] * count if system.verdicts is None else [WORDS[int(v)] for v in system.verdicts[:, copy]]
    words = [pa.array([word] * count, pa.string()) for word in (attack, chain, member)]
    numbers = [pa.array(column, pa.float64(), from_pandas=True) for column in (own, llr, sigmoid(llr))]
    return [*words, *numbers, pa.array(verdicts, pa.string())]


Mode: TypeAlias = Literal["new", "overwrite", "resume"]
JSON, ROWS, MARKDOWN, HTML, SCORES = "bench.json", "rows.parquet", "report.md", "report.html", "scores"


class BenchFolder:
    """A bench's folder: results, and under `SCORES` a cache of scores until the results are written.

    D2F004 where it holds what the mode does not allow, cannot be written, or another bench is writing to it.
    """

    def __init__(self, place: str | Path, mode: Mode) -> None:
        self.place = Path(place)
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(place, error) from error
        finished, scores = (self.place / JSON).exists(), (self.place / SCORES).exists()
        if mode == "new" and (finished or scores):
            notes = ("to continue: --resume",) * (not finished) + ("to replace it: --overwrite",)
            raise D2FError.of("D2F004", f"'{place}' already holds a bench", *notes)
        if mode == "resume" and finished and not scores:
            raise D2FError.of("D2F004", f"'{place}' holds a finished bench", "to replace it: --overwrite")
        self._lock = file_lock(self.place / JSON, wait=False)
        try:
            self._lock.__enter__()
        except BlockingIOError:
            raise D2FError.of("D2F004", f"another bench is writing to '{place}'") from None
        except OSError as error:
            raise cannot_write(place, error) from error
        if mode == "overwrite":
            # So that nobody takes the old result for that of a run that was killed.
            (self.place / JSON).unlink(missing_ok=True)
            shutil.rmtree(self.place / SCORES, ignore_errors=True)

    def cache(self) -> Cache:
        """Open the cache of this bench's scores."""
        return Cache(self.place / SCORES)

    def write(
        self,
        found: Mapping[str, Any],
        run: BenchRun,
        chains: Sequence[Chain],
        external: Sequence[System] = (),
        thumbnails: bool = False,
    ) -> None:
        """Write rows, reports and, last, bench.json; then delete the scores: everything in them stands elsewhere."""
        from d2f.evaluate.bench_report import markdown, page

        write_rows(self.place / ROWS, run, chains, external)
        write_whole(self.place / MARKDOWN, markdown(found))
        write_whole(self.place / HTML, page(found, thumbnails))
        write_result(self.place / JSON, found)
        shutil.rmtree(self.place / SCORES, ignore_errors=True)

    def close(self) -> None:
        """Unlock."""
        self._lock.__exit__(None, None, None)
        (self.place / f"{JSON}.lock").unlink(missing_ok=True)


def read_result(place: str) -> dict[str, Any]:
    """Read a result from its folder or from bench.json itself."""
    path = Path(place) / JSON if Path(place).is_dir() else Path(place)
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"there is no bench in '{place}'", "give its folder, or its bench.json") from None
    except (OSError, ValueError) as error:
        raise _strange(place, str(error)) from error
    if not isinstance(found, dict) or found.get("d2f_bench") != SCHEMA:
        raise _strange(place, f"not a bench.json of version {SCHEMA}")
    return found


def write_result(path: Path, found: Mapping[str, Any]) -> None:
    """Write bench.json; see `read_result`."""
    write_whole(path, json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


def _strange(place: str, why: str) -> D2FError:
    return D2FError.of("D2F006", f"'{place}' cannot be read: {why}", "d2f bench … -o DIR writes one")
