// Logins that are open, one's own or everybody's, and ending one left open elsewhere.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import { t } from "../../i18n/i18n.ts";
import { session } from "../../session.ts";
import { FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Loaded, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";

export function Sessions(): JSX.Element {
  const sessions = useResource("GET /sessions", {}, { everyMs: 10_000 });
  const [isChanging, setChanging] = useState(false);
  const end = async (id: string): Promise<void> => {
    await call("DELETE /sessions/{id}", { path: { id } });
    await sessions.reload();
  };
  return (
    <Card title={t("Open logins")} actions={<Button icon="key" isSmall onPress={() => setChanging(true)}>{t("Change my password")}</Button>}>
      <Loaded resource={sessions}>
        {(value) => (
          <Table
            name={t("Open logins")}
            rows={value.sessions}
            rowKey={(each) => each.id}
            empty={null}
            columns={[
              { name: t("Name"), cell: (each) => each.name },
              { name: t("From"), cell: (each) => each.ip, show: (each) => <span class="row">{each.ip}{each.current && <Badge tone="info">{t("this one")}</Badge>}</span> },
              { name: t("Browser"), cell: (each) => each.agent },
              { name: t("Since"), cell: (each) => each.created_s, show: (each) => <When at={each.created_s * 1000} /> },
              { name: t("Last active"), cell: (each) => each.last_seen_s, show: (each) => <When at={each.last_seen_s * 1000} /> },
              { name: t("Ends at the latest"), cell: (each) => each.expires_s, show: (each) => <When at={each.expires_s * 1000} /> },
            ]}
            actions={(each) => <Button icon="exit" look="quiet" isSmall label={t("End the login of {name}", { name: each.name })} onPress={() => end(each.id)} />}
          />
        )}
      </Loaded>
      {isChanging && <OwnPassword onClose={() => setChanging(false)} />}
    </Card>
  );
}

function OwnPassword({ onClose }: { onClose: () => void }): JSX.Element {
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const change = async (): Promise<void> => {
    await call("PATCH /people/{name}", { path: { name: session.value?.name ?? "" }, body: { password, current_password: current } });
    toast("ok", t("Your password is changed"));
  };
  return (
    <FormDialog title={t("Change my password")} action={t("Change")} onSubmit={change} onClose={onClose}>
      <TextField label={t("Your present password")} type="password" value={current} onChange={setCurrent} isRequired hasFocus autocomplete="current-password" />
      <TextField label={t("New password")} type="password" value={password} onChange={setPassword} isRequired autocomplete="new-password" hint={t("At least 10 characters.")} />
    </FormDialog>
  );
}
