// What was written down: logs, events of the box, and the audit of every change.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { address, call } from "../../api/client.ts";
import { tail } from "../../api/events.ts";
import { useResource } from "../../api/resource.ts";
import type { AuditEntry, LogLine } from "../../api/types.ts";
import { moment, t } from "../../i18n/i18n.ts";
import { link, place } from "../../router.ts";
import { may } from "../../session.ts";
import { SelectField, TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Loaded, PageHead, Tabs, When } from "../../ui/parts.tsx";
import { saveText } from "../../ui/save.ts";
import { TONES } from "../../ui/severity.ts";
import { Table } from "../../ui/table.tsx";
import { toastProblem } from "../../ui/toasts.tsx";

const LINES_MAX = 1000;
const AUDIT_PAGE = 200;
const LEVELS = ["debug", "info", "warning", "error"] as const;
type Level = (typeof LEVELS)[number];

export function Records(): JSX.Element {
  const tab = place.value.query.get("tab") ?? "events";
  return (
    <>
      <PageHead title={t("Logs and audit")} />
      <Tabs
        label={t("Kinds of records")}
        current={tab}
        items={[
          ["events", t("Events"), link(["records"], { tab: "events" })],
          ...(may("operator") ? ([["logs", t("Logs"), link(["records"], { tab: "logs" })]] as const) : []),
          ...(may("admin") ? ([["audit", t("Audit"), link(["records"], { tab: "audit" })]] as const) : []),
        ]}
      />
      {tab === "events" && <Events />}
      {tab === "logs" && <Logs />}
      {tab === "audit" && <Audit />}
    </>
  );
}

function Events(): JSX.Element {
  const events = useResource("GET /happenings", { query: { limit: 500 } }, { on: ["events"], everyMs: 5000 });
  return (
    <Card title={t("Events")}>
      <Loaded resource={events}>
        {(value) => (
          <Table
            name={t("Events")}
            rows={value.events}
            rowKey={(event) => `${event.at_s}${event.kind}${event.text}`}
            isDescending
            empty={<p class="soft">{t("Nothing has happened yet.")}</p>}
            columns={[
              { name: t("When"), cell: (event) => event.at_s, show: (event) => <When at={event.at_s * 1000} /> },
              { name: t("Severity"), cell: (event) => event.severity, show: (event) => <Badge tone={TONES[event.severity]}>{t(event.severity)}</Badge> },
              { name: t("Kind"), cell: (event) => event.kind },
              { name: t("What happened"), cell: (event) => event.text },
              { name: t("About"), cell: (event) => event.subject },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

const LEVEL_CLASSES: Record<string, string> = { warning: "warn", error: "bad", critical: "bad" };

function lineOf(line: LogLine): string {
  return `${moment(line.at_s * 1000)}  ${line.level.toUpperCase().padEnd(7)} ${line.logger}  ${line.text}`;
}

function Logs(): JSX.Element {
  const [level, setLevel] = useState<Level>("info");
  const [filter, setFilter] = useState("");
  const [isFollowing, setFollowing] = useState(true);
  const logs = useResource("GET /logs", { query: { level, limit: 500 } });
  const [fresh, setFresh] = useState<readonly LogLine[]>([]);
  useEffect(() => {
    setFresh([]);
    if (!isFollowing) return;
    return tail(
      address("GET /logs/tail"),
      (data) => setFresh((before) => [...before, data as LogLine].slice(-LINES_MAX)),
      () => undefined,
    );
  }, [isFollowing, level]);
  const rank = (name: string): number => LEVELS.indexOf((name === "critical" ? "error" : name) as Level);
  const shown = [...(logs.value.value?.lines ?? []), ...fresh.filter((line) => rank(line.level) >= rank(level))].map((line) => ({ line, text: lineOf(line) })).filter(({ text }) => text.toLowerCase().includes(filter.toLowerCase()));
  const actions = (
    <>
      <Button icon={isFollowing ? "pause" : "play"} isSmall onPress={() => setFollowing(!isFollowing)}>
        {isFollowing ? t("Pause") : t("Follow")}
      </Button>
      <Button icon="download" isSmall onPress={() => saveText("leafbox.log", "text/plain", shown.map(({ text }) => `${text}\n`).join(""))}>
        {t("Save")}
      </Button>
    </>
  );
  return (
    <Card title={t("Logs")} actions={actions}>
      <div class="form-row">
        <SelectField label={t("From level")} value={level} onChange={setLevel} options={LEVELS.map((each) => [each, t(each)] as const)} />
        <TextField label={t("Only lines with")} type="search" value={filter} onChange={setFilter} />
      </div>
      <Loaded resource={logs}>
        {() => (
          <div class="log" tabIndex={0} role="log" aria-live="off" aria-label={t("Logs")}>
            {shown.length === 0 && <span class="soft">{t("No lines.")}</span>}
            {[...shown].reverse().map(({ line, text }, index) => (
              <div key={`${line.at_s}-${index}`} class={LEVEL_CLASSES[line.level] ?? ""}>
                {text}
              </div>
            ))}
          </div>
        )}
      </Loaded>
    </Card>
  );
}

function Audit(): JSX.Element {
  const newest = useResource("GET /audit", { query: { limit: AUDIT_PAGE } }, { everyMs: 5000 });
  const [older, setOlder] = useState<readonly AuditEntry[]>([]);
  const [hasMore, setHasMore] = useState<boolean | null>(null);
  return (
    <Card title={t("Audit")}>
      <p class="soft">{t("Every change anybody made over this page or the API: who, what, from where, and how it ended.")}</p>
      <Loaded resource={newest}>
        {(value) => {
          const seen = new Set(value.entries.map((entry) => entry.id));
          const entries = [...value.entries, ...older.filter((entry) => !seen.has(entry.id))];
          const more = async (): Promise<void> => {
            try {
              const found = await call("GET /audit", { query: { limit: AUDIT_PAGE, before: entries.at(-1)?.id ?? 0 } });
              setOlder([...older, ...found.entries]);
              setHasMore(found.has_more);
            } catch (error) {
              toastProblem(error);
            }
          };
          return (
            <>
              <AuditTable entries={entries} />
              {(hasMore ?? value.has_more) && (
                <div>
                  <Button isSmall onPress={more}>
                    {t("Older ones")}
                  </Button>
                </div>
              )}
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}

function AuditTable({ entries }: { entries: readonly AuditEntry[] }): JSX.Element {
  return (
    <Table
      name={t("Audit")}
      rows={entries}
      rowKey={(entry) => entry.id}
      isDescending
      empty={<p class="soft">{t("Nothing has been changed yet.")}</p>}
      columns={[
        { name: t("When"), cell: (entry) => entry.at_s, show: (entry) => <When at={entry.at_s * 1000} /> },
        { name: t("Who"), cell: (entry) => entry.who, show: (entry) => <span class="row">{entry.who}{entry.via && <Badge>{t(entry.via)}</Badge>}</span> },
        { name: t("What"), cell: (entry) => entry.action, show: (entry) => <code>{entry.action}</code> },
        { name: t("About"), cell: (entry) => entry.target },
        { name: t("From"), cell: (entry) => entry.ip },
        { name: t("Outcome"), cell: (entry) => entry.status, show: (entry) => <Badge tone={entry.status >= 400 ? "bad" : entry.status ? "ok" : "soft"}>{entry.outcome || entry.status || t("not known")}</Badge> },
      ]}
    />
  );
}
