"""The routes of `d2f serve`: pictures in, rows out, and a page that shows them.

A request passes the guard (`guard.py`: who may ask, how much), its pictures are read (`uploads.py`), wait for a worker
process (`batching.py`), and their rows are the answer. `server.py` starts and ends it all.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from importlib.resources import files
from typing import Annotated, Any, BinaryIO, TypeAlias
from urllib.parse import parse_qs

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from d2f.api.rows import Row
from d2f.chain.chain import Chain
from d2f.chain.words import legend, reasons, sentence, stage_titles
from d2f.explain.explain import MapChoice
from d2f.output.lines import json_line
from d2f.serve.batching import Batcher
from d2f.serve.explaining import Told
from d2f.serve.guard import COOKIE, SESSION_SECONDS, Refused, error_body, is_token, json_bytes, session_cookie
from d2f.serve.jobs import ENDED, ImageJob, Jobs, job_report
from d2f.serve.metrics import CONTENT_TYPE, Metrics
from d2f.serve.settings import ServeSettings
from d2f.serve.shapes import ChainAnswer, ErrorAnswer, Health, JobAnswer, JudgeAnswer, RefusedRows
from d2f.serve.uploads import read_uploads
from d2f.version import __version__

STATUS_OF = {"D2F302": 422, "D2F303": 415, "D2F304": 422, "D2F305": 413, "D2F306": 413, "D2F410": 504}
"""Status of a single picture without a result; else 422 where the picture is at fault, 500 where a stage is."""

PAGE = {"": "index.html", "app.js": "app.js", "app.css": "app.css"}
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
FAILED_SIGN_INS = 10
"""Wrong tokens a minute; then nobody signs in for the rest of it."""

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
JOB_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {
                "schema": {"type": "object", "required": ["folder"], "properties": {"folder": {"type": "string"}}}
            },
        },
    }
}
TICK = 0.2
"""Seconds between two looks at a job that somebody follows."""

QUIET_TICKS = 50
LONGEST_ORDER = 2**16
"""Bytes of the body that names a folder."""

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""Of a report: its style stands in the page, and it has no script."""

Responses: TypeAlias = dict[int | str, dict[str, Any]]
REFUSALS: Responses = {
    400: {"model": ErrorAnswer, "description": "Not understood."},
    401: {"model": ErrorAnswer, "description": "A token is needed."},
    403: {"model": ErrorAnswer, "description": "This host or origin may not ask."},
    408: {"model": ErrorAnswer, "description": "The body did not arrive in time."},
    429: {"model": ErrorAnswer, "description": "Too many requests at once."},
    503: {
        "model": ErrorAnswer,
        "description": "The queue is full, too many connections are open, or the server is about to end.",
    },
}
JUDGED: Responses = {
    **REFUSALS,
    413: {"model": RefusedRows, "description": "Too many bytes, pixels or pictures."},
    415: {"model": RefusedRows, "description": "Not an image."},
    422: {"model": RefusedRows, "description": "A damaged image, or a form without a file."},
    500: {"model": RefusedRows, "description": "A stage of the chain failed."},
    504: {"model": RefusedRows, "description": "It took longer than allowed."},
}


def make_app(batcher: Batcher, jobs: Jobs, settings: ServeSettings, metrics: Metrics) -> FastAPI:
    """Return the application, without its guard."""
    app = FastAPI(
        title="d2f",
        version=__version__,
        description="Tells AI-generated images from photographs. Rows are those of `d2f chain run --format jsonl`.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    chain, titles = batcher.chain, stage_titles(batcher.chain)
    told = _told_of(chain, settings, titles)

    @app.post("/v1/judge", response_model=JudgeAnswer, responses=JUDGED, openapi_extra=BODY)
    async def judge(
        request: Request,
        name: Annotated[str, Query(max_length=4096, description="Name of a picture that is sent as bytes.")] = "",
        words: Annotated[bool, Query(description="Whether each row is also put into words.")] = False,
        explain: Annotated[bool, Query(description="Whether maps, views and the report are made too.")] = False,
        maps: Annotated[
            MapChoice, Query(description="Which maps; auto: those that were measured to help for this chain.")
        ] = "auto",
    ) -> Response:
        """Judge one picture or several.

        Several pictures: status 200, and errors in their rows. One: its row's error has a status of its own.
        """
        kind = request.headers.get("content-type", "")
        uploads = await read_uploads(kind, request.stream(), settings.limits, name)
        futures: list[Future[Any]] = []
        try:
            futures += (batcher.submit(upload) for upload in uploads)
            futures += (batcher.explain(upload, maps) for upload in uploads if explain)
            found = await _finished(futures, request, settings.limits.seconds)
        finally:
            for future in futures:
                future.cancel()
        rows, explanations = found[: len(uploads)], found[len(uploads) :]
        for row in rows:
            metrics.made(row)
        return _answer(rows, titles if words else None, explanations)

    @app.get("/v1/chain", response_model=ChainAnswer, responses={code: REFUSALS[code] for code in (401, 403)})
    async def about() -> Response:
        """Tell what is served: chain, digests, thresholds, error rates, limits."""
        return JSONResponse(told)

    @app.get("/healthz", response_model=Health)
    async def healthz() -> Response:
        """Tell that the process runs."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", response_model=Health, responses={503: {"model": ErrorAnswer}})
    async def readyz() -> Response:
        """Tell whether pictures are judged now."""
        if not batcher.processes or app.state.draining:
            raise Refused(503, "D2F706", "the server is about to end" if batcher.processes else "no process is ready")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=Response, include_in_schema=False)
    async def figures() -> Response:
        """Tell the figures of this server, for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    app.state.draining = False
    _add_jobs(app, jobs, chain)
    _add_page(app, settings)
    _add_errors(app)
    return app


async def _finished(futures: Sequence[Future[Any]], request: Request, seconds: float) -> list[Any]:
    """Wait for rows and explanations, as long as somebody waits for them and the time allows."""
    rows = asyncio.gather(*map(asyncio.wrap_future, futures))
    rows.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # one that nobody waits for any more
    gone = asyncio.ensure_future(_gone(request))
    either: set[asyncio.Future[Any]] = {rows, gone}
    try:
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not rows.done():
            rows.cancel()
    if rows in done:
        return list(await rows)
    if gone in done:
        raise ClientDisconnect
    raise Refused(504, "D2F707", f"no answer within {seconds:g} s", "ask again later, or send fewer pictures")


async def _gone(request: Request) -> None:
    """Return once the client has closed its connection, or its half of it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(rows: Sequence[Row], titles: Mapping[str, str] | None, explanations: Sequence[Told]) -> Response:
    """Return rows as they are written elsewhere; of a single one without a result, with the status that says why."""
    parts = [b'"rows": [' + b", ".join(json_line(row)[:-1] for row in rows) + b"]"]
    if titles is not None:
        said = [{"sentence": sentence(row), "reasons": list(reasons(row, titles))} for row in rows]
        parts.append(b'"words": ' + json_bytes(said))
    if explanations:
        parts.append(b'"explanations": ' + json_bytes(explanations))
    status = 200
    if len(rows) == 1 and (failure := rows[0].error) is not None:
        status = STATUS_OF.get(failure.code, 422 if failure.code.startswith(("D2F3", "D2F41")) else 500)
        error = {"code": failure.code, "message": failure.message, "notes": []}
        parts.append(b'"error": ' + json_bytes(error))
    return Response(b"{" + b", ".join(parts) + b"}", status, media_type="application/json")


def _told_of(chain: Chain, settings: ServeSettings, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return what `/v1/chain` answers."""
    rule, fitted = chain.file.verdict, chain.file.fitted
    return {
        "name": chain.name,
        "description": chain.file.description,
        "digest": chain.digest,
        "prior": chain.prior,
        "real_below": rule.real_below,
        "generated_above": rule.generated_above,
        "false_positive_rate": rule.false_positive_rate,
        "miss_rate": rule.miss_rate,
        "fitted": fitted.model_dump(mode="json", exclude_none=True) if fitted is not None else None,
        "titles": dict(titles),
        "legend": list(legend(chain)),
        "plugins": dict(chain.plan.plugins),
        "limits": settings.limits.model_dump(),
        "jobs_of_folders": settings.root is not None,
        "version": __version__,
    }


def _add_jobs(app: FastAPI, jobs: Jobs, chain: Chain) -> None:
    """Add the routes of jobs."""
    refused: Responses = {**REFUSALS, **{code: {"model": ErrorAnswer} for code in (404, 413, 415, 422)}}
    asked: Responses = {code: REFUSALS[code] for code in (401, 403)}
    unknown: Responses = {**asked, 404: {"model": ErrorAnswer}}

    @app.post("/v1/jobs", response_model=JobAnswer, status_code=202, openapi_extra=JOB_BODY, responses=refused)
    async def begin(
        request: Request, name: Annotated[str, Query(max_length=4096, description="Name of the archive.")] = "archive"
    ) -> Response:
        """Judge an archive that is sent as bytes, or a folder below the server's root: ``{"folder": "…"}``."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
            job = jobs.of_folder(await _folder_named(request))
        else:
            job = await jobs.of_archive(name, request.stream())
        return JSONResponse(job.told(), 202, {"location": f"/v1/jobs/{job.id}"})

    @app.get("/v1/jobs", response_model=list[JobAnswer], responses=asked)
    async def all_jobs() -> Response:
        """List the jobs, the oldest first."""
        return JSONResponse([job.told() for job in jobs.all])

    @app.get("/v1/jobs/{id}", response_model=JobAnswer, responses=unknown)
    async def one(id: str) -> Response:
        """Tell how far a job is."""
        return JSONResponse(jobs.find(id).told())

    @app.delete("/v1/jobs/{id}", status_code=204, response_class=Response, responses=unknown)
    async def delete(id: str) -> Response:
        """Cancel a job, and forget it and its rows."""
        jobs.delete(jobs.find(id))
        return Response(status_code=204)

    @app.get("/v1/jobs/{id}/events", response_class=StreamingResponse, responses=unknown)
    async def events(id: str) -> Response:
        """Tell how far a job is whenever that changes, as server-sent events, until it has ended."""
        return StreamingResponse(_progress(jobs.find(id), jobs), media_type="text/event-stream")

    @app.get("/v1/jobs/{id}/rows", response_class=StreamingResponse, responses=unknown)
    async def rows(id: str) -> Response:
        """Return the rows so far, as `d2f chain run --format jsonl` writes them."""
        try:
            file = jobs.find(id).rows.open("rb")
        except FileNotFoundError:
            return Response(b"", media_type="application/jsonl")
        size = os.fstat(file.fileno()).st_size
        headers = {"content-length": str(size), "content-disposition": 'attachment; filename="rows.jsonl"'}
        return StreamingResponse(_up_to(file, size), media_type="application/jsonl", headers=headers)

    shown: Responses = {200: {"content": {"text/html": {}}}, **unknown}

    @app.get("/v1/jobs/{id}/report", response_class=Response, responses=shown)
    async def report(id: str) -> Response:
        """Return the rows so far as a page that is complete in itself."""
        text = await asyncio.to_thread(job_report, jobs.find(id), chain)
        return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})


def _up_to(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the first bytes of a file, which may grow meanwhile."""
    with file:
        while chunk := file.read(min(size, 2**16)):
            size -= len(chunk)
            yield chunk


async def _folder_named(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_ORDER:
            raise Refused(413, "D2F704", f"a job of a folder has {LONGEST_ORDER} bytes at most")
    try:
        told = json.loads(body)
        folder = told["folder"]
    except (ValueError, TypeError, KeyError, RecursionError):
        folder = None
    if not isinstance(folder, str):
        raise Refused(422, "D2F703", 'a job of a folder is {"folder": "name below the root"}')
    return folder


async def _progress(job: ImageJob, jobs: Jobs) -> AsyncIterator[str]:
    """Yield the state of a job as events, and a comment now and then, so that a lost client is noticed."""
    last, quiet = None, 0
    while True:
        told = job.told()
        if told != last:
            last, quiet = told, 0
            yield f"event: progress\ndata: {json.dumps(told)}\n\n"
        elif quiet >= QUIET_TICKS:
            quiet = 0
            yield ": still here\n\n"
        if told["state"] in ENDED or jobs.closed or job.cancelled.is_set():
            return
        quiet += 1
        await asyncio.sleep(TICK)


def _add_page(app: FastAPI, settings: ServeSettings) -> None:
    """Add the page, which is static, and the sign-in form where there is a token."""
    folder = files("d2f.serve") / "page"
    for path, file in PAGE.items():
        kind = TYPES[file.rpartition(".")[2]]
        content = (folder / file).read_bytes()
        app.add_api_route(f"/{path}", _static(content, kind), methods=["GET"], include_in_schema=False)
    if settings.token is None:
        return
    form, token = (folder / "signin.html").read_text("utf-8"), settings.token.get_secret_value()
    failed: deque[float] = deque(maxlen=FAILED_SIGN_INS)

    @app.get("/signin", include_in_schema=False)
    async def ask() -> Response:
        return HTMLResponse(form.replace("{{wrong}}", ""))

    @app.post("/signin", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        now = time.time()
        if len(failed) == FAILED_SIGN_INS and failed[0] > now - 60:
            raise Refused(429, "D2F705", "too many wrong tokens", "wait a minute", headers=[("retry-after", "60")])
        given = parse_qs((await request.body()).decode("latin-1")).get("token", [""])[0]
        if not is_token(token, given):
            failed.append(now)
            return HTMLResponse(form.replace("{{wrong}}", "That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        cookie = session_cookie(token, now)
        answer.set_cookie(COOKIE, cookie, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
        return answer


def _static(content: bytes, kind: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _add_errors(app: FastAPI) -> None:
    """Answer every error as JSON with a code of d2f."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return Response(error_body(error), error.status, dict(error.headers), "application/json")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = " ".join(map(str, first["loc"]))
        return await refused(request, Refused(422, "D2F703", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        words = f"{request.method} {request.url.path[:100]}: {error.detail}"
        found = [route for route in app.routes if isinstance(route, Route) and route.path_regex.match(request.url.path)]
        methods = sorted({method for route in found for method in route.methods or ()})
        headers = [("allow", ", ".join(methods))] if error.status_code == 405 else []
        return await refused(
            request, Refused(error.status_code, "D2F703", words, "see /v1/openapi.json", headers=headers)
        )

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)
