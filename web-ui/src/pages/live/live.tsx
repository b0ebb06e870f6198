// Live: the subjects seen lately as a tree, messages as they pass, and a desk to publish and request from.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { address } from "../../api/client.ts";
import { tail } from "../../api/events.ts";
import { useResource } from "../../api/resource.ts";
import type { LiveMessage, SubjectNode } from "../../api/types.ts";
import { plural, t } from "../../i18n/i18n.ts";
import type { Form } from "../../logic/decode.ts";
import { bytes, count } from "../../logic/format.ts";
import { patternProblem } from "../../logic/subjects.ts";
import { place } from "../../router.ts";
import { accountQuery } from "../../session.ts";
import { BodyView, brief, FormField } from "../../ui/body.tsx";
import { TextField } from "../../ui/form.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Badge, Button, Card, Empty, Loaded, PageHead, When } from "../../ui/parts.tsx";
import { Desk } from "./desk.tsx";

// What is kept on screen; more scrolls past unread anyway.
const MESSAGES_MAX = 200;
// Drawing more often than this shows nothing more to an eye, and costs a phone its battery.
const DRAW_MS = 200;
const PATTERN_PROBLEMS = {
  empty: "Give a subject; > is everything.",
  space: "A subject has no spaces.",
  token: "There is an empty word between two dots.",
  tail: "> may stand only at the end.",
} as const;

export function Live(): JSX.Element {
  const [pattern, setPattern] = useState(place.value.query.get("subject") ?? ">");
  return (
    <>
      <PageHead title={t("Live")}>{t("What passes through this box right now. Looking changes nothing; MQTT topics appear as subjects, with dots for slashes.")}</PageHead>
      <div class="live">
        <Tree onChoose={setPattern} />
        <div class="stack">
          <Tail pattern={pattern} onPattern={setPattern} />
          <Desk subject={/[*>]/.test(pattern) ? "" : pattern} />
        </div>
      </div>
    </>
  );
}

function Tree({ onChoose }: { onChoose: (pattern: string) => void }): JSX.Element {
  const subjects = useResource("GET /live/subjects", { query: accountQuery.value }, { everyMs: 2000 });
  return (
    <Card title={t("Subjects")}>
      <Loaded resource={subjects}>
        {(value) =>
          value.nodes.length === 0 ? (
            <Empty icon="live" title={t("Nothing heard yet")}>
              {t("Publish something below, or let a device send; its subject appears here.")}
            </Empty>
          ) : (
            <>
              <div class="tree" tabIndex={0} role="region" aria-label={t("Subjects")}>
                {value.nodes.map((node) => (
                  <Branch key={node.subject} node={node} depth={0} onChoose={onChoose} />
                ))}
              </div>
              <p class="small soft">
                {plural(value.subjects, "{count} subject", "{count} subjects")}
                {value.sampled && ` · ${t("more comes than is looked at, so the counts are too low")}`}
              </p>
            </>
          )
        }
      </Loaded>
    </Card>
  );
}

function Branch({ node, depth, onChoose }: { node: SubjectNode; depth: number; onChoose: (pattern: string) => void }): JSX.Element {
  const [isOpen, setOpen] = useState(depth < 1);
  const hasChildren = node.children.length > 0;
  return (
    <div>
      <div class="tree-line">
        {hasChildren ? (
          <button type="button" class="tree-fold" aria-expanded={isOpen} aria-label={t("{name}: show what is below", { name: node.subject })} onClick={() => setOpen(!isOpen)}>
            <Icon name="chevron" size={14} />
          </button>
        ) : (
          <span class="tree-indent" />
        )}
        <button type="button" title={node.subject} onClick={() => onChoose(hasChildren && !node.last ? `${node.subject}.>` : node.subject)}>
          {node.token}
        </button>
        <Badge>{count(node.count)}</Badge>
        <span class="tree-value">{brief(node.last)}</span>
      </div>
      {isOpen && hasChildren && (
        <div class="tree-below">
          {node.children.map((child) => (
            <Branch key={child.subject} node={child} depth={depth + 1} onChoose={onChoose} />
          ))}
          {node.cut && <span class="small soft">{t("There are more than are kept here.")}</span>}
        </div>
      )}
    </div>
  );
}

interface Shown extends LiveMessage {
  id: number;
}

function Tail({ pattern, onPattern }: { pattern: string; onPattern: (pattern: string) => void }): JSX.Element {
  const [messages, setMessages] = useState<readonly Shown[]>([]);
  const [form, setForm] = useState<Form>("auto");
  const [isPaused, setPaused] = useState(false);
  const [isOpen, setIsOpen] = useState(false);
  const [missed, setMissed] = useState(0);
  const buffer = useRef<{ fresh: Shown[]; nextId: number }>({ fresh: [], nextId: 1 });
  const problem = patternProblem(pattern);
  useEffect(() => {
    if (problem || isPaused) return;
    const { current } = buffer;
    setMessages([]);
    const stop = tail(
      address("GET /live/tail", { query: { ...accountQuery.value, subject: pattern } }),
      (data) => {
        const told = data as LiveMessage & { dropped?: number };
        if (typeof told.dropped === "number" && told.dropped > 0) setMissed(told.dropped);
        if (!told.subject) return;
        current.fresh.push({ ...told, id: current.nextId++ });
        if (current.fresh.length > MESSAGES_MAX) current.fresh.shift();
      },
      setIsOpen,
    );
    const timer = setInterval(() => {
      if (current.fresh.length === 0) return;
      const fresh = current.fresh.reverse();
      current.fresh = [];
      setMessages((before) => [...fresh, ...before].slice(0, MESSAGES_MAX));
    }, DRAW_MS);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [pattern, isPaused, accountQuery.value]);
  const actions = (
    <>
      <Badge tone={isPaused ? "warn" : isOpen ? "ok" : "soft"} hasDot>
        {isPaused ? t("paused") : isOpen ? t("listening") : t("connecting")}
      </Badge>
      <Button icon={isPaused ? "play" : "pause"} isSmall onPress={() => setPaused(!isPaused)}>
        {isPaused ? t("Go on") : t("Pause")}
      </Button>
      <Button isSmall onPress={() => setMessages([])}>
        {t("Clear")}
      </Button>
    </>
  );
  return (
    <Card title={t("Messages")} actions={actions}>
      <div class="form-row">
        <TextField label={t("Subject to listen to")} value={pattern} onChange={onPattern} hint={t("* is one word, > is the rest")} wrong={problem && t(PATTERN_PROBLEMS[problem])} />
        <FormField value={form} onChange={setForm} />
      </div>
      {missed > 0 && <p class="small soft">{t("{count} messages came too fast to be shown", { count: count(missed) })}</p>}
      {messages.length === 0 ? (
        <p class="soft">{t("No message yet on this subject.")}</p>
      ) : (
        <div class="messages" tabIndex={0} role="log" aria-live="off" aria-label={t("Messages")}>
          {messages.map((message) => (
            <article key={message.id} class="message">
              <div class="message-head">
                <b>{message.subject}</b>
                <When at={message.at_s * 1000} />
                <span>{bytes(message.body.size)}</span>
                {message.reply && <span title={message.reply}>{t("wants a reply")}</span>}
              </div>
              <Headers headers={message.headers} />
              <BodyView body={message.body} form={form} />
            </article>
          ))}
        </div>
      )}
    </Card>
  );
}

export function Headers({ headers }: { headers: Readonly<Record<string, readonly string[]>> }): JSX.Element | null {
  const entries = Object.entries(headers);
  if (entries.length === 0) return null;
  return <span class="small soft">{entries.map(([name, values]) => `${name}: ${values.join(", ")}`).join(" · ")}</span>;
}
