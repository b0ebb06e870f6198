// A payload on screen, in the form that was chosen or the likeliest.
import type { JSX } from "preact";
import type { Body } from "../api/types.ts";
import { t } from "../i18n/i18n.ts";
import { fromBase64 } from "../logic/bytes.ts";
import { decode, type Form, FORMS } from "../logic/decode.ts";
import { bytes } from "../logic/format.ts";
import { SelectField } from "./form.tsx";

const FORM_NAMES: Record<Form, string> = { auto: "Likeliest form", json: "JSON", text: "Text", hex: "Hex", cbor: "CBOR", msgpack: "MessagePack" };

export function bytesOf(body: Body): Uint8Array {
  return body.encoding === "base64" ? fromBase64(body.data) : new TextEncoder().encode(body.data);
}

export function BodyView({ body, form }: { body: Body; form: Form }): JSX.Element {
  const shown = decode(bytesOf(body), form);
  return (
    <>
      {shown.error && <span class="small soft">{t("Not {form}: {why}", { form: FORM_NAMES[form], why: shown.error })}</span>}
      <pre>{shown.text}</pre>
      {body.cut && <span class="small soft">{t("Only the beginning of {size}", { size: bytes(body.size) })}</span>}
    </>
  );
}

/** One line of a payload, for a tree or a table. */
export function brief(body: Body | null | undefined, lettersMax = 60): string {
  if (!body) return "";
  const text = decode(bytesOf(body), "auto");
  const line = text.form === "hex" ? `${bytes(body.size)}` : text.text.replace(/\s+/g, " ");
  return line.length > lettersMax ? `${line.slice(0, lettersMax - 1)}…` : line;
}

export function FormField({ value, onChange }: { value: Form; onChange: (form: Form) => void }): JSX.Element {
  return <SelectField label={t("Show values as")} value={value} onChange={onChange} options={FORMS.map((form) => [form, t(FORM_NAMES[form])] as const)} />;
}
