"""Status, issues, history, events, flow, system, logs, backups, configuration: documents that core makes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leafbox.web.models.base import Asked, Severity, Told


class Issue(Told):
    """Something that is not as it should be."""

    code: str
    severity: Severity
    title: str
    cause: str = ""
    next_step: str = ""
    subject: str = Field(default="", description="What it is about: a stream, a listener, an uplink.")
    fix_label: str = Field(default="", description="Text of the button that mends it; empty: there is none.")
    since_s: float = 0


class Issues(Told):
    """All issues, worst first."""

    issues: list[Issue]
    checked_s: float = 0


class FixAsked(Asked):
    """Which of several issues of one code."""

    subject: str = ""


class FixDone(Told):
    """What was mended."""

    code: str
    message: str = ""


class Tile(Told):
    """One figure of the home page."""

    name: str
    label: str
    value: float | None = None
    unit: str = ""
    text: str = Field(default="", description="The value in words, ready to show.")
    detail: str = ""
    severity: Severity = "ok"
    series: str = Field(default="", description="Series of the history that belongs to it.")


class Status(Told):
    """The box in one sentence, with what is wrong and the four figures that matter."""

    sentence: str
    severity: Severity = "ok"
    issues: list[Issue] = []
    tiles: list[Tile] = []
    box_name: str = ""
    version: str = ""
    uptime_s: float = 0
    at_s: float = 0


class Series(Told):
    """One measured thing over time; a gap is null."""

    name: str
    label: str = ""
    unit: str = ""
    means: list[float | None]
    peaks: list[float | None] = []


class History(Told):
    """Values belong to `times_s`, oldest first."""

    span: str
    step_s: float
    times_s: list[float]
    series: list[Series]
    available: list[str] = Field(default=[], description="Names of all series there are.")


class BoxEvent(Told):
    """Something that happened."""

    at_s: float
    kind: str
    severity: Severity = "info"
    text: str
    subject: str = ""


class BoxEvents(Told):
    """What happened lately, newest first."""

    events: list[BoxEvent]


class FlowNode(Told):
    """A thing that data passes."""

    id: str
    kind: Literal["device", "client", "service", "stream", "uplink", "bridge", "box", "group"]
    label: str
    detail: str = ""
    severity: Severity = "ok"


class FlowEdge(Told):
    """Data on its way from one node to another."""

    source: str
    target: str
    messages_per_s: float = 0
    bytes_per_s: float = 0
    label: str = ""


class Flow(Told):
    """Who sends what to whom, now."""

    nodes: list[FlowNode]
    edges: list[FlowEdge]
    at_s: float = 0


class Disk(Told):
    """Flash: room and wear."""

    total_bytes: int | None = None
    free_bytes: int | None = None
    store_bytes: int | None = None
    written_bytes: int | None = Field(default=None, description="By the box since its start.")
    device_written_bytes: int | None = None
    life_used_percent: float | None = None
    device: str = ""


class System(Told):
    """The machine; null is not measurable here."""

    cpu_percent: float | None = Field(default=None, description="Of the server, in percent of one core.")
    machine_cpu_percent: float | None = Field(default=None, description="Of the machine, all cores.")
    cpu_count: int | None = None
    load_1m: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    core_rss_bytes: int | None = None
    web_rss_bytes: int | None = None
    temperature_c: float | None = None
    undervoltage: bool | None = None
    throttled: bool | None = None
    time_synchronised: bool | None = None
    time_s: float | None = None
    uptime_s: float | None = None
    hostname: str = ""
    machine: str = ""
    disk: Disk = Disk()
    versions: dict[str, str] = {}


class Backup(Told):
    """One backup file on the box."""

    id: str
    created_s: float
    size_bytes: int
    encrypted: bool = False
    state: Literal["running", "complete", "damaged", "unknown"] = "complete"
    detail: str = ""
    progress_percent: float | None = None


class Backups(Told):
    """Backups on the box, newest first."""

    backups: list[Backup]


class NewBackup(Asked):
    """A backup to be made; with a passphrase it is encrypted."""

    passphrase: str | None = Field(default=None, min_length=8, max_length=256)


class BackupKey(Asked):
    """What opens an encrypted backup."""

    passphrase: str | None = Field(default=None, max_length=256)


class BackupChecked(Told):
    """What a look into a backup found."""

    id: str
    sound: bool
    detail: str = ""
    restart_needed: bool = False


class LogLine(Told):
    """One line of the log."""

    at_s: float = 0
    level: str = "info"
    logger: str = ""
    text: str


class Logs(Told):
    """The newest lines, oldest first."""

    lines: list[LogLine]


class ConfigText(Told):
    """The configuration file as it is."""

    text: str
    path: str = Field(default="", description="Empty: the box runs without a file; applying makes one.")
    digest: str = ""
    writable: bool = True
    pending_revert_s: float = Field(
        default=0, description="Unix time at which the last apply is undone if nobody confirms; 0: nothing is pending."
    )
    previous: bool = Field(default=False, description="Whether an earlier text is kept that `revert` brings back.")


class ConfigGiven(Asked):
    """A configuration to look at."""

    text: str = Field(max_length=1_000_000)


class ConfigApply(Asked):
    """A configuration to put in force. `digest` is that of the text the editor started from."""

    text: str = Field(max_length=1_000_000)
    digest: str = ""
    confirm_within_s: float = Field(default=60, ge=5, le=600)


class ConfigFinding(Told):
    """What is wrong, and where."""

    line: int = 0
    column: int = 0
    severity: Severity = "critical"
    message: str
    suggestion: str = ""


class ConfigChecked(Told):
    """Whether a text can be used."""

    valid: bool
    findings: list[ConfigFinding] = []
    restart_needed: list[str] = Field(default=[], description="Changes that count only after a restart.")
    digest: str = ""


class ConfigDiff(Told):
    """Lines that differ, as `diff -u` writes them."""

    diff: str
    changed: bool
    added: int = 0
    removed: int = 0
