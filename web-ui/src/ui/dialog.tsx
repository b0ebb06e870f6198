// Dialogs: the browser's own, so that focus stays inside, Escape closes, and focus returns to where it was.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Problem } from "../api/client.ts";
import { t } from "../i18n/i18n.ts";
import { Button, ProblemNotice } from "./parts.tsx";

export function Dialog({ title, onClose, children, isWide }: { title: string; onClose: () => void; children: ComponentChildren; isWide?: boolean | undefined }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  // The close event of a dialog that was taken away comes late; it must not close the one that took its place.
  const isGone = useRef(false);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => {
      isGone.current = true;
      dialog?.close();
    };
  }, []);
  return (
    <dialog ref={element} class={isWide ? "wide" : ""} aria-labelledby={id} onClose={() => isGone.current || onClose()}>
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={id}>{title}</h2>
          <Button icon="close" look="quiet" isSmall label={t("Close")} onPress={onClose} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

/** A form in a dialog: shows the problem of its request inside. `onClose` after it went well, `onCancel` when it was left. */
export function FormDialog({ title, action, onSubmit, onClose, onCancel = onClose, children, isDangerous, isWide, isOff }: { title: string; action: string; onSubmit: () => Promise<unknown>; onClose: () => void; onCancel?: () => void; children: ComponentChildren; isDangerous?: boolean; isWide?: boolean; isOff?: boolean }): JSX.Element {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit();
      onClose();
    } catch (error) {
      setProblem(Problem.of(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onCancel} isWide={isWide}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {children}
        {problem && <ProblemNotice problem={problem} />}
        <div class="actions">
          <Button onPress={onCancel}>{t("Cancel")}</Button>
          <Button isSubmit look={isDangerous ? "danger" : "primary"} isOff={isBusy || isOff}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Asks before something that cannot be undone. `typed` makes the person write that word first. */
export function Confirm({ title, action, typed, onConfirm, onClose, children }: { title: string; action: string; typed?: string; onConfirm: () => Promise<unknown>; onClose: () => void; children: ComponentChildren }): JSX.Element {
  const [text, setText] = useState("");
  const id = useId();
  return (
    <FormDialog title={title} action={action} isDangerous onSubmit={onConfirm} onClose={onClose} isOff={typed !== undefined && text !== typed}>
      <div class="stack-small">{children}</div>
      {typed !== undefined && (
        <div class="field">
          <label for={id}>{t("Type {word} to go on", { word: typed })}</label>
          <input id={id} value={text} autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
      )}
    </FormDialog>
  );
}
