// The messages of a stream, by number and subject.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { StoredMessage } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import type { Form } from "../../logic/decode.ts";
import { bytes } from "../../logic/format.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { BodyView, FormField } from "../../ui/body.tsx";
import { Confirm } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Button, Card, Empty, Loaded, When } from "../../ui/parts.tsx";
import { Headers } from "../live/live.tsx";

const PAGE = 50;

export function Messages({ stream }: { stream: string }): JSX.Element {
  const [from, setFrom] = useState("");
  const [subject, setSubject] = useState("");
  const [form, setForm] = useState<Form>("auto");
  const [deleted, setDeleted] = useState<StoredMessage | null>(null);
  const isFromWrong = from !== "" && !/^\d+$/.test(from);
  const query = { ...accountQuery.value, limit: PAGE, ...(from && !isFromWrong ? { seq: Number(from) } : {}), ...(subject ? { subject } : {}) };
  const messages = useResource("GET /streams/{name}/messages", { path: { name: stream }, query }, { on: ["streams"] });
  return (
    <Card
      title={t("Messages")}
      actions={
        <Button icon="refresh" isSmall onPress={messages.reload}>
          {t("Load again")}
        </Button>
      }
    >
      <div class="form-row">
        <TextField label={t("From number")} value={from} onChange={setFrom} placeholder={t("the newest")} wrong={isFromWrong ? t("A whole number, please.") : null} />
        <TextField label={t("Subject")} value={subject} onChange={setSubject} placeholder=">" />
        <FormField value={form} onChange={setForm} />
      </div>
      <Loaded resource={messages}>
        {(value) =>
          value.messages.length === 0 ? (
            <Empty icon="stream" title={t("No messages here")} />
          ) : (
            <>
              <div class="messages">
                {value.messages.map((message) => (
                  <article key={message.seq} class="message">
                    <div class="message-head">
                      <span class="number">#{message.seq}</span>
                      <b>{message.subject}</b>
                      <When at={message.time} />
                      <span>{bytes(message.body.size)}</span>
                      <Button icon="trash" look="quiet" isSmall label={t("Delete number {seq}", { seq: message.seq })} onPress={() => setDeleted(message)} isOff={!may("operator")} why={t(needs("operator"))} />
                    </div>
                    <Headers headers={message.headers} />
                    <BodyView body={message.body} form={form} />
                  </article>
                ))}
              </div>
              {value.next_seq > 0 && (
                <div>
                  <Button isSmall onPress={() => setFrom(String(value.next_seq))}>
                    {t("Go on from {seq}", { seq: value.next_seq })}
                  </Button>
                </div>
              )}
            </>
          )
        }
      </Loaded>
      {deleted && (
        <Confirm
          title={t("Delete number {seq}?", { seq: deleted.seq })}
          action={t("Delete")}
          onClose={() => {
            setDeleted(null);
            void messages.reload();
          }}
          onConfirm={() => call("DELETE /streams/{name}/messages/{seq}", { path: { name: stream, seq: deleted.seq }, query: accountQuery.value })}
        >
          <p>{t("It cannot be brought back. The numbers of the others stay as they are.")}</p>
        </Confirm>
      )}
    </Card>
  );
}
