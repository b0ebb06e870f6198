"""Documents that core makes about the box: status, issues, history, flow, system, logs, backups, configuration."""

from __future__ import annotations

import os
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import Path, Query, Request
from starlette.responses import FileResponse, StreamingResponse

from leafbox.web.accounts import AccountName
from leafbox.web.box import box_of
from leafbox.web.core import LONG_TIMEOUT_S
from leafbox.web.events import MEDIA_TYPE, event_stream, tail_events
from leafbox.web.models.box import (
    Backup,
    BackupChecked,
    BackupKey,
    Backups,
    BoxEvents,
    ConfigApply,
    ConfigChecked,
    ConfigDiff,
    ConfigGiven,
    ConfigText,
    FixAsked,
    FixDone,
    Flow,
    History,
    Issues,
    Logs,
    NewBackup,
    Status,
    System,
)
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import Responses, filled, may, resource, told

router = resource("box")

LEVELS = ["debug", "info", "warning", "error"]

Code = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
BackupId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
EVENTS: Responses = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "Server-sent events."}
}


@router.get("/status", operation_id="get_status", dependencies=may("viewer", "status"))
async def get_status(request: Request) -> Status:
    """How the box is, in one sentence and four figures."""
    return told(Status, await box_of(request).core.document("status.get"))


@router.get("/issues", operation_id="list_issues", dependencies=may("viewer", "issues"))
async def list_issues(request: Request) -> Issues:
    """What is not as it should be."""
    return told(Issues, await box_of(request).core.document("issues.list"))


@router.post(
    "/issues/{code}/fix", operation_id="fix_issue", dependencies=may("operator", "issues"), responses=documented(404)
)
async def fix_issue(request: Request, code: Code, given: FixAsked | None = None) -> FixDone:
    """Mend an issue that offers it."""
    body = {"code": code, "subject": given.subject if given else ""}
    found = await box_of(request).core.request("issues.fix", body, LONG_TIMEOUT_S)
    return told(FixDone, {"code": code, **found})


@router.get("/history", operation_id="get_history", dependencies=may("viewer", "history"))
async def get_history(
    request: Request,
    series: Annotated[list[str] | None, Query(max_length=64, description="Names of series; none: all.")] = None,
    span: Literal["1h", "24h", "30d"] = "1h",
) -> History:
    """Measurements over time: 1 h by seconds, 24 h by minutes, 30 d by hours."""
    names = [name for each in series or [] for name in each.split(",") if name]
    found = await box_of(request).core.document("history.get", {"series": names, "span": span})
    return told(History, {"span": span, **found})


@router.get("/flow", operation_id="get_flow", dependencies=may("viewer", "flow"))
async def get_flow(request: Request, account: AccountName) -> Flow:
    """Who sends what to whom, now."""
    return await box_of(request).events.flow(account)


@router.get("/system", operation_id="get_system", dependencies=may("viewer", "system"))
async def get_system(request: Request) -> System:
    """The machine."""
    found = await box_of(request).core.document("system.get")
    return told(System, {**found, "web_rss_bytes": resident_bytes()})


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(FilePath("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@router.get("/logs", operation_id="list_logs", dependencies=may("operator", "logs"), tags=["logs"])
async def list_logs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
    level: Literal["debug", "info", "warning", "error"] | None = None,
) -> Logs:
    """The newest lines of the log. They may name users and addresses, so viewers do not get them."""
    levels = [] if level is None else LEVELS[LEVELS.index(level) :]
    return told(Logs, await box_of(request).core.request("logs.list", {"limit": limit, "levels": levels}))


@router.get(
    "/logs/tail", operation_id="tail_logs", dependencies=may("operator", "logs"), tags=["logs"], responses=EVENTS
)
async def tail_logs(request: Request) -> StreamingResponse:
    """New lines as events named `log`."""
    return event_stream(request, tail_events(request, "logs", "log"))


@router.get("/happenings", operation_id="list_happenings", dependencies=may("viewer", "status"))
async def list_happenings(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> BoxEvents:
    """What happened lately: starts, issues that came and went, uplinks, logins refused."""
    return told(BoxEvents, await box_of(request).core.request("events.list", {"limit": limit}))


@router.get("/backups", operation_id="list_backups", dependencies=may("admin", "backups"), tags=["backups"])
async def list_backups(request: Request) -> Backups:
    """Backups on the box."""
    return told(Backups, await box_of(request).core.request("backup.list"))


@router.post(
    "/backups", operation_id="create_backup", status_code=201, dependencies=may("admin", "backups"), tags=["backups"]
)
async def create_backup(request: Request, given: NewBackup | None = None) -> Backup:
    """Make a backup while the box works."""
    body = filled(passphrase=given.passphrase if given else None)
    return told(Backup, await box_of(request).core.request("backup.create", body, LONG_TIMEOUT_S))


@router.get(
    "/backups/{id}",
    operation_id="download_backup",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **documented(404)},
    dependencies=may("admin", "backups"),
    tags=["backups"],
)
async def download_backup(request: Request, id: BackupId) -> FileResponse:
    """The file of a backup."""
    found = await box_of(request).core.request("backup.path", {"id": id})
    path = FilePath(str(found["path"]))
    if not path.is_file():  # noqa: ASYNC240 - one look at a local file.
        raise Refusal(404, "not_found", f"There is no backup {id}.", "Reload the list.")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.post(
    "/backups/{id}/verify",
    operation_id="verify_backup",
    dependencies=may("admin", "backups"),
    tags=["backups"],
    responses=documented(404),
)
async def verify_backup(request: Request, id: BackupId, given: BackupKey | None = None) -> BackupChecked:
    """Read all of a backup and check it."""
    body = filled(id=id, passphrase=given.passphrase if given else None)
    return told(BackupChecked, {"id": id, **await box_of(request).core.request("backup.verify", body, LONG_TIMEOUT_S)})


@router.post(
    "/backups/{id}/restore",
    operation_id="restore_backup",
    dependencies=may("admin", "backups"),
    tags=["backups"],
    responses=documented(404),
)
async def restore_backup(request: Request, id: BackupId, given: BackupKey | None = None) -> BackupChecked:
    """Put a backup in place of what the box holds now."""
    body = filled(id=id, passphrase=given.passphrase if given else None)
    found = await box_of(request).core.request("backup.restore", body, LONG_TIMEOUT_S)
    return told(BackupChecked, {"id": id, **found})


@router.get("/config", operation_id="get_config", dependencies=may("admin", "config"), tags=["config"])
async def get_config(request: Request) -> ConfigText:
    """The configuration file. It may hold secrets, so only administrators see it."""
    return told(ConfigText, await box_of(request).core.request("config.get"))


@router.post("/config/check", operation_id="check_config", dependencies=may("admin", "config"), tags=["config"])
async def check_config(request: Request, given: ConfigGiven) -> ConfigChecked:
    """Whether a text can be used, else where it cannot and why."""
    return told(ConfigChecked, await box_of(request).core.request("config.check", {"text": given.text}))


@router.post("/config/diff", operation_id="diff_config", dependencies=may("admin", "config"), tags=["config"])
async def diff_config(request: Request, given: ConfigGiven) -> ConfigDiff:
    """What a text changes."""
    return told(ConfigDiff, await box_of(request).core.request("config.diff", {"text": given.text}))


@router.post(
    "/config/apply",
    operation_id="apply_config",
    dependencies=may("admin", "config"),
    tags=["config"],
    responses=documented(409),
)
async def apply_config(request: Request, given: ConfigApply) -> ConfigText:
    """Put a text in force; it is undone by itself unless `POST config/confirm` follows in time."""
    body = {"text": given.text, "digest": given.digest, "confirm_within_s": given.confirm_within_s}
    return told(ConfigText, await box_of(request).core.request("config.apply", body))


@router.post(
    "/config/confirm",
    operation_id="confirm_config",
    dependencies=may("admin", "config"),
    tags=["config"],
    responses=documented(409),
)
async def confirm_config(request: Request) -> ConfigText:
    """Keep what was applied."""
    return told(ConfigText, await box_of(request).core.request("config.confirm"))


@router.post(
    "/config/revert",
    operation_id="revert_config",
    dependencies=may("admin", "config"),
    tags=["config"],
    responses=documented(409),
)
async def revert_config(request: Request) -> ConfigText:
    """Go back to the text before the last apply."""
    return told(ConfigText, await box_of(request).core.request("config.revert"))


@router.get(
    "/events", operation_id="watch_events", dependencies=may("viewer", "status"), tags=["events"], responses=EVENTS
)
async def watch_events(request: Request) -> StreamingResponse:
    """Everything a page shows, as it changes: events `status`, `issues`, `connections`, `uplinks`, `devices`, ..."""
    return event_stream(request, box_of(request).events.watch(request))
