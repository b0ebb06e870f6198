// Requests to the box. Paths, bodies and answers are typed by what the box itself says (types.ts, generated).
import type { Operations } from "./types.ts";

export const PREFIX = "/api/v1";
// Longer than any answer of a healthy box takes; then the page says so instead of waiting for ever.
const TIMEOUT_MS = 20_000;
// What takes long by nature: the box itself gives these two minutes.
const SLOW = /backups|purge|uplinks\/.*\/(test|\{action\})/;
const SLOW_TIMEOUT_MS = 130_000;
const FILE_TIMEOUT_MS = 3_600_000;

/** What went wrong, why, and what to do next: RFC 9457 plus a stable code and the next step. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly code: string,
    readonly nextStep: string,
  ) {
    super(detail || title);
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    return new Problem(0, "This page failed", error instanceof Error ? error.message : String(error), "page.failed", "Reload the page; if it happens again, report it.");
  }
}

type Names = keyof Operations;
type Loose<Type> = Type extends Record<never, never> ? Partial<Type> : Type;
export type Answer<Name extends Names> = Operations[Name]["answer"];
export type Body<Name extends Names> = Operations[Name]["body"];

export interface Input<Name extends Names> {
  path?: Operations[Name]["path"];
  query?: Loose<Operations[Name]["query"]>;
  body?: Operations[Name]["body"] | undefined;
  /** A file as the body. It may take as long as it takes. */
  file?: Blob;
  signal?: AbortSignal;
}

type Values = Record<string, string | number | boolean | null | undefined>;

/** Who is told when the box no longer knows this browser. */
let onLoggedOut: () => void = () => {};
export function whenLoggedOut(call: () => void): void {
  onLoggedOut = call;
}

/** The address of an operation. Names in paths may hold any character. */
export function address<Name extends Names>(name: Name, input: Pick<Input<Name>, "path" | "query"> = {}): string {
  const template = name.slice(name.indexOf(" ") + 1);
  const path = template.replace(/\{([^}]+)\}/g, (_, key: string) => encodeURIComponent(String((input.path as Values | undefined)?.[key.replace(":path", "")] ?? "")));
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries((input.query as Values | undefined) ?? {})) {
    if (value !== null && value !== undefined && value !== "") query.set(key, String(value));
  }
  const text = query.toString();
  return `${PREFIX}${path}${text ? `?${text}` : ""}`;
}

/** Does one operation; every failure arrives as a Problem. */
export async function call<Name extends Names>(name: Name, input: Input<Name> = {}): Promise<Answer<Name>> {
  const method = name.slice(0, name.indexOf(" "));
  const headers: Record<string, string> = { Accept: "application/json" };
  const options: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  const { body, file } = input;
  if (file) {
    options.body = file;
    headers["Content-Type"] = "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const timeout = AbortSignal.timeout(file ? FILE_TIMEOUT_MS : SLOW.test(name) ? SLOW_TIMEOUT_MS : TIMEOUT_MS);
  options.signal = input.signal ? AbortSignal.any([input.signal, timeout]) : timeout;
  let response: Response;
  try {
    response = await fetch(address(name, input), options);
  } catch (error) {
    if (input.signal?.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (response.status === 401 && !name.endsWith(" /session")) onLoggedOut();
    throw problem;
  }
  if (response.status === 204 || response.headers.get("Content-Length") === "0") return null as unknown as Answer<Name>;
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json") ?? false;
  return (isJson ? await response.json() : await response.blob()) as Answer<Name>;
}

function unreachable(): Problem {
  return new Problem(0, "The box does not answer", "The page reached nobody at this address.", "page.offline", "The page tries again by itself. Check that the box has power and that you are on its network.");
}

async function problemOf(response: Response): Promise<Problem> {
  let told: Partial<Record<string, unknown>> = {};
  try {
    told = (await response.json()) as Partial<Record<string, unknown>>;
  } catch {
    // No JSON, for instance from a proxy in between.
  }
  const text = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);
  return new Problem(
    response.status,
    text(told.title, `The box answered ${response.status}`),
    text(told.detail, response.statusText),
    text(told.code, `http.${response.status}`),
    text(told.next_step, ""),
  );
}
