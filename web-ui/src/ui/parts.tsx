// Small parts of every page: buttons, badges, notices, facts, empty and waiting states, problems.
import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Problem } from "../api/client.ts";
import type { Resource } from "../api/resource.ts";
import { t, utc, moment } from "../i18n/i18n.ts";
import { Icon, type IconName } from "./icons.tsx";
import { toast, toastProblem } from "./toasts.tsx";

export type Tone = "ok" | "warn" | "bad" | "info" | "soft";

export interface ButtonProps {
  children?: ComponentChildren;
  icon?: IconName;
  /** For a button that shows only its icon. */
  label?: string;
  look?: "primary" | "danger" | "quiet" | "plain";
  isSmall?: boolean;
  isOff?: boolean | undefined;
  /** Why it is off, as tooltip. */
  why?: string | undefined;
  isSubmit?: boolean;
  onPress?: () => void | Promise<unknown>;
}

/** A button that is off while what it started is under way, and shows a problem of it as a toast. */
export function Button({ children, icon, label, look = "plain", isSmall, isOff, why, isSubmit, onPress }: ButtonProps): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const press = async (): Promise<void> => {
    if (!onPress) return;
    const outcome = onPress();
    if (!(outcome instanceof Promise)) return;
    setBusy(true);
    try {
      await outcome;
    } catch (error) {
      toastProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const classes = ["button", look === "plain" ? "" : look, isSmall ? "small" : "", children ? "" : "icon"].filter(Boolean).join(" ");
  return (
    <button type={isSubmit ? "submit" : "button"} class={classes} disabled={isOff || isBusy} title={isOff ? why : label} aria-label={label} aria-busy={isBusy} onClick={() => void press()}>
      {icon && <Icon name={icon} size={isSmall ? 16 : 18} />}
      {children}
    </button>
  );
}

export function Badge({ tone = "soft", hasDot, children }: { tone?: Tone; hasDot?: boolean; children: ComponentChildren }): JSX.Element {
  return <span class={`badge ${tone}${hasDot ? " dot" : ""}`}>{children}</span>;
}

const NOTICE_ICONS: Record<Tone, IconName> = { ok: "check", warn: "warn", bad: "bad", info: "info", soft: "info" };

export function Notice({ tone = "info", title, children, actions, role }: { tone?: Tone; title: ComponentChildren; children?: ComponentChildren; actions?: ComponentChildren; role?: "alert" | "status" }): JSX.Element {
  return (
    <div class={`notice ${tone}`} role={role}>
      <Icon name={NOTICE_ICONS[tone]} />
      <div>
        <p>
          <strong>{title}</strong>
        </p>
        {children}
      </div>
      {actions && <div class="notice-actions">{actions}</div>}
    </div>
  );
}

/** What went wrong, why, and the next step. */
export function ProblemNotice({ problem, onRetry }: { problem: Problem; onRetry?: (() => void | Promise<void>) | undefined }): JSX.Element {
  return (
    <Notice tone={problem.status === 501 || problem.status === 503 ? "warn" : "bad"} title={t(problem.title)} role="alert" actions={onRetry && <Button isSmall onPress={onRetry}>{t("Try again")}</Button>}>
      {problem.detail && problem.detail !== problem.title && <p>{t(problem.detail)}</p>}
      {problem.nextStep && <p>{t(problem.nextStep)}</p>}
      <p class="small soft">
        <code>{problem.code}</code>
      </p>
    </Notice>
  );
}

export function Waiting(): JSX.Element {
  return (
    <div class="waiting" role="status" aria-label={t("Loading")}>
      <span />
      <span />
      <span />
    </div>
  );
}

export function Empty({ icon, title, children, action }: { icon: IconName; title: string; children?: ComponentChildren; action?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <Icon name={icon} size={40} />
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** A resource's value when it is there; until then waiting, or the problem. A later problem keeps the last value on screen. */
export function Loaded<Value>({ resource, children }: { resource: Resource<Value>; children: (value: NonNullable<Value>) => ComponentChildren }): JSX.Element {
  const value = resource.value.value;
  const problem = resource.problem.value;
  if (value === null || value === undefined) {
    return problem ? <ProblemNotice problem={problem} onRetry={resource.reload} /> : <Waiting />;
  }
  return (
    <>
      {problem && problem.status !== 0 && problem.status !== 401 && <ProblemNotice problem={problem} onRetry={resource.reload} />}
      {children(value)}
    </>
  );
}

export function Card({ title, actions, children, isWide }: { title?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; isWide?: boolean }): JSX.Element {
  return (
    <section class={`card${isWide ? " wide" : ""}`}>
      {(title || actions) && (
        <div class="card-head">
          {title && <h2>{title}</h2>}
          {actions && <div class="row">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

export function Facts({ rows }: { rows: readonly (readonly [string, ComponentChildren] | null)[] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map((row) => row && [<dt key={`${row[0]}-t`}>{row[0]}</dt>, <dd key={`${row[0]}-d`}>{row[1] ?? "–"}</dd>])}
    </dl>
  );
}

/** A moment, local, with the UTC time as tooltip. */
export function When({ at, none = "–" }: { at: string | number | null | undefined; none?: string }): JSX.Element {
  if (!at) return <span>{none}</span>;
  return (
    <time dateTime={new Date(at).toString() === "Invalid Date" ? "" : new Date(at).toISOString()} title={utc(at)} class="nowrap">
      {moment(at)}
    </time>
  );
}

/** Text to take along, with a button that copies it. */
export function Code({ text, label, isWrapped }: { text: string; label: string; isWrapped?: boolean }): JSX.Element {
  const frame = useRef<HTMLPreElement>(null);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      toast("ok", t("Copied"));
    } catch {
      // Without TLS a browser gives no clipboard; the text is selected instead, so that one key copies it.
      if (frame.current) getSelection()?.selectAllChildren(frame.current);
      toast("info", t("Selected: press Ctrl-C to copy"));
    }
  };
  return (
    <div class="code-block">
      <div class="row row-apart">
        <span class="small soft">{label}</span>
        <Button icon="copy" isSmall onPress={copy}>
          {t("Copy")}
        </Button>
      </div>
      <pre ref={frame} class={`code${isWrapped ? " wrap" : ""}`} tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
    </div>
  );
}

export function Meter({ share, tone, label }: { share: number; tone?: Tone; label: string }): JSX.Element {
  const percent = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <div class={`meter ${tone ?? (share > 0.95 ? "bad" : share > 0.85 ? "warn" : "")}`} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent}>
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}

export function Segments<Value extends string>({ label, value, options, onChange }: { label: string; value: Value; options: readonly (readonly [Value, string])[]; onChange: (value: Value) => void }): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([each, text]) => (
        <button key={each} type="button" aria-pressed={each === value} onClick={() => onChange(each)}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function Tabs({ label, current, items }: { label: string; current: string; items: readonly (readonly [id: string, text: string, href: string])[] }): JSX.Element {
  return (
    <nav class="tabs" aria-label={label}>
      {items.map(([id, text, href]) => (
        <a key={id} href={href} aria-current={id === current ? "page" : undefined}>
          {text}
        </a>
      ))}
    </nav>
  );
}

export function PageHead({ title, children, actions, crumbs }: { title: ComponentChildren; children?: ComponentChildren; actions?: ComponentChildren; crumbs?: ComponentChildren }): JSX.Element {
  return (
    <header class="page-head">
      <div>
        {crumbs && <p class="crumbs">{crumbs}</p>}
        <h1 tabIndex={-1}>{title}</h1>
        {children && <p>{children}</p>}
      </div>
      {actions && <div class="row">{actions}</div>}
    </header>
  );
}
