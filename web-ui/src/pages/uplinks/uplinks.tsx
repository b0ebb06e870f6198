// Uplink: whether data reaches the hub, what waits, what happened when it did not.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Outage, Uplink, UplinkState, UplinkTest } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, count, duration, short } from "../../logic/format.ts";
import { link } from "../../router.ts";
import { may, needs } from "../../session.ts";
import { useMaking } from "../../ui/collection.tsx";
import { Confirm, Dialog } from "../../ui/dialog.tsx";
import { HistoryCard } from "../../ui/history_chart.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Badge, Button, Card, Code, Empty, Facts, Loaded, Notice, PageHead, Waiting, When } from "../../ui/parts.tsx";
import { TONES } from "../../ui/severity.ts";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Bridges } from "./bridges.tsx";
import { NewUplink } from "./new_uplink.tsx";

export function Uplinks(): JSX.Element {
  const uplinks = useResource("GET /uplinks", {}, { document: "uplinks" });
  const { button: add, dialog } = useMaking(t("Link to a hub"), "admin", NewUplink, uplinks.reload);
  return (
    <>
      <PageHead title={t("Uplink")} actions={add}>
        {t("What is stored here travels to the hub as soon as the line allows, once and in order. The state below is what flows, not whether a cable is plugged in.")}
      </PageHead>
      <Loaded resource={uplinks}>
        {(value) =>
          value.uplinks.length === 0 ? (
            <Card>
              <Empty icon="uplink" title={t("No hub yet")} action={add}>
                {t("This box works by itself. Link it to a nats-server elsewhere when its data should travel on.")}
              </Empty>
            </Card>
          ) : (
            <>
              {value.uplinks.map((uplink) => (
                <OneUplink key={uplink.name} uplink={uplink} onChanged={uplinks.reload} />
              ))}
              <HistoryCard title={t("Waiting for the hub")} series={["backlog"]} />
            </>
          )
        }
      </Loaded>
      <Bridges />
      {dialog}
    </>
  );
}

type Asked = "test" | "snippet" | "remove" | null;

function OneUplink({ uplink, onChanged }: { uplink: Uplink; onChanged: () => Promise<void> }): JSX.Element {
  const [asked, setAsked] = useState<Asked>(null);
  const isOff = !may("operator");
  const why = t(needs("operator"));
  const act = (action: "pause" | "resume" | "drain") => async (): Promise<void> => {
    await call("POST /uplinks/{name}/{action}", { path: { name: uplink.name, action } });
    await onChanged();
  };
  const isPaused = uplink.state === "paused";
  const actions = (
    <>
      <Button icon="check" isSmall onPress={() => setAsked("test")} isOff={isOff} why={why}>
        {t("Test")}
      </Button>
      <Button icon={isPaused ? "play" : "pause"} isSmall onPress={act(isPaused ? "resume" : "pause")} isOff={isOff} why={why}>
        {isPaused ? t("Go on") : t("Pause")}
      </Button>
      <Button isSmall onPress={act("drain")} isOff={isOff || isPaused} why={why}>
        {t("Send all now")}
      </Button>
      <Button isSmall onPress={() => setAsked("snippet")}>
        {t("For the hub")}
      </Button>
      <Button icon="trash" look="danger" isSmall label={t("Remove {name}", { name: uplink.name })} onPress={() => setAsked("remove")} isOff={!may("admin")} why={t(needs("admin"))} />
    </>
  );
  return (
    <>
      <Card title={uplink.name} actions={actions}>
        <div class="row">
          <Badge tone={TONES[uplink.severity]} hasDot>
            {t(uplink.state)}
          </Badge>
          <strong>{uplink.sentence}</strong>
        </div>
        {(uplink.reason || uplink.next_step) && uplink.severity !== "ok" && (
          <Notice tone={TONES[uplink.severity]} title={uplink.next_step || uplink.reason}>
            <p class="small soft">
              <code>{uplink.reason}</code>
            </p>
          </Notice>
        )}
        <Ladder steps={uplink.ladder} />
        <div class="grid">
          <Facts
            rows={[
              [t("Hub"), <code>{uplink.url}</code>],
              [t("Round trip"), uplink.rtt_ms === null || uplink.rtt_ms === undefined ? "–" : `${short(uplink.rtt_ms)} ms`],
              [t("In this state since"), <When at={uplink.since_s * 1000} />],
            ]}
          />
          <Facts
            rows={[
              [t("Waiting"), `${count(uplink.backlog_messages)} (${bytes(uplink.backlog_bytes)})`],
              [t("Oldest"), uplink.oldest_age_s ? duration(uplink.oldest_age_s) : "–"],
              [t("Sent now"), `${count(uplink.drain_messages_per_s)}/s`],
              [t("Done in about"), uplink.eta_s ? duration(uplink.eta_s) : "–"],
            ]}
          />
        </div>
        {uplink.streams.length > 0 && (
          <Table
            name={t("Forwarded by {name}", { name: uplink.name })}
            rows={uplink.streams}
            rowKey={(stream) => stream.stream}
            empty={null}
            columns={[
              { name: t("Stream"), cell: (stream) => stream.stream, show: (stream) => <a href={link(["streams", stream.stream])}>{stream.stream}</a> },
              { name: t("Subjects"), cell: (stream) => stream.subjects.join(" "), show: (stream) => <code>{stream.subjects.join(" ")}</code> },
              { name: t("Waiting"), cell: (stream) => stream.backlog_messages, show: (stream) => count(stream.backlog_messages), isNumber: true },
              { name: t("Size"), cell: (stream) => stream.backlog_bytes, show: (stream) => bytes(stream.backlog_bytes), isNumber: true },
              { name: t("Sent now"), cell: (stream) => stream.drain_messages_per_s, show: (stream) => `${count(stream.drain_messages_per_s)}/s`, isNumber: true },
              { name: t("Delivered"), cell: (stream) => stream.delivered, show: (stream) => count(stream.delivered), isNumber: true },
            ]}
          />
        )}
      </Card>
      <OutagesCard name={uplink.name} />
      {asked === "test" && <Test name={uplink.name} onClose={() => setAsked(null)} />}
      {asked === "snippet" && <Snippets name={uplink.name} onClose={() => setAsked(null)} />}
      {asked === "remove" && (
        <Confirm
          title={t("Remove {name}?", { name: uplink.name })}
          action={t("Remove")}
          typed={uplink.name}
          onClose={() => {
            setAsked(null);
            void onChanged();
          }}
          onConfirm={async () => {
            // Written out in the dialog and confirmed with the name: what waits stays here.
            await call("DELETE /uplinks/{name}", { path: { name: uplink.name }, query: { force: true } });
            toast("ok", t("{name} is removed", { name: uplink.name }));
          }}
        >
          <p>{t("Nothing more travels to this hub. What waits stays in its streams on this box.")}</p>
        </Confirm>
      )}
    </>
  );
}

/** From nothing to data that flows, step by step. */
function Ladder({ steps }: { steps: readonly UplinkState[] }): JSX.Element | null {
  if (steps.length === 0) return null;
  return (
    <ol class="ladder" tabIndex={0} aria-label={t("Steps to the hub")}>
      {steps.map((step) => (
        <li key={step.name} class={`step${step.failed ? " bad" : step.reached ? " ok" : ""}`} title={step.detail}>
          <span class="step-mark">{step.failed ? <Icon name="close" size={16} /> : step.reached ? <Icon name="check" size={16} /> : null}</span>
          {t(step.label || step.name)}
          <span class="visually-hidden">{step.failed ? t("failed") : step.reached ? t("done") : t("not yet")}</span>
        </li>
      ))}
    </ol>
  );
}

function OutagesCard({ name }: { name: string }): JSX.Element {
  const outages = useResource("GET /uplinks/{name}/outages", { path: { name } }, { everyMs: 10_000 });
  return (
    <Card title={t("Outages")}>
      <Loaded resource={outages}>
        {(value) => (
          <Table
            name={t("Outages")}
            rows={value.outages}
            rowKey={(outage) => outage.start_s}
            isDescending
            empty={<p class="soft">{t("None so far.")}</p>}
            columns={[
              { name: t("From"), cell: (outage) => outage.start_s, show: (outage) => <When at={outage.start_s * 1000} /> },
              { name: t("Until"), cell: (outage) => outage.end_s, show: (outage) => (outage.end_s ? <When at={outage.end_s * 1000} /> : <Badge tone="bad">{t("still")}</Badge>) },
              { name: t("Lasted"), cell: (outage) => lasted(outage), show: (outage) => duration(lasted(outage)), isNumber: true },
              { name: t("Why"), cell: (outage) => outage.reason },
              { name: t("Queued"), cell: (outage) => outage.queued, show: (outage) => (outage.end_s ? count(outage.queued) : "–"), isNumber: true },
              { name: t("Delivered"), cell: (outage) => outage.delivered, show: (outage) => (outage.end_s ? count(outage.delivered) : "–"), isNumber: true },
              { name: t("Lost"), cell: (outage) => outage.lost, show: (outage) => <Badge tone={outage.lost ? "bad" : "ok"}>{outage.lost}</Badge>, isNumber: true },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

function lasted(outage: Outage): number {
  return (outage.end_s || Date.now() / 1000) - outage.start_s;
}

function Test({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  const test = useResource("POST /uplinks/{name}/test", { path: { name } });
  return (
    <Dialog title={t("Test of {name}", { name })} onClose={onClose}>
      {test.isLoading.value ? (
        <>
          <p class="soft">{t("Every step is tried, up to a message that the hub has stored. This may take half a minute.")}</p>
          <Waiting />
        </>
      ) : (
        <Loaded resource={test}>{(value) => <TestResult test={value} />}</Loaded>
      )}
    </Dialog>
  );
}

function TestResult({ test }: { test: UplinkTest }): JSX.Element {
  return (
    <>
      <Notice tone={test.ok ? "ok" : "bad"} title={test.sentence || (test.ok ? t("Everything works.") : t("It does not work yet."))}>
        {test.next_step && <p>{test.next_step}</p>}
      </Notice>
      <ul class="stack-small">
        {test.steps.map((step) => (
          <li key={step.name} class="row">
            <Badge tone={step.failed ? "bad" : step.reached ? "ok" : "soft"}>{step.failed ? t("failed") : step.reached ? t("done") : t("not yet")}</Badge>
            <strong>{t(step.label || step.name)}</strong>
            <span class="soft">{step.detail}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Snippets({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  const snippets = useResource("GET /uplinks/{name}/hub-snippet", { path: { name } });
  return (
    <Dialog title={t("What the hub needs")} onClose={onClose} isWide>
      <Loaded resource={snippets}>{(value) => value.snippets.map((snippet) => <Code key={snippet.label} text={snippet.text} label={snippet.label} />)}</Loaded>
    </Dialog>
  );
}
