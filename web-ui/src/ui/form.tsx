// Fields with a label, a hint and what is wrong with them.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  hint?: ComponentChildren;
  wrong?: string | null | undefined;
}

type TextProps = Common & {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "password" | "number" | "search" | "url" | "datetime-local";
  placeholder?: string;
  isRequired?: boolean;
  isOff?: boolean;
  autocomplete?: string;
  lines?: number;
  min?: number;
  list?: readonly string[];
  hasFocus?: boolean;
  pattern?: string;
};

export function TextField({ label, hint, wrong, value, onChange, type = "text", placeholder, isRequired, isOff, autocomplete = "off", lines, min, list, hasFocus, pattern }: TextProps): JSX.Element {
  const id = useId();
  const shared = {
    id,
    value,
    placeholder,
    required: isRequired,
    disabled: isOff,
    spellcheck: false,
    "aria-invalid": wrong ? ("true" as const) : undefined,
    "aria-describedby": hint || wrong ? `${id}-hint` : undefined,
    autofocus: hasFocus,
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {lines ? (
        <textarea {...shared} rows={lines} onInput={(event) => onChange(event.currentTarget.value)} />
      ) : (
        <input {...shared} type={type as "text"} min={min} pattern={pattern} autocomplete={autocomplete} autocapitalize="off" list={list ? `${id}-list` : undefined} onInput={(event) => onChange(event.currentTarget.value)} />
      )}
      {list && (
        <datalist id={`${id}-list`}>
          {list.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
      {(hint || wrong) && (
        <span id={`${id}-hint`} class={wrong ? "wrong" : "hint"}>
          {wrong || hint}
        </span>
      )}
    </div>
  );
}

export function SelectField<Value extends string>({ label, hint, value, onChange, options, isOff }: Common & { value: Value; onChange: (value: Value) => void; options: readonly (readonly [Value, string])[]; isOff?: boolean }): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} disabled={isOff} aria-describedby={hint ? `${id}-hint` : undefined} onChange={(event) => onChange(event.currentTarget.value as Value)}>
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
      {hint && (
        <span id={`${id}-hint`} class="hint">
          {hint}
        </span>
      )}
    </div>
  );
}

export function CheckField({ label, value, onChange, hint }: Common & { value: boolean; onChange: (value: boolean) => void }): JSX.Element {
  const id = useId();
  return (
    <div class="check">
      <input id={id} type="checkbox" checked={value} onChange={(event) => onChange(event.currentTarget.checked)} />
      <label for={id}>
        {label}
        {hint && <span class="small soft"> {hint}</span>}
      </label>
    </div>
  );
}

/** A few large choices, each with a sentence that says what it means. */
export function Choices<Value extends string>({ label, value, onChange, options }: { label: string; value: Value; onChange: (value: Value) => void; options: readonly (readonly [value: Value, name: string, meaning: string])[] }): JSX.Element {
  const name = useId();
  return (
    <fieldset class="stack-small">
      <legend>{label}</legend>
      {options.map(([each, title, meaning]) => (
        <label key={each} class="choice">
          <input type="radio" name={name} value={each} checked={each === value} onChange={() => onChange(each)} />
          <strong>{title}</strong>
          <span class="soft">{meaning}</span>
        </label>
      ))}
    </fieldset>
  );
}
