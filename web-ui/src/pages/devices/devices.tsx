// Devices: what each one said last and when, its credential, and lines to paste for a new one.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Device, DeviceCredential } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { count, words } from "../../logic/format.ts";
import { go, link, place } from "../../router.ts";
import { may, needs } from "../../session.ts";
import { Sparkline } from "../../ui/chart.tsx";
import { Confirm, Dialog, FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Code, Empty, Facts, Loaded, Notice, PageHead, type Tone, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";

const STATE_LOOKS: Record<Device["state"], readonly [Tone, string]> = { online: ["ok", "online"], offline: ["soft", "offline"], never: ["info", "never seen"] };

export function Devices(): JSX.Element {
  const name = place.value.parts[1];
  return name ? <OneDevice name={name} /> : <AllDevices />;
}

function AllDevices(): JSX.Element {
  const devices = useResource("GET /devices", {}, { document: "devices" });
  const [isAdding, setAdding] = useState(false);
  const add = (
    <Button icon="plus" look="primary" onPress={() => setAdding(true)} isOff={!may("operator")} why={t(needs("operator"))}>
      {t("Add a device")}
    </Button>
  );
  return (
    <>
      <PageHead title={t("Devices")} actions={add}>
        {t("Each device has a credential of its own, so that one can be renewed or taken away without touching the others.")}
      </PageHead>
      <Card>
        <Loaded resource={devices}>
          {(value) => (
            <Table
              name={t("Devices")}
              rows={value.devices}
              rowKey={(device) => device.name}
              empty={
                <Empty icon="device" title={t("No device yet")} action={add}>
                  {t("Add one to get a user, a password and lines to paste for Mosquitto, Arduino, ESPHome, Python and NATS.")}
                </Empty>
              }
              columns={[
                { name: t("Name"), cell: (device) => device.name, show: (device) => <a href={link(["devices", device.name])}>{device.name}</a> },
                { name: t("State"), cell: (device) => t(STATE_LOOKS[device.state][1]), show: (device) => <StateBadge device={device} /> },
                { name: t("Last value"), cell: (device) => device.last_value, show: (device) => <code title={device.last_subject}>{cut(device.last_value)}</code> },
                { name: t("Trend"), cell: () => "", show: (device) => <Sparkline values={device.sparkline.filter((each) => each !== null)} label={t("Trend of {name}", { name: device.name })} /> },
                { name: t("Last seen"), cell: (device) => device.last_seen_s, show: (device) => <When at={device.last_seen_s * 1000} none={t("never")} /> },
                { name: t("Protocol"), cell: (device) => device.protocol.toUpperCase() },
                { name: t("Messages"), cell: (device) => device.messages, show: (device) => count(device.messages), isNumber: true },
                { name: t("Messages/s"), cell: (device) => device.messages_per_s, show: (device) => count(device.messages_per_s), isNumber: true },
              ]}
            />
          )}
        </Loaded>
      </Card>
      {isAdding && (
        <AddDevice
          onClose={() => {
            setAdding(false);
            void devices.reload();
          }}
        />
      )}
    </>
  );
}

function StateBadge({ device }: { device: Device }): JSX.Element {
  const [tone, name] = STATE_LOOKS[device.state];
  return (
    <Badge tone={tone} hasDot>
      {t(name)}
    </Badge>
  );
}

function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function AddDevice({ onClose }: { onClose: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [publish, setPublish] = useState("");
  const [subscribe, setSubscribe] = useState("");
  const [made, setMade] = useState<DeviceCredential | null>(null);
  if (made) return <CredentialDialog made={made} onClose={onClose} />;
  const isNameWrong = name !== "" && !/^[A-Za-z0-9_-]+$/.test(name);
  const add = async (): Promise<void> => {
    setMade(await call("POST /devices", { body: { name, publish: words(publish), subscribe: words(subscribe) } }));
  };
  return (
    <FormDialog title={t("Add a device")} action={t("Add")} onSubmit={add} onClose={() => {}} onCancel={onClose}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus hint={t("Letters, digits, - and _. For example: pump-1")} wrong={isNameWrong ? t("Only letters, digits, - and _ are possible.") : null} />
      <details>
        <summary>{t("Subjects it may use")}</summary>
        <div class="stack">
          <TextField label={t("May publish")} value={publish} onChange={setPublish} placeholder={`${name || "pump-1"}.>`} hint={t("Empty: everything below its own name. Several are separated by spaces.")} />
          <TextField label={t("May subscribe")} value={subscribe} onChange={setSubscribe} placeholder={`${name || "pump-1"}.>`} />
        </div>
      </details>
    </FormDialog>
  );
}

function CredentialDialog({ made, onClose }: { made: DeviceCredential; onClose: () => void }): JSX.Element {
  const [chosen, setChosen] = useState(0);
  const snippet = made.snippets[chosen];
  return (
    <Dialog title={t("Credential of {name}", { name: made.device.name })} onClose={onClose} isWide>
      <Notice tone="warn" title={t("The password is shown only now")}>
        <p>{t("Copy what you need. If it is lost, give the device a new one.")}</p>
      </Notice>
      <Facts rows={[[t("User"), <code>{made.user}</code>], [t("Password"), <code>{made.password}</code>]]} />
      {made.snippets.length > 0 && (
        <>
          <div class="tabs" role="group" aria-label={t("Lines to paste")}>
            {made.snippets.map((each, index) => (
              <button key={each.label} type="button" aria-pressed={index === chosen} onClick={() => setChosen(index)}>
                {each.label}
              </button>
            ))}
          </div>
          {snippet && <Code text={snippet.text} label={snippet.label} />}
        </>
      )}
      <div class="actions">
        <Button look="primary" onPress={onClose}>
          {t("Done")}
        </Button>
      </div>
    </Dialog>
  );
}

function OneDevice({ name }: { name: string }): JSX.Element {
  const device = useResource("GET /devices/{name}", { path: { name } }, { on: ["devices"] });
  const [asked, setAsked] = useState<"rotate" | "revoke" | null>(null);
  const [made, setMade] = useState<DeviceCredential | null>(null);
  const isOff = !may("operator");
  const actions = (
    <>
      <Button icon="refresh" onPress={() => setAsked("rotate")} isOff={isOff} why={t(needs("operator"))}>
        {t("New password")}
      </Button>
      <Button icon="trash" look="danger" onPress={() => setAsked("revoke")} isOff={isOff} why={t(needs("operator"))}>
        {t("Revoke")}
      </Button>
    </>
  );
  return (
    <>
      <PageHead title={name} crumbs={<a href={link(["devices"])}>{t("Devices")}</a>} actions={actions} />
      <Loaded resource={device}>
        {(value) => (
          <div class="grid">
            <Card title={t("Now")}>
              <Facts
                rows={[
                  [t("State"), <StateBadge device={value} />],
                  [t("Last seen"), <When at={value.last_seen_s * 1000} none={t("never")} />],
                  [t("Last value"), <code>{value.last_value || "–"}</code>],
                  [t("On subject"), <code>{value.last_subject || "–"}</code>],
                  [t("Messages"), count(value.messages)],
                  [t("Protocol"), value.protocol.toUpperCase() || "–"],
                  [t("Address"), value.ip || "–"],
                ]}
              />
              <Sparkline values={value.sparkline.filter((each) => each !== null)} label={t("Trend of {name}", { name })} />
            </Card>
            <Card title={t("Credential")}>
              <Facts
                rows={[
                  [t("Account"), value.account],
                  [t("Created"), <When at={value.created_s * 1000} />],
                  [t("May publish"), <code>{value.publish.join(", ") || "–"}</code>],
                  [t("May subscribe"), <code>{value.subscribe.join(", ") || "–"}</code>],
                ]}
              />
            </Card>
          </div>
        )}
      </Loaded>
      {asked === "rotate" && (
        <Confirm title={t("A new password for {name}?", { name })} action={t("New password")} onClose={() => setAsked(null)} onConfirm={async () => setMade(await call("POST /devices/{name}/rotate", { path: { name } }))}>
          <p>{t("The old one stops working at once; the device is cut off until it has the new one.")}</p>
        </Confirm>
      )}
      {asked === "revoke" && (
        <Confirm
          title={t("Revoke {name}?", { name })}
          action={t("Revoke")}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            await call("DELETE /devices/{name}", { path: { name } });
            go(["devices"]);
          }}
        >
          <p>{t("It is cut off at once and cannot come back with this credential. What it stored stays.")}</p>
        </Confirm>
      )}
      {made && <CredentialDialog made={made} onClose={() => setMade(null)} />}
    </>
  );
}
