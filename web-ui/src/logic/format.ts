// Numbers, sizes and times in words. Locale-dependent parts take the page's language.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 1536 → "1.5 KiB". */
export function bytes(value: number): string {
  let unit = 0;
  let amount = value;
  while (Math.abs(amount) >= 1024 && unit < BINARY.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(amount) : short(amount)} ${BINARY[unit]}`;
}

/** At most three digits that matter: 0.12, 1.5, 23, 456. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** 12345 → "12.3 k"; small numbers stay whole. */
export function count(value: number): string {
  for (const [limit, sign] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]] as const) {
    const unit = limit === 1e4 ? 1e3 : limit;
    if (Math.abs(value) >= limit) return `${short(value / unit)} ${sign}`;
  }
  return Number.isInteger(value) ? String(value) : short(value);
}

/** A span in its two largest units: "2 d 3 h", "45 s", "350 ms". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short(seconds * 1000)} ms`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** Seconds of a duration a person wrote: "90", "90s", "15m", "2h", "7d"; null when it is none. */
export function parseDuration(text: string): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)?\s*$/.exec(text);
  if (!found) return null;
  const factor = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800 }[found[2] ?? "s"] ?? 1;
  return Number(found[1]) * factor;
}

/** Bytes of a size a person wrote: "512", "64K", "1.5 GiB"; null when it is none. */
export function parseSize(text: string): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?\s*$/i.exec(text);
  if (!found) return null;
  const power = found[2] ? "kmgt".indexOf(found[2].toLowerCase()) + 1 : 0;
  return Math.round(Number(found[1]) * 1024 ** power);
}

/** What stands between spaces or commas. */
export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
