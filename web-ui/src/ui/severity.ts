// The box's severities as the page's tones.
import type { Issue } from "../api/types.ts";
import type { Tone } from "./parts.tsx";

export const TONES: Record<Issue["severity"], Tone> = { ok: "ok", info: "info", warning: "warn", critical: "bad" };
