// A payload as people want to read it: the form they chose, or the likeliest one.
import { asText, hexDump } from "./bytes.ts";
import { decodeCbor } from "./cbor.ts";
import { decodeMsgPack } from "./msgpack.ts";

export const FORMS = ["auto", "json", "text", "hex", "cbor", "msgpack"] as const;
export type Form = (typeof FORMS)[number];

export interface Decoded {
  form: Exclude<Form, "auto">;
  text: string;
  /** Why the form that was asked for could not be had; the text is then a hex dump. */
  error: string | null;
}

/** The payload in one form. `auto` takes JSON, then text, then CBOR or MessagePack when they yield a structure. */
export function decode(bytes: Uint8Array, form: Form): Decoded {
  if (form === "auto") return likeliest(bytes);
  try {
    return { form, text: inForm(bytes, form), error: null };
  } catch (error) {
    return { form, text: hexDump(bytes), error: error instanceof Error ? error.message : String(error) };
  }
}

function inForm(bytes: Uint8Array, form: Exclude<Form, "auto">): string {
  switch (form) {
    case "json":
      return pretty(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    case "text":
      return new TextDecoder().decode(bytes);
    case "hex":
      return hexDump(bytes);
    case "cbor":
      return pretty(decodeCbor(bytes));
    case "msgpack":
      return pretty(decodeMsgPack(bytes));
  }
}

function likeliest(bytes: Uint8Array): Decoded {
  const text = asText(bytes);
  if (text !== null) {
    // A lone number or word is nicer as it came than as JSON, "21.50" among them.
    if (/^\s*[[{]/.test(text)) {
      const json = decode(bytes, "json");
      if (json.error === null) return json;
    }
    return { form: "text", text, error: null };
  }
  for (const [form, read] of [["cbor", decodeCbor], ["msgpack", decodeMsgPack]] as const) {
    try {
      const value = read(bytes);
      // Any single byte is a number in both; only a structure is proof enough.
      if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) return { form, text: pretty(value), error: null };
    } catch {
      // Not this form.
    }
  }
  return { form: "hex", text: hexDump(bytes), error: null };
}

const LINE_LETTERS_MAX = 72;

/** JSON for reading; bytes as hex, whole numbers of any size as digits. */
export function pretty(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_key, each: unknown) => {
      if (typeof each === "bigint") return each.toString();
      if (each instanceof Uint8Array) return `0x${[...each].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
      return each === undefined ? null : each;
    },
    2,
  );
  // Line ends inside of texts are escaped, so these are all of the layout. A short value reads best on one line.
  const line = text.replace(/\n\s*/g, " ");
  return line.length <= LINE_LETTERS_MAX ? line : text;
}
