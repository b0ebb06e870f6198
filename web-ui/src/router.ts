// Addresses of the pages: `#/streams/orders?tab=messages`. The part after # never leaves the browser, so a page can be
// bookmarked and the server serves one file.
import { computed, signal } from "@preact/signals";

export interface Place {
  /** Decoded parts of the path: ["streams", "orders"]. */
  parts: string[];
  query: URLSearchParams;
}

const hash = signal(typeof location === "undefined" ? "" : location.hash);
if (typeof addEventListener === "function") addEventListener("hashchange", () => {
  hash.value = location.hash;
});

export const place = computed<Place>(() => parsePlace(hash.value));

export function parsePlace(text: string): Place {
  const [path = "", query = ""] = text.replace(/^#\/?/, "").split("?", 2);
  const decoded = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** The address of a page; parts are encoded here and nowhere else. */
export function link(parts: readonly string[], query: Record<string, string> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(parts: readonly string[], query: Record<string, string> = {}): void {
  location.hash = link(parts, query);
}
