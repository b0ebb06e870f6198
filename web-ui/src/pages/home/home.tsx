// Home: one sentence, what is wrong with its fix, the figures that matter, the last hour.
import type { JSX } from "preact";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Issue, Status } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { duration } from "../../logic/format.ts";
import { link } from "../../router.ts";
import { may, needs, session } from "../../session.ts";
import { HistoryCard } from "../../ui/history_chart.tsx";
import { Icon, type IconName } from "../../ui/icons.tsx";
import { Badge, Button, Card, Loaded, Notice, PageHead, When } from "../../ui/parts.tsx";
import { TONES } from "../../ui/severity.ts";
import { toast } from "../../ui/toasts.tsx";

const EVENTS_SHOWN = 8;

export function Home(): JSX.Element {
  const status = useResource("GET /status", {}, { document: "status" });
  const found = status.value.value;
  return (
    <>
      <PageHead title={found?.box_name || session.value?.box_name || "Leafbox"}>{found && t("Version {version}, up for {time}", { version: found.version, time: duration(found.uptime_s) })}</PageHead>
      <Loaded resource={status}>
        {(value) => (
          <>
            <Sentence status={value} />
            <Issues issues={value.issues} />
            <Tiles status={value} />
          </>
        )}
      </Loaded>
      <HistoryCard title={t("Messages")} series={["messages_in", "messages_out"]} />
      <Happened />
    </>
  );
}

function Sentence({ status }: { status: Status }): JSX.Element {
  const tone = TONES[status.severity];
  const icon: IconName = tone === "bad" ? "bad" : tone === "warn" ? "warn" : "check";
  return (
    <section class="card hero-card" aria-live="polite">
      <div class="hero">
        <span class={`hero-mark ${tone}`}>
          <Icon name={icon} size={28} />
        </span>
        <h2 class="hero-words hero-sentence">{status.sentence}</h2>
      </div>
    </section>
  );
}

function Issues({ issues }: { issues: readonly Issue[] }): JSX.Element | null {
  if (issues.length === 0) return null;
  return (
    <section class="issue-list" aria-label={t("Issues")}>
      {issues.map((issue) => (
        <Notice key={`${issue.code}/${issue.subject}`} tone={TONES[issue.severity]} title={issue.title} actions={issue.fix_label && <FixButton issue={issue} />}>
          {issue.cause && <p>{issue.cause}</p>}
          {issue.next_step && <p>{issue.next_step}</p>}
          <p class="small soft">
            <code>{issue.code}</code>
            {issue.subject && ` · ${issue.subject}`}
          </p>
        </Notice>
      ))}
    </section>
  );
}

function FixButton({ issue }: { issue: Issue }): JSX.Element {
  const fix = async (): Promise<void> => {
    const done = await call("POST /issues/{code}/fix", { path: { code: issue.code }, body: { subject: issue.subject } });
    toast("ok", done.message || t("Fixed"));
  };
  return (
    <Button isSmall onPress={fix} isOff={!may("operator")} why={t(needs("operator"))}>
      {issue.fix_label}
    </Button>
  );
}

const TILE_LOOKS: Record<string, readonly [IconName, string]> = {
  devices: ["device", "devices"],
  messages: ["live", "live"],
  uplink: ["uplink", "uplink"],
  storage: ["stream", "streams"],
};

function Tiles({ status }: { status: Status }): JSX.Element {
  return (
    <section class="grid tiles" aria-label={t("Figures")}>
      {status.tiles.map((tile) => {
        const [icon, page] = TILE_LOOKS[tile.name] ?? TILE_LOOKS[tile.name.split("_")[0] ?? ""] ?? (["system", "system"] as const);
        return (
          <a key={tile.name} class="card tile" href={link([page])}>
            <span class="tile-name">
              <Icon name={icon} size={17} />
              {t(tile.label)}
            </span>
            <span class="tile-value">{tile.text || tile.value || "–"}</span>
            <span class="tile-note">{tile.severity === "ok" || tile.severity === "info" ? tile.detail : <Badge tone={TONES[tile.severity]}>{tile.detail}</Badge>}</span>
          </a>
        );
      })}
    </section>
  );
}

function Happened(): JSX.Element {
  const events = useResource("GET /happenings", { query: { limit: 20 } }, { on: ["events"], everyMs: 10_000 });
  return (
    <Card title={t("Lately")} actions={<a href={link(["records"], { tab: "events" })}>{t("All events")}</a>}>
      <Loaded resource={events}>
        {(value) =>
          value.events.length === 0 ? (
            <p class="soft">{t("Nothing has happened yet.")}</p>
          ) : (
            <ul class="stack-small">
              {value.events.slice(0, EVENTS_SHOWN).map((event) => (
                <li key={`${event.at_s}${event.text}`} class="row">
                  <span class="soft small number">
                    <When at={event.at_s * 1000} />
                  </span>
                  {event.severity !== "info" && event.severity !== "ok" && <Badge tone={TONES[event.severity]}>{t(event.severity)}</Badge>}
                  <span>{event.text}</span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Card>
  );
}
