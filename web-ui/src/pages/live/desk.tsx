// A desk to publish and request from.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, Problem } from "../../api/client.ts";
import type { Published, Reply } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { short } from "../../logic/format.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { BodyView } from "../../ui/body.tsx";
import { TextField } from "../../ui/form.tsx";
import { Button, Card, Notice, ProblemNotice } from "../../ui/parts.tsx";

type Outcome = { published: Published } | { reply: Reply } | { problem: Problem } | null;

export function Desk({ subject: proposed }: { subject: string }): JSX.Element {
  const [subject, setSubject] = useState(proposed);
  const [data, setData] = useState("");
  const [outcome, setOutcome] = useState<Outcome>(null);
  useEffect(() => {
    if (proposed) setSubject(proposed);
  }, [proposed]);
  const isAllowed = may("operator");
  const attempt = async (make: () => Promise<Outcome>): Promise<void> => {
    try {
      setOutcome(await make());
    } catch (error) {
      setOutcome({ problem: Problem.of(error) });
    }
  };
  const publish = (): Promise<void> => attempt(async () => ({ published: await call("POST /live/publish", { query: accountQuery.value, body: { subject, data } }) }));
  const request = (): Promise<void> => attempt(async () => ({ reply: await call("POST /live/request", { query: accountQuery.value, body: { subject, data } }) }));
  return (
    <Card title={t("Publish or request")}>
      <TextField label={t("Subject")} value={subject} onChange={setSubject} placeholder="site.temperature" />
      <TextField label={t("Value")} value={data} onChange={setData} lines={3} placeholder="21.5" />
      <div class="actions">
        <Button onPress={request} isOff={!isAllowed || subject === ""} why={t(needs("operator"))}>
          {t("Request")}
        </Button>
        <Button icon="send" look="primary" onPress={publish} isOff={!isAllowed || subject === ""} why={t(needs("operator"))}>
          {t("Publish")}
        </Button>
      </div>
      <div aria-live="polite">{outcome && <Result outcome={outcome} />}</div>
    </Card>
  );
}

function Result({ outcome }: { outcome: NonNullable<Outcome> }): JSX.Element {
  if ("problem" in outcome) return <ProblemNotice problem={outcome.problem} />;
  if ("published" in outcome) {
    const { stored, stream, seq } = outcome.published;
    return <Notice tone="ok" title={stored ? t("Stored in {stream} as number {seq}", { stream, seq }) : t("Sent; no stream keeps this subject")} />;
  }
  const { message, took_ms } = outcome.reply;
  return (
    <Notice tone="ok" title={t("Answered in {time} ms", { time: short(took_ms) })}>
      <div class="message">
        <BodyView body={message.body} form="auto" />
      </div>
    </Notice>
  );
}
