// The box's live events: one stream for the whole page, reconnected by itself, with the state shown as a banner.
import { signal } from "@preact/signals";
import { PREFIX } from "./client.ts";

export const EVENT_NAMES = ["status", "issues", "connections", "uplinks", "devices", "bridges", "core", "streams", "config", "events"] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** Whether the box answers. Starts true: a page that has not tried yet has nothing to complain about. */
export const isOnline = signal(true);

/** Counts how often a lost connection came back; resources load again at each. */
export const reconnects = signal(0);

const listeners = new Map<EventName, Set<(data: unknown) => void>>();
// Quick at first, because most losses are a restart; never slower, because somebody is waiting for the page.
const RETRY_MS = [500, 1000, 2000, 3000, 5000];
// The box tells its connections every second; after this silence the stream is dead, whatever the browser thinks.
const SILENCE_MS = 32_000;

let source: EventSource | null = null;
let failures = 0;
let wasLost = false;
let retryTimer = 0;
let silenceTimer = 0;
let isStarted = false;
let probe: () => Promise<boolean> = async () => true;

/** Call back with each event of this name; gives the function that stops it. */
export function onEvent(name: EventName, listener: (data: unknown) => void): () => void {
  const set = listeners.get(name) ?? new Set();
  listeners.set(name, set);
  set.add(listener);
  return () => set.delete(listener);
}

/** Connect, and stay connected until `stopEvents`. `isLoggedIn` is asked after a loss, so that an ended session is told apart. */
export function startEvents(isLoggedIn: () => Promise<boolean>): void {
  probe = isLoggedIn;
  if (isStarted) return;
  isStarted = true;
  connect();
}

export function stopEvents(): void {
  isStarted = false;
  failures = 0;
  wasLost = false;
  isOnline.value = true;
  close();
}

function close(): void {
  source?.close();
  source = null;
  clearTimeout(retryTimer);
  clearTimeout(silenceTimer);
}

function heard(): void {
  clearTimeout(silenceTimer);
  silenceTimer = window.setTimeout(lost, SILENCE_MS);
}

function connect(): void {
  close();
  const own = new EventSource(`${PREFIX}/events`);
  source = own;
  own.onopen = () => {
    if (wasLost) reconnects.value++;
    wasLost = false;
    isOnline.value = true;
    failures = 0;
    heard();
  };
  own.onerror = () => own === source && lost();
  for (const name of EVENT_NAMES) {
    own.addEventListener(name, (event) => {
      heard();
      const data = parsed((event as MessageEvent<string>).data);
      if (name === "core") coreSaid(data);
      for (const listener of listeners.get(name) ?? []) listener(data);
    });
  }
}

/** The web process answers but the core behind it does not: for who looks that is the same as offline. */
function coreSaid(data: unknown): void {
  const isAway = typeof data === "object" && data !== null && "online" in data && data.online === false;
  if (!isAway && !isOnline.value) reconnects.value++;
  isOnline.value = !isAway;
}

function lost(): void {
  close();
  if (!isStarted) return;
  const delay = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 5000;
  failures++;
  wasLost = true;
  // The first loss is often only a stream the server ended; the banner comes when a second try fails too.
  if (failures > 1) isOnline.value = false;
  retryTimer = window.setTimeout(() => {
    void probe()
      .catch(() => true)
      .then((isLoggedIn) => {
        if (isStarted && isLoggedIn) connect();
      });
  }, delay);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A stream of its own, for tails. Gives the function that ends it. */
export function tail(path: string, onData: (data: unknown) => void, onState: (isOpen: boolean) => void): () => void {
  const own = new EventSource(path);
  own.onopen = () => onState(true);
  own.onerror = () => onState(false);
  const listen = (event: Event): void => onData(parsed((event as MessageEvent<string>).data));
  for (const name of ["message", "log", "entry"]) own.addEventListener(name, listen);
  return () => own.close();
}
