// API tokens for scripts and scrapers, each with a role, narrowed by scopes.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { NewTokenMade, Token } from "../../api/types.ts";
import { ROLE_NAMES } from "../../app.tsx";
import { t } from "../../i18n/i18n.ts";
import { parseDuration } from "../../logic/format.ts";
import type { Role } from "../../session.ts";
import { Confirm, Dialog, FormDialog } from "../../ui/dialog.tsx";
import { CheckField, TextField } from "../../ui/form.tsx";
import { Button, Card, Code, Empty, Loaded, Notice, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { RoleChoices } from "./people.tsx";

export function Tokens(): JSX.Element {
  const tokens = useResource("GET /tokens");
  const [isAdding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<Token | null>(null);
  const [made, setMade] = useState<NewTokenMade | null>(null);
  const close = (): void => {
    setAdding(false);
    setRemoved(null);
    void tokens.reload();
  };
  const add = (
    <Button icon="plus" isSmall onPress={() => setAdding(true)}>
      {t("New token")}
    </Button>
  );
  return (
    <Card title={t("API tokens")} actions={add}>
      <Loaded resource={tokens}>
        {(value) => (
          <Table
            name={t("API tokens")}
            rows={value.tokens}
            rowKey={(token) => token.id}
            empty={
              <Empty icon="key" title={t("No token yet")}>
                {t("A token lets a script or Prometheus read this box without a person's password.")}
              </Empty>
            }
            columns={[
              { name: t("Name"), cell: (token) => token.name },
              { name: t("Role"), cell: (token) => t(ROLE_NAMES[token.role]) },
              { name: t("Only"), cell: (token) => token.scopes.join(", ") || t("everything of the role") },
              { name: t("Created by"), cell: (token) => token.created_by },
              { name: t("Last used"), cell: (token) => token.last_used_s, show: (token) => <When at={token.last_used_s * 1000} none={t("never")} /> },
              { name: t("Ends"), cell: (token) => token.expires_s, show: (token) => <When at={token.expires_s * 1000} none={t("never")} /> },
            ]}
            actions={(token) => <Button icon="trash" look="quiet" isSmall label={t("Remove {name}", { name: token.name })} onPress={() => setRemoved(token)} />}
          />
        )}
      </Loaded>
      {isAdding && <AddToken scopes={tokens.value.value?.scopes ?? []} onClose={close} onMade={setMade} />}
      {removed && (
        <Confirm title={t("Remove {name}?", { name: removed.name })} action={t("Remove")} onClose={close} onConfirm={() => call("DELETE /tokens/{id}", { path: { id: removed.id } })}>
          <p>{t("What uses it is refused at once.")}</p>
        </Confirm>
      )}
      {made && (
        <Dialog title={t("Token {name}", { name: made.token.name })} onClose={() => setMade(null)}>
          <Notice tone="warn" title={t("The token is shown only now")} />
          <Code text={made.secret} label={t("Token")} isWrapped />
          <Code text={`curl -H "Authorization: Bearer ${made.secret}" ${location.origin}/varz`} label={t("For example")} isWrapped />
        </Dialog>
      )}
    </Card>
  );
}

function AddToken({ scopes, onClose, onMade }: { scopes: readonly string[]; onClose: () => void; onMade: (made: NewTokenMade) => void }): JSX.Element {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [lasts, setLasts] = useState("");
  const seconds = lasts ? parseDuration(lasts) : 0;
  const add = async (): Promise<void> => onMade(await call("POST /tokens", { body: { name, role, scopes: [...chosen], expires_in_s: seconds ?? 0 } }));
  return (
    <FormDialog title={t("New token")} action={t("Make it")} onSubmit={add} onClose={onClose} isOff={seconds === null}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus placeholder="prometheus" />
      <RoleChoices value={role} onChange={setRole} />
      {scopes.length > 0 && (
        <fieldset>
          <legend>{t("Only for")}</legend>
          <p class="small soft">{t("None chosen: everything the role may.")}</p>
          <div class="row">
            {scopes.map((scope) => (
              <CheckField key={scope} label={scope} value={chosen.includes(scope)} onChange={(isOn) => setChosen(isOn ? [...chosen, scope] : chosen.filter((each) => each !== scope))} />
            ))}
          </div>
        </fieldset>
      )}
      <TextField label={t("Ends after")} value={lasts} onChange={setLasts} placeholder={t("never")} hint={t("For example 12h, 30d")} wrong={seconds === null ? t("A number with s, m, h or d, please.") : null} />
    </FormDialog>
  );
}
