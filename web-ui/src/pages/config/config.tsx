// Config: the file in an editor, checked while one types, compared, applied, and undone by itself if nobody confirms.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, Problem } from "../../api/client.ts";
import { isOnline } from "../../api/events.ts";
import { useResource } from "../../api/resource.ts";
import type { ConfigChecked, ConfigText } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { diffLines, hunks } from "../../logic/diff.ts";
import { may } from "../../session.ts";
import { FormDialog } from "../../ui/dialog.tsx";
import { Badge, Button, Card, Empty, Loaded, Notice, PageHead } from "../../ui/parts.tsx";
import { toast } from "../../ui/toasts.tsx";
import { Editor } from "./editor.tsx";

// The box takes the change back after this time unless somebody who still reaches it says that it is good.
const CONFIRM_WITHIN_S = 60;
const CHECK_AFTER_MS = 400;

export function Config(): JSX.Element {
  return (
    <>
      <PageHead title={t("Configuration")}>
        {t("The file of this box, in the grammar of nats-server. A change that locks you out is taken back by itself after {seconds} seconds.", { seconds: CONFIRM_WITHIN_S })}
      </PageHead>
      {may("admin") ? (
        <Loading />
      ) : (
        <Card>
          <Empty icon="config" title={t("Only an administrator sees the configuration")}>
            {t("It may hold passwords of programs.")}
          </Empty>
        </Card>
      )}
    </>
  );
}

function Loading(): JSX.Element {
  const config = useResource("GET /config", {}, { on: ["config"] });
  return <Loaded resource={config}>{(value) => <Editing key={value.digest} config={value} onChanged={config.reload} />}</Loaded>;
}

function Editing({ config, onChanged }: { config: ConfigText; onChanged: () => Promise<void> }): JSX.Element {
  const [text, setText] = useState(config.text);
  const [checked, setChecked] = useState<ConfigChecked | null>(null);
  const [isReviewing, setReviewing] = useState(false);
  const isChanged = text !== config.text;
  useCheck(text, isChanged, setChecked);
  const revert = async (): Promise<void> => {
    await call("POST /config/revert");
    toast("ok", t("The earlier configuration is in force again"));
    await onChanged();
  };
  return (
    <>
      {config.pending_revert_s > 0 && <Pending config={config} onChanged={onChanged} />}
      {!config.path && (
        <Notice tone="info" title={t("The box runs without a configuration file")}>
          <p>{t("What you apply here becomes its file.")}</p>
        </Notice>
      )}
      <Card
        title={config.path ? <code>{config.path}</code> : t("New file")}
        actions={
          <>
            <Badge tone={checked && !checked.valid ? "bad" : isChanged ? "info" : "soft"}>{checked && !checked.valid ? t("has errors") : isChanged ? t("changed, not applied") : t("in force")}</Badge>
            {config.previous && (
              <Button isSmall onPress={revert}>
                {t("Back to the one before")}
              </Button>
            )}
            <Button isSmall onPress={() => setText(config.text)} isOff={!isChanged}>
              {t("Discard")}
            </Button>
            <Button isSmall look="primary" onPress={() => setReviewing(true)} isOff={!isChanged || !config.writable || checked?.valid === false} why={config.writable ? t("Nothing to apply, or errors to correct first.") : t("The file cannot be written by the box.")}>
              {t("Review and apply")}
            </Button>
          </>
        }
      >
        <Editor text={text} onChange={setText} findings={checked?.findings ?? []} />
        {checked && checked.restart_needed.length > 0 && (
          <Notice tone="warn" title={t("Some of it counts only after a restart")}>
            <p>{checked.restart_needed.join(", ")}</p>
          </Notice>
        )}
      </Card>
      {isReviewing && (
        <Review
          config={config}
          text={text}
          onClose={() => {
            setReviewing(false);
            void onChanged();
          }}
        />
      )}
    </>
  );
}

/** Lets the box check the text when typing rests. */
function useCheck(text: string, isChanged: boolean, onChecked: (checked: ConfigChecked | null) => void): void {
  useEffect(() => {
    if (!isChanged) {
      onChecked(null);
      return;
    }
    const controller = new AbortController();
    const timer = setTimeout(() => {
      call("POST /config/check", { body: { text }, signal: controller.signal }).then(onChecked, (error: unknown) => {
        if (!controller.signal.aborted) onChecked({ valid: false, findings: [{ line: 0, column: 0, severity: "warning", message: Problem.of(error).message, suggestion: "" }], restart_needed: [], digest: "" });
      });
    }, CHECK_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, isChanged]);
}

function Review({ config, text, onClose }: { config: ConfigText; text: string; onClose: () => void }): JSX.Element {
  const lines = hunks(diffLines(config.text, text));
  const apply = (): Promise<unknown> => call("POST /config/apply", { body: { text, digest: config.digest, confirm_within_s: CONFIRM_WITHIN_S } });
  return (
    <FormDialog title={t("What changes")} action={t("Apply")} onSubmit={apply} onClose={onClose} isWide>
      <div class="diff" tabIndex={0} role="region" aria-label={t("What changes")}>
        {lines.map((line, index) => (
          <div key={index} class={line ? (line.kind === "same" ? "" : line.kind) : "gap"}>
            {line ? `${line.kind === "added" ? "+" : line.kind === "removed" ? "−" : " "} ${line.text}` : "⋯"}
          </div>
        ))}
      </div>
      <p class="soft">{t("After this you have {seconds} seconds to say that all is well. If you do not, or this page cannot reach the box any more, the configuration of before comes back by itself.", { seconds: CONFIRM_WITHIN_S })}</p>
    </FormDialog>
  );
}

function Pending({ config, onChanged }: { config: ConfigText; onChanged: () => Promise<void> }): JSX.Element {
  const [now, setNow] = useState(Date.now() / 1000);
  const left = Math.max(0, Math.ceil(config.pending_revert_s - now));
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 250);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => {
    if (left > 0) return;
    const timer = setInterval(() => void onChanged(), 1000);
    return () => clearInterval(timer);
  }, [left > 0]);
  const confirm = async (): Promise<void> => {
    await call("POST /config/confirm");
    toast("ok", t("The new configuration stays"));
    await onChanged();
  };
  const revert = async (): Promise<void> => {
    await call("POST /config/revert");
    await onChanged();
  };
  const actions = (
    <>
      <Button isSmall onPress={revert}>
        {t("Take it back now")}
      </Button>
      <Button isSmall look="primary" onPress={confirm} isOff={!isOnline.value}>
        {t("Keep it")}
      </Button>
    </>
  );
  return (
    <Notice tone="warn" role="alert" title={left > 0 ? t("The new configuration is in force. Does everything work?") : t("It is being taken back")} actions={actions}>
      <p aria-live="off">{t("It is taken back by itself in {seconds} seconds.", { seconds: left })}</p>
    </Notice>
  );
}
