// Charts of what the box remembers about itself.
import type { Answer } from "./api/client.ts";
import { bytes, count, duration, short } from "./logic/format.ts";

export const SPANS = ["1h", "24h", "30d"] as const;
export type Span = (typeof SPANS)[number];

/** How often a chart of this span gets a new point worth drawing. */
export const REFRESH_MS: Record<Span, number> = { "1h": 5000, "24h": 60_000, "30d": 600_000 };

type Series = Answer<"GET /history">["series"][number];

/** How to write values of a series, by the unit the box gives. */
export function formatOf(series: Pick<Series, "unit"> | undefined): (value: number) => string {
  switch (series?.unit) {
    case "bytes":
      return bytes;
    case "bytes_per_s":
      return (value) => `${bytes(value)}/s`;
    case "per_s":
      return (value) => `${count(value)}/s`;
    case "us":
      return (value) => duration(value / 1e6);
    case "percent":
      return (value) => `${short(value)} %`;
    case "celsius":
      return (value) => `${short(value)} °C`;
    default:
      return count;
  }
}
