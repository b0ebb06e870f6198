// Key-value buckets: all of them, and one with its keys, values and their history.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import type { KeyEntry } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, duration, parseDuration } from "../../logic/format.ts";
import { link, place } from "../../router.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { BodyView, brief } from "../../ui/body.tsx";
import { Collection, DeleteWhole, type Making } from "../../ui/collection.tsx";
import { Confirm, Dialog, FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Badge, Button, Card, Empty, Facts, Loaded, Notice, PageHead, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";

export function Keys(): JSX.Element {
  const name = place.value.parts[1];
  return name ? <OneBucket key={name} name={name} /> : <AllBuckets />;
}

function AllBuckets(): JSX.Element {
  const buckets = useResource("GET /kv", { query: accountQuery.value }, { on: ["streams"], everyMs: 5000 });
  return (
    <Collection
      page="kv"
      title={t("Key-value")}
      about={t("A bucket keeps the newest value of each key, and as many old ones as you like.")}
      resource={buckets}
      rows={(value) => value.buckets}
      icon="key"
      none={t("No bucket yet")}
      makeLabel={t("New bucket")}
      Make={NewBucket}
      columns={[
        { name: t("Keys"), cell: (bucket) => bucket.keys, isNumber: true },
        { name: t("Size"), cell: (bucket) => bucket.bytes, show: (bucket) => bytes(bucket.bytes), isNumber: true },
        { name: t("Values kept"), cell: (bucket) => bucket.history, isNumber: true },
        { name: t("Forgets after"), cell: (bucket) => bucket.ttl_s, show: (bucket) => (bucket.ttl_s ? duration(bucket.ttl_s) : t("never")) },
      ]}
    />
  );
}

function NewBucket({ onClose }: Making): JSX.Element {
  const [name, setName] = useState("");
  const [history, setHistory] = useState("1");
  const [ttl, setTtl] = useState("");
  const make = (): Promise<unknown> => call("POST /kv", { query: accountQuery.value, body: { name, history: Number(history), ttl_s: ttl ? (parseDuration(ttl) ?? 0) : 0 } });
  return (
    <FormDialog title={t("New bucket")} action={t("Make it")} onSubmit={make} onClose={onClose}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus pattern="[A-Za-z0-9_\-]+" hint={t("Letters, digits, - and _")} />
      <div class="form-row">
        <TextField label={t("Values kept of each key")} type="number" min={1} value={history} onChange={setHistory} />
        <TextField label={t("Forget values after")} value={ttl} onChange={setTtl} placeholder={t("never")} hint={t("For example 12h, 30d")} wrong={ttl && parseDuration(ttl) === null ? t("A number with s, m, h or d, please.") : null} />
      </div>
    </FormDialog>
  );
}

function OneBucket({ name }: { name: string }): JSX.Element {
  const bucket = useResource("GET /kv/{bucket}", { path: { bucket: name }, query: accountQuery.value }, { on: ["streams"], everyMs: 3000 });
  const [asked, setAsked] = useState<"put" | "delete" | null>(null);
  const [shown, setShown] = useState<string | null>(null);
  const isOff = !may("operator");
  const why = t(needs("operator"));
  const actions = (
    <>
      <Button icon="plus" look="primary" onPress={() => setAsked("put")} isOff={isOff} why={why}>
        {t("Set a value")}
      </Button>
      <Button icon="trash" look="danger" onPress={() => setAsked("delete")} isOff={isOff} why={why}>
        {t("Delete")}
      </Button>
    </>
  );
  const close = (): void => {
    setAsked(null);
    setShown(null);
    void bucket.reload();
  };
  return (
    <>
      <PageHead title={name} crumbs={<a href={link(["kv"])}>{t("Key-value")}</a>} actions={actions} />
      <Card>
        <Loaded resource={bucket}>
          {(value) => (
            <>
              {value.cut && <Notice tone="info" title={t("There are more keys than are listed here.")} />}
              <Table
                name={t("Keys")}
                rows={value.keys}
                rowKey={(entry) => entry.key}
                empty={<Empty icon="key" title={t("This bucket is empty")} />}
                columns={[
                  { name: t("Key"), cell: (entry) => entry.key, show: (entry) => <Button look="quiet" isSmall onPress={() => setShown(entry.key)}>{entry.key}</Button> },
                  { name: t("Value"), cell: (entry) => brief(entry.body), show: (entry) => <code>{brief(entry.body)}</code> },
                  { name: t("Revision"), cell: (entry) => entry.revision, isNumber: true },
                  { name: t("Changed"), cell: (entry) => entry.time, show: (entry) => <When at={entry.time} /> },
                ]}
              />
            </>
          )}
        </Loaded>
      </Card>
      {asked === "put" && <PutValue bucket={name} onClose={close} />}
      {shown !== null && <KeyDialog bucket={name} name={shown} onClose={close} />}
      {asked === "delete" && (
        <DeleteWhole
          page="kv"
          name={name}
          loss={t("All its keys and values go with it. This cannot be undone.")}
          onDelete={() => call("DELETE /kv/{bucket}", { path: { bucket: name }, query: accountQuery.value })}
          onClose={() => setAsked(null)}
        />
      )}
    </>
  );
}

function PutValue({ bucket, entry, onClose }: { bucket: string; entry?: KeyEntry | undefined; onClose: () => void }): JSX.Element {
  const [key, setKey] = useState(entry?.key ?? "");
  const [data, setData] = useState(entry?.body.encoding === "text" ? entry.body.data : "");
  const put = (): Promise<unknown> =>
    call("PUT /kv/{bucket}/keys/{key}", { path: { bucket, key }, query: accountQuery.value, body: { data, ...(entry ? { revision: entry.revision } : {}) } });
  return (
    <FormDialog title={entry ? t("Change {name}", { name: entry.key }) : t("Set a value")} action={t("Store")} onSubmit={put} onClose={onClose}>
      {!entry && <TextField label={t("Key")} value={key} onChange={setKey} isRequired hasFocus placeholder="pump-1.limit" />}
      <TextField label={t("Value")} value={data} onChange={setData} lines={6} />
      {entry && <p class="small soft">{t("If somebody else changes it in between, nothing is overwritten; you are told.")}</p>}
    </FormDialog>
  );
}

function KeyDialog({ bucket, name, onClose }: { bucket: string; name: string; onClose: () => void }): JSX.Element {
  const value = useResource("GET /kv/{bucket}/keys/{key}", { path: { bucket, key: name }, query: accountQuery.value });
  const [asked, setAsked] = useState<"edit" | "delete" | null>(null);
  const isOff = !may("operator");
  const why = t(needs("operator"));
  if (asked === "edit") return <PutValue bucket={bucket} entry={value.value.value?.entry} onClose={onClose} />;
  if (asked === "delete") {
    return (
      <Confirm title={t("Delete {name}?", { name })} action={t("Delete")} onClose={onClose} onConfirm={() => call("DELETE /kv/{bucket}/keys/{key}", { path: { bucket, key: name }, query: accountQuery.value })}>
        <p>{t("Programs see it as deleted; older values stay in the history of the bucket.")}</p>
      </Confirm>
    );
  }
  return (
    <Dialog title={name} onClose={onClose} isWide>
      <Loaded resource={value}>
        {({ entry, history }) => (
          <>
            <Facts rows={[[t("Revision"), entry.revision], [t("Changed"), <When at={entry.time} />], [t("Size"), bytes(entry.body.size)]]} />
            <div class="code wrap">
              <BodyView body={entry.body} form="auto" />
            </div>
            {history.length > 0 && (
              <>
                <h3>{t("Earlier values")}</h3>
                <ul class="stack-small">
                  {history.map((old) => (
                    <li key={old.revision} class="row">
                      <Badge>{old.revision}</Badge>
                      <When at={old.time} />
                      <code>{old.operation === "put" ? brief(old.body, 80) : t("deleted")}</code>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </>
        )}
      </Loaded>
      <div class="actions">
        <Button icon="trash" look="danger" onPress={() => setAsked("delete")} isOff={isOff} why={why}>
          {t("Delete")}
        </Button>
        <Button icon="edit" onPress={() => setAsked("edit")} isOff={isOff} why={why}>
          {t("Change")}
        </Button>
      </div>
    </Dialog>
  );
}
