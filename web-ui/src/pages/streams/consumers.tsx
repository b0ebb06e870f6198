// The consumers of a stream: how far behind each is, pausing, starting again elsewhere.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Consumer } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { count, parseDuration, words } from "../../logic/format.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { Confirm, FormDialog } from "../../ui/dialog.tsx";
import { Choices, TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Empty, Loaded } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";

type Asked = { what: "pause" | "reset" | "delete"; consumer: Consumer } | { what: "new" } | null;

export function Consumers({ stream }: { stream: string }): JSX.Element {
  const consumers = useResource("GET /streams/{name}/consumers", { path: { name: stream }, query: accountQuery.value }, { everyMs: 2000 });
  const [asked, setAsked] = useState<Asked>(null);
  const close = (): void => {
    setAsked(null);
    void consumers.reload();
  };
  const resume = async (consumer: Consumer): Promise<void> => {
    await call("POST /streams/{name}/consumers/{consumer}/resume", { path: { name: stream, consumer: consumer.name }, query: accountQuery.value });
    await consumers.reload();
  };
  const isOff = !may("operator");
  const why = t(needs("operator"));
  const add = (
    <Button icon="plus" isSmall onPress={() => setAsked({ what: "new" })} isOff={isOff} why={why}>
      {t("New consumer")}
    </Button>
  );
  return (
    <Card title={t("Consumers")} actions={add}>
      <Loaded resource={consumers}>
        {(value) => (
          <Table
            name={t("Consumers")}
            rows={value.consumers}
            rowKey={(consumer) => consumer.name}
            empty={
              <Empty icon="stream" title={t("Nobody takes from this stream")}>
                {t("A consumer remembers how far its program has read, also over restarts.")}
              </Empty>
            }
            columns={[
              { name: t("Name"), cell: (consumer) => consumer.name, show: (consumer) => <ConsumerName consumer={consumer} /> },
              { name: t("Subjects"), cell: (consumer) => consumer.filter_subjects.join(" "), show: (consumer) => <code>{consumer.filter_subjects.join(" ") || ">"}</code> },
              { name: t("Behind"), cell: (consumer) => consumer.lag, show: (consumer) => <Lag consumer={consumer} />, isNumber: true },
              { name: t("Unconfirmed"), cell: (consumer) => consumer.ack_pending, show: (consumer) => count(consumer.ack_pending), isNumber: true },
              { name: t("Repeated"), cell: (consumer) => consumer.redelivered, isNumber: true },
              { name: t("Confirmed up to"), cell: (consumer) => consumer.ack_floor_stream_seq, isNumber: true },
              { name: t("Waiting"), cell: (consumer) => consumer.waiting, isNumber: true },
            ]}
            actions={(consumer) => (
              <>
                {consumer.paused ? (
                  <Button icon="play" look="quiet" isSmall label={t("Let {name} go on", { name: consumer.name })} onPress={() => resume(consumer)} isOff={isOff} why={why} />
                ) : (
                  <Button icon="pause" look="quiet" isSmall label={t("Pause {name}", { name: consumer.name })} onPress={() => setAsked({ what: "pause", consumer })} isOff={isOff} why={why} />
                )}
                <Button icon="refresh" look="quiet" isSmall label={t("Start {name} again", { name: consumer.name })} onPress={() => setAsked({ what: "reset", consumer })} isOff={isOff} why={why} />
                <Button icon="trash" look="quiet" isSmall label={t("Delete {name}", { name: consumer.name })} onPress={() => setAsked({ what: "delete", consumer })} isOff={isOff} why={why} />
              </>
            )}
          />
        )}
      </Loaded>
      {asked?.what === "new" && <NewConsumer stream={stream} onClose={close} />}
      {asked?.what === "pause" && <Pause stream={stream} consumer={asked.consumer.name} onClose={close} />}
      {asked?.what === "reset" && <Reset stream={stream} consumer={asked.consumer.name} onClose={close} />}
      {asked?.what === "delete" && (
        <Confirm title={t("Delete {name}?", { name: asked.consumer.name })} action={t("Delete")} onClose={close} onConfirm={() => call("DELETE /streams/{name}/consumers/{consumer}", { path: { name: stream, consumer: asked.consumer.name }, query: accountQuery.value })}>
          <p>{t("What it has read so far is forgotten. The messages stay, unless they only waited for it.")}</p>
        </Confirm>
      )}
    </Card>
  );
}

function ConsumerName({ consumer }: { consumer: Consumer }): JSX.Element {
  return (
    <span class="row">
      {consumer.name}
      {consumer.paused && <Badge tone="warn">{t("paused")}</Badge>}
      {!consumer.durable && <Badge>{t("temporary")}</Badge>}
    </span>
  );
}

function Lag({ consumer }: { consumer: Consumer }): JSX.Element {
  return consumer.lag === 0 ? <Badge tone="ok">0</Badge> : <>{count(consumer.lag)}</>;
}

function NewConsumer({ stream, onClose }: { stream: string; onClose: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [filter, setFilter] = useState("");
  const [start, setStart] = useState<"all" | "new" | "last_per_subject">("all");
  const add = (): Promise<unknown> =>
    call("POST /streams/{name}/consumers", { path: { name: stream }, query: accountQuery.value, body: { name, filter_subjects: words(filter), deliver_policy: start } });
  return (
    <FormDialog title={t("New consumer")} action={t("Make it")} onSubmit={add} onClose={onClose}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus />
      <TextField label={t("Only these subjects")} value={filter} onChange={setFilter} hint={t("Empty: everything. Several are separated by spaces.")} />
      <Choices
        label={t("Where it starts")}
        value={start}
        onChange={setStart}
        options={[
          ["all", t("With the oldest message"), t("It gets everything that is still kept.")],
          ["new", t("With the next message"), t("What is there already is passed over.")],
          ["last_per_subject", t("With the newest of each subject"), t("One value of each, then everything new.")],
        ]}
      />
    </FormDialog>
  );
}

function Pause({ stream, consumer, onClose }: { stream: string; consumer: string; onClose: () => void }): JSX.Element {
  const [text, setText] = useState("1h");
  const seconds = parseDuration(text);
  const pause = (): Promise<unknown> => call("POST /streams/{name}/consumers/{consumer}/pause", { path: { name: stream, consumer }, query: accountQuery.value, body: { for_s: seconds ?? 3600 } });
  return (
    <FormDialog title={t("Pause {name}", { name: consumer })} action={t("Pause")} onSubmit={pause} onClose={onClose} isOff={!seconds}>
      <p>{t("It gets nothing until the time is over; nothing is lost.")}</p>
      <TextField label={t("For how long")} value={text} onChange={setText} hasFocus hint={t("For example 15m, 2h, 1d")} wrong={seconds ? null : t("A number with s, m, h or d, please.")} />
    </FormDialog>
  );
}

function Reset({ stream, consumer, onClose }: { stream: string; consumer: string; onClose: () => void }): JSX.Element {
  const [seq, setSeq] = useState("");
  const isWrong = seq !== "" && !/^\d+$/.test(seq);
  const reset = (): Promise<unknown> => call("POST /streams/{name}/consumers/{consumer}/reset", { path: { name: stream, consumer }, query: accountQuery.value, body: seq ? { seq: Number(seq) } : {} });
  return (
    <FormDialog title={t("Start {name} again", { name: consumer })} action={t("Start again")} onSubmit={reset} onClose={onClose} isDangerous isOff={isWrong}>
      <p>{t("Its program gets messages again that it may have seen before.")}</p>
      <TextField label={t("From number")} value={seq} onChange={setSeq} hasFocus hint={t("Empty: from where it has confirmed everything.")} wrong={isWrong ? t("A whole number, please.") : null} />
    </FormDialog>
  );
}
