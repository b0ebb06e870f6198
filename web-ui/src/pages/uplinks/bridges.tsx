// Bridges to other MQTT brokers: which there are, whether they flow, making and removing one.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { BridgeRule } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, count, words } from "../../logic/format.ts";
import { may, needs } from "../../session.ts";
import { type Making, useMaking } from "../../ui/collection.tsx";
import { Confirm, FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Loaded } from "../../ui/parts.tsx";
import { TONES } from "../../ui/severity.ts";
import { Table } from "../../ui/table.tsx";

export function Bridges(): JSX.Element {
  const bridges = useResource("GET /bridges", {}, { document: "bridges" });
  const { button, dialog } = useMaking(t("Add a bridge"), "admin", NewBridge, bridges.reload, true);
  const [removed, setRemoved] = useState("");
  return (
    <Card title={t("Bridges to other MQTT brokers")} actions={button}>
      <Loaded resource={bridges}>
        {(value) => (
          <Table
            name={t("Bridges")}
            rows={value.bridges}
            rowKey={(bridge) => bridge.name}
            empty={<p class="soft">{t("None. A bridge carries topics to another broker and back, and keeps them while it is away.")}</p>}
            columns={[
              { name: t("Name"), cell: (bridge) => bridge.name },
              { name: t("State"), cell: (bridge) => bridge.state, show: (bridge) => <Badge tone={TONES[bridge.severity]} hasDot>{t(bridge.state)}</Badge> },
              { name: t("Broker"), cell: (bridge) => bridge.url, show: (bridge) => <code>{bridge.url}</code> },
              { name: t("Topics out"), cell: (bridge) => topics(bridge.outbound), show: (bridge) => <code>{topics(bridge.outbound)}</code> },
              { name: t("Topics in"), cell: (bridge) => topics(bridge.inbound), show: (bridge) => <code>{topics(bridge.inbound)}</code> },
              { name: t("Waiting"), cell: (bridge) => bridge.backlog_messages, show: (bridge) => `${count(bridge.backlog_messages)} (${bytes(bridge.backlog_bytes)})`, isNumber: true },
              { name: t("In words"), cell: (bridge) => [bridge.sentence, bridge.next_step].filter(Boolean).join(". ") },
            ]}
            actions={(bridge) => (
              <Button icon="trash" look="quiet" isSmall label={t("Remove {name}", { name: bridge.name })} onPress={() => setRemoved(bridge.name)} isOff={bridge.origin === "configuration" || !may("admin")} why={bridge.origin === "configuration" ? t("It stands in the configuration; take it out there.") : t(needs("admin"))} />
            )}
          />
        )}
      </Loaded>
      {dialog}
      {removed && (
        <Confirm
          title={t("Remove {name}?", { name: removed })}
          action={t("Remove")}
          onConfirm={() => call("DELETE /bridges/{name}", { path: { name: removed } })}
          onClose={() => {
            setRemoved("");
            void bridges.reload();
          }}
        >
          <p>{t("Nothing more crosses it. What waits stays in its streams on this box.")}</p>
        </Confirm>
      )}
    </Card>
  );
}

function topics(rules: readonly BridgeRule[]): string {
  return rules.map((rule) => rule.local_prefix + rule.filter).join(" ") || "–";
}

function NewBridge({ onClose }: Making): JSX.Element {
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [out, setOut] = useState("");
  const [inward, setInward] = useState("");
  const [prefix, setPrefix] = useState("");
  const rules = (text: string): { filter: string; remote_prefix: string }[] => words(text).map((filter) => ({ filter, remote_prefix: prefix }));
  const add = (): Promise<unknown> => call("POST /bridges", { body: { name, url, user, password, outbound: rules(out), inbound: rules(inward) } });
  return (
    <FormDialog title={t("Add a bridge")} action={t("Add")} onSubmit={add} onClose={onClose} isWide>
      <div class="form-row">
        <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus pattern="[A-Za-z0-9_\-]+" hint={t("Letters, digits, - and _")} />
        <TextField label={t("Address of the broker")} value={url} onChange={setUrl} isRequired placeholder="mqtts://broker.example.org:8883" />
      </div>
      <div class="form-row">
        <TextField label={t("User")} value={user} onChange={setUser} />
        <TextField label={t("Password")} type="password" value={password} onChange={setPassword} autocomplete="new-password" />
      </div>
      <TextField label={t("Topics that go there")} value={out} onChange={setOut} placeholder="sensors/#" hint={t("They are kept here until the broker has them.")} />
      <TextField label={t("Topics that come from there")} value={inward} onChange={setInward} placeholder="commands/#" />
      <TextField label={t("What they begin with there")} value={prefix} onChange={setPrefix} placeholder="site7/" hint={t("Put before each topic at the broker. Empty: they are called the same.")} />
    </FormDialog>
  );
}
