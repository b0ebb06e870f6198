// A stream's settings in plain words: what it is for first, figures only where they are wanted.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call, Problem } from "../../api/client.ts";
import type { Stream, StreamAsked } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, duration, parseDuration, parseSize, words } from "../../logic/format.ts";
import { accountQuery } from "../../session.ts";
import { FormDialog } from "../../ui/dialog.tsx";
import { Choices, SelectField, TextField } from "../../ui/form.tsx";

type Preset = NonNullable<StreamAsked["preset"]>;

interface Limits {
  age: string;
  size: string;
  messages: string;
  perSubject: string;
}

export function NewStream({ onClose }: { onClose: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [subjects, setSubjects] = useState("");
  const [preset, setPreset] = useState<Preset>("keep-a-week");
  const [storage, setStorage] = useState<"file" | "memory">("file");
  const [limits, setLimits] = useState<Limits>({ age: "", size: "", messages: "", perSubject: "" });
  const make = (): Promise<unknown> =>
    call("POST /streams", {
      query: accountQuery.value,
      body: { name, preset, subjects: words(subjects), storage, ...given(limits) },
    });
  return (
    <FormDialog title={t("New stream")} action={t("Make it")} onSubmit={make} onClose={onClose}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus placeholder="readings" />
      <TextField label={t("Subjects")} value={subjects} onChange={setSubjects} isRequired placeholder="site.>" hint={t("What is published on these is kept. Several are separated by spaces.")} />
      <Choices
        label={t("What it is for")}
        value={preset}
        onChange={setPreset}
        options={[
          ["keep-a-week", t("Keep a week"), t("Everything of the last seven days; older messages go by themselves.")],
          ["latest-value", t("Only the latest value"), t("One message of each subject: the newest.")],
          ["work-queue", t("A queue of work"), t("Each message stays until one program has done it.")],
          ["forever", t("For ever"), t("Nothing goes by itself; when flash is full, publishing is refused.")],
          ["custom", t("My own limits"), t("Set below what counts.")],
        ]}
      />
      <details open={preset === "custom"}>
        <summary>{t("Limits and place")}</summary>
        <LimitFields limits={limits} onChange={setLimits} />
        <SelectField label={t("Where it is kept")} value={storage} onChange={setStorage} options={[["file", t("on flash")], ["memory", t("in memory only, lost at a restart")]]} />
      </details>
    </FormDialog>
  );
}

export function EditStream({ stream, onClose }: { stream: Stream; onClose: () => void }): JSX.Element {
  const { config } = stream;
  const [subjects, setSubjects] = useState(config.subjects.join(" "));
  const [description, setDescription] = useState(config.description);
  const text = (value: number, write: (value: number) => string): string => (value > 0 ? write(value) : "");
  const [limits, setLimits] = useState<Limits>({
    age: text(config.max_age_s, (value) => `${value}s`),
    size: text(config.max_bytes, String),
    messages: text(config.max_msgs, String),
    perSubject: text(config.max_msgs_per_subject, String),
  });
  const change = (): Promise<unknown> =>
    call("PUT /streams/{name}", {
      path: { name: config.name },
      query: accountQuery.value,
      body: { name: config.name, description, subjects: words(subjects), max_age_s: 0, max_bytes: -1, max_msgs: -1, max_msgs_per_subject: -1, ...given(limits) },
    });
  return (
    <FormDialog title={t("Change {name}", { name: config.name })} action={t("Change")} onSubmit={change} onClose={onClose}>
      <TextField label={t("Subjects")} value={subjects} onChange={setSubjects} />
      <TextField label={t("Description")} value={description} onChange={setDescription} />
      <LimitFields limits={limits} onChange={setLimits} />
    </FormDialog>
  );
}

function LimitFields({ limits, onChange }: { limits: Limits; onChange: (limits: Limits) => void }): JSX.Element {
  const set = (name: keyof Limits) => (value: string) => onChange({ ...limits, [name]: value });
  const age = parseDuration(limits.age);
  const size = parseSize(limits.size);
  return (
    <div class="stack">
      <div class="form-row">
        <TextField label={t("Longest time")} value={limits.age} onChange={set("age")} placeholder="7d" hint={limits.age && age !== null ? duration(age) : t("For example 12h, 30d")} wrong={limits.age && age === null ? t("A number with s, m, h or d, please.") : null} />
        <TextField label={t("Largest size")} value={limits.size} onChange={set("size")} placeholder="1 GiB" hint={limits.size && size !== null ? bytes(size) : t("For example 500M, 2G")} wrong={limits.size && size === null ? t("A number with K, M or G, please.") : null} />
      </div>
      <div class="form-row">
        <TextField label={t("Most messages")} type="number" min={1} value={limits.messages} onChange={set("messages")} />
        <TextField label={t("Most of one subject")} type="number" min={1} value={limits.perSubject} onChange={set("perSubject")} />
      </div>
    </div>
  );
}

/** The limits that were written, as the API takes them. */
function given(limits: Limits): Partial<StreamAsked> {
  const body: Partial<StreamAsked> = {};
  if (limits.age) body.max_age_s = known(parseDuration(limits.age), limits.age);
  if (limits.size) body.max_bytes = known(parseSize(limits.size), limits.size);
  if (limits.messages) body.max_msgs = Number(limits.messages);
  if (limits.perSubject) body.max_msgs_per_subject = Number(limits.perSubject);
  return body;
}

function known(value: number | null, text: string): number {
  if (value === null) throw new Problem(422, t("A limit cannot be read"), t("“{text}” is neither a time nor a size.", { text }), "page.limit", t("Correct it, or leave it empty."));
  return value;
}
