// A text area with line numbers and the findings of the box at their lines.
import type { JSX } from "preact";
import { useId, useRef } from "preact/hooks";
import type { ConfigFinding } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { Notice } from "../../ui/parts.tsx";
import { TONES } from "../../ui/severity.ts";

interface EditorProps {
  text: string;
  onChange: (text: string) => void;
  findings: readonly ConfigFinding[];
}

export function Editor({ text, onChange, findings }: EditorProps): JSX.Element {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const wrong = new Set(findings.map((finding) => finding.line));
  const count = text.split("\n").length;
  const follow = (): void => {
    if (area.current && gutter.current) gutter.current.scrollTop = area.current.scrollTop;
  };
  return (
    <>
      <label class="visually-hidden" for={id}>
        {t("Text of the configuration")}
      </label>
      <div class="editor">
        <div class="gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: count }, (_, index) => (
            <div key={index} class={wrong.has(index + 1) ? "is-wrong" : ""}>
              {index + 1}
            </div>
          ))}
        </div>
        <textarea id={id} ref={area} value={text} wrap="off" spellcheck={false} autocapitalize="off" autocomplete="off" aria-describedby={`${id}-findings`} onInput={(event) => onChange(event.currentTarget.value)} onScroll={follow} onKeyDown={(event) => indent(event, onChange)} />
      </div>
      <div id={`${id}-findings`} class="stack-small" aria-live="polite">
        {findings.map((finding) => (
          <Notice
            key={`${finding.line}:${finding.column}:${finding.message}`}
            tone={TONES[finding.severity]}
            title={
              finding.line > 0 ? (
                <button type="button" class="link" onClick={() => jump(area.current, text, finding)}>
                  {t("Line {line}, column {column}", { line: finding.line, column: finding.column })}
                </button>
              ) : (
                t("The configuration cannot be used")
              )
            }
          >
            <p>{finding.message}</p>
            {finding.suggestion && <p>{finding.suggestion}</p>}
          </Notice>
        ))}
      </div>
    </>
  );
}

/** Ctrl-] indents with two spaces; Tab is left to move on, so that the keyboard is not trapped. */
function indent(event: KeyboardEvent, onChange: (text: string) => void): void {
  if (!(event.ctrlKey || event.metaKey) || event.key !== "]") return;
  event.preventDefault();
  const area = event.currentTarget as HTMLTextAreaElement;
  area.setRangeText("  ", area.selectionStart, area.selectionStart, "end");
  onChange(area.value);
}

function jump(area: HTMLTextAreaElement | null, text: string, finding: ConfigFinding): void {
  if (!area) return;
  const lines = text.split("\n");
  const start = lines.slice(0, finding.line - 1).reduce((sum, line) => sum + line.length + 1, 0) + Math.max(0, finding.column - 1);
  area.focus();
  area.setSelectionRange(start, start + 1);
}
