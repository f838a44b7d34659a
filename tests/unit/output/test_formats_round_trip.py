"""Every format gives back the rows that were written."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from base64 import b64decode
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.api.rows import Member, Row
from d2f.output import Format, Head, open_writer
from d2f.output.lines import columns, csv_fields, csv_record, flatten, members_of, unflatten
from tests.unit.output.made import BROKEN, GENERATED, HEAD, MEMBERS, NASTY_NAMES, NOT_UTF8, ROWS, named

RESUMABLE: tuple[Format, ...] = ("jsonl", "csv", "parquet")


def written(rows: tuple[Row, ...], format: Format, path: Path) -> Path:
    writer = open_writer(str(path), format, HEAD)
    for row in rows:
        writer.write(row)
    writer.close()
    return path


def read(format: Format, path: Path) -> list[Row]:
    rows: list[Row] = []
    open_writer(str(path), format, HEAD, "resume", rows.append).close()
    return rows


@pytest.mark.parametrize("format", RESUMABLE)
def test_rows_come_back(format: Format, tmp_path: Path) -> None:
    rows = ROWS + tuple(named(name) for name in NASTY_NAMES)
    assert read(format, written(rows, format, tmp_path / "rows")) == list(rows)


@pytest.mark.parametrize("format", RESUMABLE)
def test_no_row_leaves_what_can_be_resumed(format: Format, tmp_path: Path) -> None:
    path = written((), format, tmp_path / "rows")
    assert read(format, path) == []
    assert read(format, path) == []


def test_jsonl_has_the_documented_keys_in_order(tmp_path: Path) -> None:
    lines = written(ROWS, "jsonl", tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    keys = (
        "path, path_bytes, sha256, width, height, format, frames, probability, verdict, llr, notes, missing, "
        "disagreements, evidence, llr_provenance, probability_with_provenance, stages, chain, chain_digest, "
        "plugins, error"
    )
    assert all(", ".join(json.loads(line)) == keys for line in lines)
    assert list(json.loads(lines[0])["stages"][0]) == [
        *("detector", "view", "score", "probability", "contribution", "abstained", "error"),
        *("evidence", "seen"),
    ]
    assert json.loads(lines[3])["error"] == {"code": "D2F304", "message": "the image is damaged or truncated"}


def test_jsonl_first_line(tmp_path: Path) -> None:
    path = written((dataclasses.replace(GENERATED, stages=GENERATED.stages[:1]),), "jsonl", tmp_path / "rows.jsonl")
    assert path.read_text("utf-8") == (
        f'{{"path": "a.jpg", "path_bytes": null, "sha256": "{"ab" * 32}", '
        '"width": 4032, "height": 3024, "format": "JPEG", '
        '"frames": 1, "probability": 0.971, "verdict": "generated", "llr": 3.5, "notes": [], "missing": [], '
        '"disagreements": ["resnet: plain generated, denoised real", "noise: plain real, jpeg generated"], '
        '"evidence": [{"kind": "c2pa", "statement": "made by a generator", "source": "JPEG APP11", '
        '"trust": "valid; signer unknown", "llr": 6.9, "raw": "{\\"a\\": 1}"}], "llr_provenance": 6.9, '
        '"probability_with_provenance": 0.9999, "stages": [{"detector": "resnet", "view": "plain", "score": 3.2, '
        '"probability": 0.98, "contribution": 1.9, "abstained": null, "error": null, "evidence": null, "seen": null}], '
        f'"chain": "robust", "chain_digest": "{HEAD.digest}", "plugins": {{"d2f": "0.2.0", "d2f-toy": "1.0"}}, '
        '"error": null}\n'
    )


def test_csv_through_the_standard_reader(tmp_path: Path) -> None:
    path = written((*ROWS, named("two\nlines\r.jpg")), "csv", tmp_path / "rows.csv")
    with path.open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file, strict=True))
    assert list(records[0]) == list(columns(MEMBERS))
    assert len(records) == 5
    first, half, broken = records[0], records[2], records[3]
    assert float(first["resnet/denoised:score"]) == -0.1 - 0.2
    assert first["disagreements"] == "resnet: plain generated, denoised real; noise: plain real, jpeg generated"
    assert half["resnet/plain:error"] == "D2F401: ValueError: a, b: c"
    assert half["provenance/plain:abstained"] == "no manifest, no metadata"
    assert (broken["error_code"], broken["verdict"], broken["width"]) == ("D2F304", "", "")
    assert records[4]["path"] == "two\nlines\r.jpg"


def test_csv_header_stands_without_rows(tmp_path: Path) -> None:
    text = written((), "csv", tmp_path / "rows.csv").read_text("utf-8")
    assert text.startswith("path,path_bytes,sha256,width,height,format,frames,probability,verdict,llr,notes,missing,")
    assert text.endswith(",chain,chain_digest,plugins,error_code,error_message\n")


def test_parquet_through_pyarrow(tmp_path: Path) -> None:
    folder = written(ROWS, "parquet", tmp_path / "rows.parquet")
    assert [part.name for part in folder.iterdir()] == ["part-00000.parquet"]
    table = pyarrow.dataset.dataset(folder).to_table()
    assert table.to_pylist() == [{name: flatten(row).get(name) for name in columns(MEMBERS)} for row in ROWS]
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert (kinds["width"], kinds["llr"], kinds["disagreements"], kinds["provenance/plain:evidence"]) == (
        *("int32", "double", "string"),
        "string",
    )
    assert table.schema.metadata[b"d2f.chain_digest"].decode() == HEAD.digest


def test_parquet_schema_does_not_depend_on_the_rows(tmp_path: Path) -> None:
    full = pyarrow.parquet.read_schema(written(ROWS, "parquet", tmp_path / "full") / "part-00000.parquet")
    empty = pyarrow.parquet.read_schema(written((), "parquet", tmp_path / "empty") / "part-00000.parquet")
    bad = pyarrow.parquet.read_schema(written((BROKEN,), "parquet", tmp_path / "bad") / "part-00000.parquet")
    assert full == empty == bad


@pytest.mark.parametrize("format", RESUMABLE)
def test_a_name_that_is_not_utf8_is_spelled_alike_in_every_format(format: Format, tmp_path: Path) -> None:
    path = written((named(NOT_UTF8), named("café.jpg")), format, tmp_path / f"rows.{format}")
    if format == "jsonl":
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    elif format == "csv":
        records = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    else:
        records = pyarrow.dataset.dataset(path).to_table().to_pylist()
    assert [one["path"] for one in records] == ["caf\ufffd.jpg", "café.jpg"]
    assert b64decode(records[0]["path_bytes"]) == b"caf\xe9.jpg"
    assert not records[1]["path_bytes"]
    assert [row.path for row in read(format, path)] == [NOT_UTF8, "café.jpg"]


@pytest.mark.parametrize("format", RESUMABLE)
def test_what_is_not_finite_is_not_written(format: Format, tmp_path: Path) -> None:
    members = (Member("resnet", "plain", math.nan, 0.5, math.inf),)
    row = dataclasses.replace(GENERATED, llr=-math.inf, stages=members)
    path = written((row,), format, tmp_path / "rows")
    (back,) = read(format, path)
    assert (back.llr, back.stages) == (None, (Member("resnet", "plain", None, 0.5, None),))


def test_numpy_numbers_are_written_as_numbers(tmp_path: Path) -> None:
    import numpy as np

    row = dataclasses.replace(GENERATED, llr=np.float64(0.1), stages=(Member("resnet", "plain", np.float64(1) / 3),))
    for format in RESUMABLE:
        (back,) = read(format, written((row,), format, tmp_path / format))
        assert (back.llr, back.stages[0].score) == (0.1, 1 / 3)


def test_members_of_names_every_member() -> None:
    assert members_of(columns(MEMBERS)) == MEMBERS
    assert members_of(columns(())) == ()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=6))
def test_any_text_survives_csv(fields: list[str]) -> None:
    record = csv_record(fields)
    assert csv_fields(record) == fields
    assert record.endswith(b"\n")


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
members = st.builds(Member, st.just("d"), st.just("v"), numbers, numbers, numbers, texts, st.none(), texts)


@given(numbers, members)
def test_flat_rows_come_back(llr: float | None, member: Member) -> None:
    row = dataclasses.replace(GENERATED, llr=llr, stages=(member,))
    head = Head("c", "d", (("d", "v"),))
    flat = {name: flatten(row).get(name) for name in columns(head.members)}
    empty = member == Member("d", "v")
    assert unflatten(flat, head.members) == (dataclasses.replace(row, stages=()) if empty else row)
