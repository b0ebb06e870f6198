// The words of the page. The English text is the key and stands where it is used; other languages are catalogues from
// English to theirs, loaded only when chosen; the build puts a short key (key.ts) in the place of the English text. A
// test holds each catalogue to the texts the sources use.
import { signal } from "@preact/signals";
import { keyOf } from "./key.ts";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
type Values = Record<string, string | number>;

const STORED = "leafbox.language";
const catalogue = signal<Readonly<Record<string, string>> | null>(null);
export const language = signal<Language>("en");

/** The text in the page's language, `{name}` replaced by its value. */
export function t(text: string, values?: Values): string {
  const translated = catalogue.value?.[keyOf(text)] ?? text;
  return values ? translated.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : translated;
}

/** One of two texts by number; both may use `{count}`. */
export function plural(count: number, one: string, many: string): string {
  return t(count === 1 ? one : many, { count });
}

/** Show the page in one language from now on, in this browser. */
export async function speak(wanted: Language): Promise<void> {
  catalogue.value = wanted === "de" ? (await import("./de.ts")).default : null;
  language.value = wanted;
  document.documentElement.lang = wanted;
  try {
    localStorage.setItem(STORED, wanted);
  } catch {
    // A browser that keeps nothing still shows the language until it is closed.
  }
}

/** The language chosen here before, else the browser's if there is a catalogue, else English. */
export function preferredLanguage(): Language {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // As above.
  }
  const wanted = stored ?? navigator.language.slice(0, 2);
  return wanted in LANGUAGES ? (wanted as Language) : "en";
}

/** A moment in local time, short; the full time in UTC belongs into the tooltip, see `utc`. */
export function moment(iso: string | number): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "–";
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(language.value, isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

export function utc(iso: string | number): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : `${date.toISOString().replace("T", " ").slice(0, 19)} UTC`;
}
