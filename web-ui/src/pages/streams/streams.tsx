// Streams: all of them, and one with its messages, consumers and settings.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Stream } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, count, duration } from "../../logic/format.ts";
import { go, link, place } from "../../router.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { CheckField, TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Empty, Facts, Loaded, Meter, PageHead, Tabs, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Consumers } from "./consumers.tsx";
import { Messages } from "./messages.tsx";
import { EditStream, NewStream } from "./settings.tsx";

export const KIND_NAMES: Record<Stream["kind"], string> = { stream: "stream", kv: "key-value", object: "objects", mqtt: "MQTT", internal: "of the box" };

export function Streams(): JSX.Element {
  const name = place.value.parts[1];
  return name ? <OneStream key={name} name={name} /> : <AllStreams />;
}

function AllStreams(): JSX.Element {
  const streams = useResource("GET /streams", { query: accountQuery.value }, { on: ["streams"], everyMs: 5000 });
  const [isAdding, setAdding] = useState(false);
  const [isAll, setAll] = useState(false);
  const add = (
    <Button icon="plus" look="primary" onPress={() => setAdding(true)} isOff={!may("operator")} why={t(needs("operator"))}>
      {t("New stream")}
    </Button>
  );
  return (
    <>
      <PageHead title={t("Streams")} actions={add}>
        {t("A stream keeps messages on flash, so that nobody has to be there when they are sent.")}
      </PageHead>
      <Loaded resource={streams}>
        {(value) => (
          <>
            {value.storage_bytes_max > 0 && (
              <Card title={t("Room on flash")}>
                <p class="soft">{t("{used} of {most}", { used: bytes(value.storage_bytes), most: bytes(value.storage_bytes_max) })}</p>
                <Meter share={value.storage_bytes / value.storage_bytes_max} label={t("Room on flash")} />
              </Card>
            )}
            <Card>
              <Table
                name={t("Streams")}
                rows={value.streams.filter((stream) => isAll || stream.kind === "stream")}
                rowKey={(stream) => stream.config.name}
                tools={<CheckField label={t("Also those of the box, MQTT, key-value and objects")} value={isAll} onChange={setAll} />}
                empty={
                  <Empty icon="stream" title={t("No stream yet")} action={add}>
                    {t("Make one, choose what it is for in plain words, and what is published on its subjects is kept.")}
                  </Empty>
                }
                columns={[
                  { name: t("Name"), cell: (stream) => stream.config.name, show: (stream) => <StreamLink stream={stream} /> },
                  { name: t("Subjects"), cell: (stream) => stream.config.subjects.join(" "), show: (stream) => <code>{stream.config.subjects.join(" ") || (stream.config.mirror ? t("mirror of {name}", { name: stream.config.mirror }) : "–")}</code> },
                  { name: t("Keeps"), cell: (stream) => keeps(stream) },
                  { name: t("Messages"), cell: (stream) => stream.state.messages, show: (stream) => count(stream.state.messages), isNumber: true },
                  { name: t("Size"), cell: (stream) => stream.state.bytes, show: (stream) => bytes(stream.state.bytes), isNumber: true },
                  { name: t("Consumers"), cell: (stream) => stream.state.consumers, isNumber: true },
                  { name: t("Newest"), cell: (stream) => stream.state.last_time, show: (stream) => <When at={stream.state.messages ? stream.state.last_time : null} /> },
                ]}
              />
            </Card>
          </>
        )}
      </Loaded>
      {isAdding && (
        <NewStream
          onClose={() => {
            setAdding(false);
            void streams.reload();
          }}
        />
      )}
    </>
  );
}

function StreamLink({ stream }: { stream: Stream }): JSX.Element {
  return (
    <span class="row">
      <a href={link(["streams", stream.config.name])}>{stream.config.name}</a>
      {stream.kind !== "stream" && <Badge>{t(KIND_NAMES[stream.kind])}</Badge>}
    </span>
  );
}

/** The limits of a stream in words. */
export function keeps(stream: Stream): string {
  const { config } = stream;
  if (config.retention === "workqueue") return t("until one has done it");
  if (config.retention === "interest") return t("until all have it");
  const limits = [
    config.max_age_s > 0 && duration(config.max_age_s),
    config.max_bytes > 0 && bytes(config.max_bytes),
    config.max_msgs > 0 && t("{count} messages", { count: count(config.max_msgs) }),
    config.max_msgs_per_subject > 0 && t("{count} per subject", { count: config.max_msgs_per_subject }),
  ].filter((limit) => limit !== false);
  return limits.length ? limits.join(", ") : t("for ever");
}

function OneStream({ name }: { name: string }): JSX.Element {
  const stream = useResource("GET /streams/{name}", { path: { name }, query: accountQuery.value }, { on: ["streams"], everyMs: 3000 });
  const [asked, setAsked] = useState<"edit" | "purge" | "delete" | null>(null);
  const tab = place.value.query.get("tab") ?? "messages";
  const isOff = !may("operator");
  const why = t(needs("operator"));
  const actions = (
    <>
      <Button icon="edit" onPress={() => setAsked("edit")} isOff={isOff || !stream.value.value} why={why}>
        {t("Change")}
      </Button>
      <Button onPress={() => setAsked("purge")} isOff={isOff} why={why}>
        {t("Purge")}
      </Button>
      <Button icon="trash" look="danger" onPress={() => setAsked("delete")} isOff={isOff} why={why}>
        {t("Delete")}
      </Button>
    </>
  );
  const close = (): void => {
    setAsked(null);
    void stream.reload();
  };
  return (
    <>
      <PageHead title={name} crumbs={<a href={link(["streams"])}>{t("Streams")}</a>} actions={actions}>
        {stream.value.value?.config.description}
      </PageHead>
      <Loaded resource={stream}>{(value) => <StreamCard stream={value} />}</Loaded>
      <Tabs
        label={t("Parts of the stream")}
        current={tab}
        items={[
          ["messages", t("Messages"), link(["streams", name])],
          ["consumers", t("Consumers"), link(["streams", name], { tab: "consumers" })],
        ]}
      />
      {tab === "consumers" ? <Consumers stream={name} /> : <Messages stream={name} />}
      {asked === "edit" && stream.value.value && <EditStream stream={stream.value.value} onClose={close} />}
      {asked === "purge" && <Purge name={name} onClose={close} />}
      {asked === "delete" && (
        <Confirm
          title={t("Delete {name}?", { name })}
          action={t("Delete")}
          typed={name}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            await call("DELETE /streams/{name}", { path: { name }, query: accountQuery.value });
            go(["streams"]);
          }}
        >
          <p>{t("All its messages and consumers go with it. This cannot be undone.")}</p>
        </Confirm>
      )}
    </>
  );
}

function StreamCard({ stream }: { stream: Stream }): JSX.Element {
  const { config, state } = stream;
  return (
    <Card>
      <div class="grid">
        <Facts
          rows={[
            [t("Subjects"), <code>{config.subjects.join(" ") || "–"}</code>],
            [t("Keeps"), keeps(stream)],
            [t("Kept"), config.storage === "memory" ? t("in memory only, lost at a restart") : t("on flash")],
            config.mirror ? [t("Mirror of"), config.mirror] : null,
            config.sources.length ? [t("Sources"), config.sources.join(", ")] : null,
          ]}
        />
        <Facts
          rows={[
            [t("Messages"), count(state.messages)],
            [t("Size"), bytes(state.bytes)],
            [t("Numbers"), `${state.first_seq} – ${state.last_seq}`],
            [t("Oldest"), <When at={state.messages ? state.first_time : null} />],
            [t("Newest"), <When at={state.messages ? state.last_time : null} />],
          ]}
        />
      </div>
    </Card>
  );
}

function Purge({ name, onClose }: { name: string; onClose: () => void }): JSX.Element {
  const [subject, setSubject] = useState("");
  const purge = async (): Promise<void> => {
    const { purged } = await call("POST /streams/{name}/purge", { path: { name }, query: accountQuery.value, body: subject ? { subject } : {} });
    toast("ok", t("{count} messages are gone", { count: purged }));
  };
  return (
    <Confirm title={t("Purge {name}?", { name })} action={t("Purge")} typed={name} onConfirm={purge} onClose={onClose}>
      <p>{t("The messages are deleted and cannot be brought back; the stream itself stays.")}</p>
      <TextField label={t("Only this subject")} value={subject} onChange={setSubject} hint={t("Empty: everything")} />
    </Confirm>
  );
}
