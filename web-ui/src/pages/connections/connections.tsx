// Connections: who is connected, how much passes, and closing one.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { Connection, Connections as All } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, count, short } from "../../logic/format.ts";
import { type Rates, rates } from "../../logic/rates.ts";
import { may, needs } from "../../session.ts";
import { Confirm, Dialog } from "../../ui/dialog.tsx";
import { Badge, Button, Card, Empty, Facts, Loaded, Notice, PageHead, Segments, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";

// As many as the live event brings; the total says when there are more.
const CONNECTIONS_MAX = 256;

export function Connections(): JSX.Element {
  const [state, setState] = useState<"open" | "closed">("open");
  const connections = useResource("GET /connections", { query: { state, limit: CONNECTIONS_MAX } }, state === "open" ? { document: "connections" } : { everyMs: 5000 });
  const [shown, setShown] = useState<Connection | null>(null);
  const [kicked, setKicked] = useState<Connection | null>(null);
  return (
    <>
      <PageHead
        title={t("Connections")}
        actions={
          <Segments
            label={t("Which connections")}
            value={state}
            onChange={setState}
            options={[
              ["open", t("Open")],
              ["closed", t("Closed lately")],
            ]}
          />
        }
      >
        {t("Programs and devices that are connected over NATS, WebSocket or MQTT.")}
      </PageHead>
      <Card>
        <Loaded resource={connections}>
          {(value) => (
            <>
              {value.total > value.connections.length && <Notice tone="info" title={t("The first {shown} of {total} are shown.", { shown: value.connections.length, total: value.total })} />}
              <List all={value} isOpen={state === "open"} onShow={setShown} onKick={setKicked} />
            </>
          )}
        </Loaded>
      </Card>
      {shown && <Details cid={shown.cid} name={nameOf(shown)} onClose={() => setShown(null)} />}
      {kicked && (
        <Confirm
          title={t("Close the connection of {name}?", { name: nameOf(kicked) })}
          action={t("Close it")}
          onClose={() => {
            setKicked(null);
            void connections.reload();
          }}
          onConfirm={async () => {
            await call("DELETE /connections/{cid}", { path: { cid: kicked.cid } });
            toast("ok", t("Closed"));
          }}
        >
          <p>{t("It may connect again at once. To keep it out, take its credential away.")}</p>
        </Confirm>
      )}
    </>
  );
}

function nameOf(connection: Connection): string {
  return connection.mqtt_client || connection.name || `${connection.ip}:${connection.port}`;
}

function List({ all, isOpen, onShow, onKick }: { all: All; isOpen: boolean; onShow: (connection: Connection) => void; onKick: (connection: Connection) => void }): JSX.Element {
  const speeds = useRates(all);
  const rate = (connection: Connection, which: keyof Rates): number => speeds.get(connection.cid)?.[which] ?? 0;
  return (
    <Table
      name={t("Connections")}
      rows={all.connections}
      rowKey={(connection) => connection.cid}
      empty={<Empty icon="connection" title={isOpen ? t("Nobody is connected") : t("Nobody has left lately")} />}
      columns={[
        { name: t("Number"), cell: (connection) => connection.cid, isNumber: true },
        { name: t("Name"), cell: nameOf, show: (connection) => <Button look="quiet" isSmall onPress={() => onShow(connection)}>{nameOf(connection)}</Button> },
        { name: t("Kind"), cell: (connection) => connection.type || connection.kind, show: (connection) => <Badge>{connection.type || connection.kind}</Badge> },
        { name: t("User"), cell: (connection) => connection.user },
        { name: t("Account"), cell: (connection) => connection.account },
        { name: t("Address"), cell: (connection) => `${connection.ip}:${connection.port}` },
        ...(isOpen
          ? [
              { name: t("In/s"), cell: (connection: Connection) => rate(connection, "inMessages"), show: (connection: Connection) => short(rate(connection, "inMessages")), isNumber: true },
              { name: t("Out/s"), cell: (connection: Connection) => rate(connection, "outMessages"), show: (connection: Connection) => short(rate(connection, "outMessages")), isNumber: true },
            ]
          : [{ name: t("Why"), cell: (connection: Connection) => connection.reason }]),
        { name: t("Subscriptions"), cell: (connection) => connection.subscriptions, isNumber: true },
        { name: t("Waiting"), cell: (connection) => connection.pending_bytes, show: (connection) => bytes(connection.pending_bytes), isNumber: true },
        { name: t("Round trip"), cell: (connection) => connection.rtt },
      ]}
      actions={isOpen ? (connection) => <Button icon="exit" look="quiet" isSmall label={t("Close the connection of {name}", { name: nameOf(connection) })} onPress={() => onKick(connection)} isOff={!may("operator")} why={t(needs("operator"))} /> : undefined}
    />
  );
}

/** Rates are differences of two lists; the first list has none. */
function useRates(all: All): ReadonlyMap<number, Rates> {
  const memory = useRef<{ last: All; found: ReadonlyMap<number, Rates> }>({ last: all, found: new Map() });
  if (memory.current.last.at_s !== all.at_s) memory.current = { last: all, found: rates(memory.current.last, all) };
  return memory.current.found;
}

function Details({ cid, name, onClose }: { cid: number; name: string; onClose: () => void }): JSX.Element {
  const found = useResource("GET /connections/{cid}", { path: { cid } });
  return (
    <Dialog title={name} onClose={onClose}>
      <Loaded resource={found}>
        {(value) => {
          const connection = value.connections[0];
          if (!connection) return <p class="soft">{t("It is gone.")}</p>;
          return (
            <>
              <Facts
                rows={[
                  [t("Program"), [connection.language, connection.version].filter(Boolean).join(" ") || "–"],
                  [t("Since"), <When at={connection.start} />],
                  [t("Last active"), <When at={connection.last_activity} />],
                  [t("Messages in"), `${count(connection.in_messages)} (${bytes(connection.in_bytes)})`],
                  [t("Messages out"), `${count(connection.out_messages)} (${bytes(connection.out_bytes)})`],
                  [t("Encrypted"), connection.tls_version || t("no")],
                ]}
              />
              <h3>{t("Subscriptions")}</h3>
              {connection.subscription_subjects.length === 0 ? <p class="soft">{t("None.")}</p> : <pre class="code wrap">{connection.subscription_subjects.join("\n")}</pre>}
            </>
          );
        }}
      </Loaded>
    </Dialog>
  );
}
