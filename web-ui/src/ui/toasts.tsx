// Short messages in the corner. Good news leaves by itself; a problem stays until it is closed.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Problem } from "../api/client.ts";
import { t } from "../i18n/i18n.ts";
import { Button, Notice, type Tone } from "./parts.tsx";

interface Toast {
  id: number;
  tone: Tone;
  title: string;
  lines: string[];
}

const STAY_MS = 5000;
// Older ones give way: a page that fails every second must not fill the screen.
const TOASTS_MAX = 4;
const toasts = signal<Toast[]>([]);
let nextId = 1;

export function toast(tone: Tone, title: string, lines: string[] = []): void {
  const id = nextId++;
  toasts.value = [...toasts.value.filter((each) => each.title !== title), { id, tone, title, lines }].slice(-TOASTS_MAX);
  if (tone === "ok" || tone === "info") setTimeout(() => dismiss(id), STAY_MS);
}

export function toastProblem(error: unknown): void {
  const problem = Problem.of(error);
  if (problem.status === 401) return; // The login page says it.
  toast("bad", t(problem.title), [problem.detail, problem.nextStep].filter((line) => line && line !== problem.title).map((line) => t(line)));
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((each) => (
        <Notice key={each.id} tone={each.tone} title={each.title} actions={<Button icon="close" look="quiet" isSmall label={t("Close")} onPress={() => dismiss(each.id)} />}>
          {each.lines.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </Notice>
      ))}
    </div>
  );
}
