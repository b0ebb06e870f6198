// People who may log in to this page.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Person } from "../../api/types.ts";
import { ROLE_NAMES } from "../../app.tsx";
import { t } from "../../i18n/i18n.ts";
import { type Role, session } from "../../session.ts";
import { Confirm, FormDialog } from "../../ui/dialog.tsx";
import { Choices, TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Loaded, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";

type Asked = { what: "add" } | { what: "change" | "remove"; person: Person } | null;

export function People(): JSX.Element {
  const people = useResource("GET /people");
  const [asked, setAsked] = useState<Asked>(null);
  const close = (): void => {
    setAsked(null);
    void people.reload();
  };
  const add = (
    <Button icon="plus" isSmall onPress={() => setAsked({ what: "add" })}>
      {t("Add a person")}
    </Button>
  );
  return (
    <Card title={t("People")} actions={add}>
      <Loaded resource={people}>
        {(value) => (
          <Table
            name={t("People")}
            rows={value.people}
            rowKey={(person) => person.name}
            empty={null}
            columns={[
              { name: t("Name"), cell: (person) => person.name, show: (person) => <PersonName person={person} /> },
              { name: t("Role"), cell: (person) => t(ROLE_NAMES[person.role]) },
              { name: t("Open logins"), cell: (person) => person.sessions, isNumber: true },
              { name: t("Last login"), cell: (person) => person.last_login_s, show: (person) => <When at={person.last_login_s * 1000} none={t("never")} /> },
              { name: t("Created"), cell: (person) => person.created_s, show: (person) => <When at={person.created_s * 1000} /> },
            ]}
            actions={(person) => (
              <>
                <Button icon="edit" look="quiet" isSmall label={t("Change {name}", { name: person.name })} onPress={() => setAsked({ what: "change", person })} />
                <Button icon="trash" look="quiet" isSmall label={t("Remove {name}", { name: person.name })} onPress={() => setAsked({ what: "remove", person })} isOff={person.name === session.value?.name} why={t("You cannot remove yourself.")} />
              </>
            )}
          />
        )}
      </Loaded>
      {asked?.what === "add" && <AddPerson onClose={close} />}
      {asked?.what === "change" && <ChangePerson person={asked.person} onClose={close} />}
      {asked?.what === "remove" && (
        <Confirm title={t("Remove {name}?", { name: asked.person.name })} action={t("Remove")} onClose={close} onConfirm={() => call("DELETE /people/{name}", { path: { name: asked.person.name } })}>
          <p>{t("Open logins and tokens of this person end at once.")}</p>
        </Confirm>
      )}
    </Card>
  );
}

function PersonName({ person }: { person: Person }): JSX.Element {
  return (
    <span class="row">
      {person.name}
      {person.name === session.value?.name && <Badge tone="info">{t("you")}</Badge>}
      {person.locked_until_s > Date.now() / 1000 && <Badge tone="bad">{t("locked")}</Badge>}
    </span>
  );
}

export function RoleChoices({ value, onChange }: { value: Role; onChange: (role: Role) => void }): JSX.Element {
  return (
    <Choices
      label={t("Role")}
      value={value}
      onChange={onChange}
      options={[
        ["viewer", t("Viewer"), t("Looks at everything but logs, changes nothing.")],
        ["operator", t("Operator"), t("Runs streams, devices and links from day to day.")],
        ["admin", t("Administrator"), t("Everything, people and configuration too.")],
      ]}
    />
  );
}

function AddPerson({ onClose }: { onClose: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  return (
    <FormDialog title={t("Add a person")} action={t("Add")} onSubmit={() => call("POST /people", { body: { name: name.trim(), password, role } })} onClose={onClose}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus />
      <TextField label={t("First password")} type="password" value={password} onChange={setPassword} isRequired autocomplete="new-password" hint={t("At least 10 characters.")} />
      <RoleChoices value={role} onChange={setRole} />
    </FormDialog>
  );
}

function ChangePerson({ person, onClose }: { person: Person; onClose: () => void }): JSX.Element {
  const isSelf = person.name === session.value?.name;
  const [role, setRole] = useState<Role>(person.role);
  const [password, setPassword] = useState("");
  const [current, setCurrent] = useState("");
  const change = (): Promise<unknown> =>
    call("PATCH /people/{name}", {
      path: { name: person.name },
      body: { ...(role !== person.role ? { role } : {}), ...(password ? { password } : {}), ...(isSelf && password ? { current_password: current } : {}) },
    });
  return (
    <FormDialog title={t("Change {name}", { name: person.name })} action={t("Change")} onSubmit={change} onClose={onClose}>
      {!isSelf && <RoleChoices value={role} onChange={setRole} />}
      <TextField label={t("New password")} type="password" value={password} onChange={setPassword} autocomplete="new-password" hint={t("Empty: it stays as it is. A new one ends the open logins.")} />
      {isSelf && password !== "" && <TextField label={t("Your present password")} type="password" value={current} onChange={setCurrent} isRequired autocomplete="current-password" />}
    </FormDialog>
  );
}
