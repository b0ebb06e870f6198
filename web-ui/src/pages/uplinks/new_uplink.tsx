// A link to a hub in one form: an address, a credential, what shall travel.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { t } from "../../i18n/i18n.ts";
import { words } from "../../logic/format.ts";
import type { Making } from "../../ui/collection.tsx";
import { FormDialog } from "../../ui/dialog.tsx";
import { Choices, TextField } from "../../ui/form.tsx";

export function NewUplink({ onClose }: Making): JSX.Element {
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const [how, setHow] = useState<"creds" | "password" | "none">("creds");
  const [credentials, setCredentials] = useState("");
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [forward, setForward] = useState("");
  const add = (): Promise<unknown> =>
    call("POST /uplinks", {
      body: {
        url,
        ...(name ? { name } : {}),
        ...(how === "creds" ? { credentials } : {}),
        ...(how === "password" ? { user, password } : {}),
        forward: words(forward),
      },
    });
  return (
    <FormDialog title={t("Link to a hub")} action={t("Link")} onSubmit={add} onClose={onClose} isWide>
      <div class="form-row">
        <TextField label={t("Address of the hub")} value={url} onChange={setUrl} isRequired hasFocus placeholder="tls://hub.example.org:7422" hint={t("The leafnode port of a nats-server")} />
        <TextField label={t("Name")} value={name} onChange={setName} placeholder="hub" hint={t("Empty: made from the address")} />
      </div>
      <Choices
        label={t("How the box proves who it is")}
        value={how}
        onChange={setHow}
        options={[
          ["creds", t("With a .creds file"), t("Paste its text; it is kept on the box, never shown again.")],
          ["password", t("With user and password"), t("As the hub's configuration names them.")],
          ["none", t("Not at all"), t("Only for a hub that lets everybody in.")],
        ]}
      />
      {how === "creds" && <TextField label={t("Text of the .creds file")} value={credentials} onChange={setCredentials} isRequired lines={5} placeholder="-----BEGIN NATS USER JWT-----" />}
      {how === "password" && (
        <div class="form-row">
          <TextField label={t("User")} value={user} onChange={setUser} isRequired />
          <TextField label={t("Password")} type="password" value={password} onChange={setPassword} autocomplete="new-password" />
        </div>
      )}
      <TextField label={t("Subjects to store and forward")} value={forward} onChange={setForward} placeholder="sensors.>" hint={t("They are kept here until the hub has them. Empty: only live messages travel.")} />
    </FormDialog>
  );
}
