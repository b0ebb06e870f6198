// Backups: making, checking, keeping elsewhere, putting back.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { address, call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Backup } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes } from "../../logic/format.ts";
import { Confirm, FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Badge, Button, Card, Empty, Loaded, Meter, type Tone, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";

const STATE_TONES: Record<Backup["state"], Tone> = { running: "info", complete: "ok", damaged: "bad", unknown: "soft" };

type Asked = { what: "make" } | { what: "verify" | "restore"; backup: Backup } | null;

export function Backups(): JSX.Element {
  const backups = useResource("GET /backups", {}, { everyMs: 5000 });
  const [asked, setAsked] = useState<Asked>(null);
  const close = (): void => {
    setAsked(null);
    void backups.reload();
  };
  const make = (
    <Button icon="plus" isSmall onPress={() => setAsked({ what: "make" })}>
      {t("Make a backup")}
    </Button>
  );
  return (
    <Card title={t("Backups")} actions={make}>
      <Loaded resource={backups}>
        {(value) => (
          <Table
            name={t("Backups")}
            rows={value.backups}
            rowKey={(backup) => backup.id}
            isDescending
            empty={
              <Empty icon="system" title={t("No backup yet")}>
                {t("One file with the configuration and everything that is stored, made while the box works. Keep it on another machine.")}
              </Empty>
            }
            columns={[
              { name: t("Created"), cell: (backup) => backup.created_s, show: (backup) => <When at={backup.created_s * 1000} /> },
              { name: t("Name"), cell: (backup) => backup.id },
              { name: t("Size"), cell: (backup) => backup.size_bytes, show: (backup) => bytes(backup.size_bytes), isNumber: true },
              { name: t("Encrypted"), cell: (backup) => (backup.encrypted ? t("yes") : t("no")) },
              { name: t("State"), cell: (backup) => backup.state, show: (backup) => <State backup={backup} /> },
            ]}
            actions={(backup) => (
              <>
                <a class="button quiet small icon" href={address("GET /backups/{id}", { path: { id: backup.id } })} download aria-label={t("Download {name}", { name: backup.id })} title={t("Download {name}", { name: backup.id })}>
                  <Icon name="download" size={16} />
                </a>
                <Button icon="check" look="quiet" isSmall label={t("Check {name}", { name: backup.id })} onPress={() => setAsked({ what: "verify", backup })} />
                <Button icon="refresh" look="quiet" isSmall label={t("Put {name} back", { name: backup.id })} onPress={() => setAsked({ what: "restore", backup })} />
              </>
            )}
          />
        )}
      </Loaded>
      {asked?.what === "make" && <Make onClose={close} />}
      {asked?.what === "verify" && <Verify backup={asked.backup} onClose={close} />}
      {asked?.what === "restore" && <Restore backup={asked.backup} onClose={close} />}
    </Card>
  );
}

function State({ backup }: { backup: Backup }): JSX.Element {
  if (backup.state === "running" && typeof backup.progress_percent === "number") return <Meter share={backup.progress_percent / 100} tone="ok" label={t("Progress")} />;
  return (
    <span class="row">
      <Badge tone={STATE_TONES[backup.state]}>{t(backup.state)}</Badge>
      <span class="small soft">{backup.detail}</span>
    </span>
  );
}

function Make({ onClose }: { onClose: () => void }): JSX.Element {
  const [passphrase, setPassphrase] = useState("");
  return (
    <FormDialog title={t("Make a backup")} action={t("Make it")} onSubmit={() => call("POST /backups", { body: passphrase ? { passphrase } : {} })} onClose={onClose}>
      <p class="soft">{t("The box goes on working meanwhile.")}</p>
      <TextField label={t("Passphrase")} type="password" value={passphrase} onChange={setPassphrase} hasFocus autocomplete="new-password" hint={t("With one, the file is encrypted. It cannot be opened without it, by nobody. At least 8 characters.")} />
    </FormDialog>
  );
}

function Verify({ backup, onClose }: { backup: Backup; onClose: () => void }): JSX.Element {
  const [passphrase, setPassphrase] = useState("");
  const verify = async (): Promise<void> => {
    const found = await call("POST /backups/{id}/verify", { path: { id: backup.id }, body: passphrase ? { passphrase } : {} });
    toast(found.sound ? "ok" : "bad", found.sound ? t("The backup is sound") : backup.encrypted ? t("The backup is damaged, or this is not its passphrase") : t("The backup is damaged"), found.detail ? [found.detail] : []);
  };
  return (
    <FormDialog title={t("Check {name}", { name: backup.id })} action={t("Check")} onSubmit={verify} onClose={onClose}>
      <p>{t("All of it is read and every checksum compared; nothing is changed.")}</p>
      {backup.encrypted && <TextField label={t("Passphrase")} type="password" value={passphrase} onChange={setPassphrase} isRequired hasFocus />}
    </FormDialog>
  );
}

function Restore({ backup, onClose }: { backup: Backup; onClose: () => void }): JSX.Element {
  const [passphrase, setPassphrase] = useState("");
  const restore = async (): Promise<void> => {
    const found = await call("POST /backups/{id}/restore", { path: { id: backup.id }, body: passphrase ? { passphrase } : {} });
    toast("ok", found.restart_needed ? t("Put back; the box starts again") : t("Put back"), found.detail ? [found.detail] : []);
  };
  return (
    <Confirm title={t("Put {name} back?", { name: backup.id })} action={t("Put it back")} typed={backup.id} onConfirm={restore} onClose={onClose}>
      <p>{t("What the box holds now is replaced by what it held then.")}</p>
      {backup.encrypted && <TextField label={t("Passphrase")} type="password" value={passphrase} onChange={setPassphrase} isRequired />}
    </Confirm>
  );
}
