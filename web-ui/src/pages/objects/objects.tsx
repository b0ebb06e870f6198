// Object stores: all of them, and one with its objects to upload and download.
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { address, call } from "../../api/client.ts";
import { useResource } from "../../api/resource.ts";
import { t } from "../../i18n/i18n.ts";
import { bytes, parseSize } from "../../logic/format.ts";
import { link, place } from "../../router.ts";
import { accountQuery, may, needs } from "../../session.ts";
import { Collection, DeleteWhole, type Making } from "../../ui/collection.tsx";
import { Confirm, FormDialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/form.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Button, Card, Empty, Loaded, PageHead, When } from "../../ui/parts.tsx";
import { Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toasts.tsx";

export function Objects(): JSX.Element {
  const name = place.value.parts[1];
  return name ? <OneStore key={name} name={name} /> : <AllStores />;
}

function AllStores(): JSX.Element {
  const stores = useResource("GET /objects", { query: accountQuery.value }, { on: ["streams"], everyMs: 5000 });
  return (
    <Collection
      page="objects"
      title={t("Objects")}
      about={t("A store keeps whole files, of any size that fits on flash, in pieces that messages can carry.")}
      resource={stores}
      rows={(value) => value.stores}
      icon="object"
      none={t("No store yet")}
      makeLabel={t("New store")}
      Make={NewStore}
      columns={[
        { name: t("Size"), cell: (store) => store.bytes, show: (store) => bytes(store.bytes), isNumber: true },
        { name: t("Largest size"), cell: (store) => store.max_bytes, show: (store) => (store.max_bytes > 0 ? bytes(store.max_bytes) : "–"), isNumber: true },
      ]}
    />
  );
}

function NewStore({ onClose }: Making): JSX.Element {
  const [name, setName] = useState("");
  const [size, setSize] = useState("");
  const parsed = size ? parseSize(size) : -1;
  return (
    <FormDialog title={t("New store")} action={t("Make it")} onSubmit={() => call("POST /objects", { query: accountQuery.value, body: { name, max_bytes: parsed ?? -1 } })} onClose={onClose} isOff={parsed === null}>
      <TextField label={t("Name")} value={name} onChange={setName} isRequired hasFocus pattern="[A-Za-z0-9_\-]+" hint={t("Letters, digits, - and _")} />
      <TextField label={t("Largest size")} value={size} onChange={setSize} placeholder={t("no limit")} hint={t("For example 500M, 2G")} wrong={parsed === null ? t("A number with K, M or G, please.") : null} />
    </FormDialog>
  );
}

function OneStore({ name }: { name: string }): JSX.Element {
  const store = useResource("GET /objects/{store}", { path: { store: name }, query: accountQuery.value }, { on: ["streams"] });
  const [asked, setAsked] = useState<"store" | string | null>(null);
  const isOff = !may("operator");
  const why = t(needs("operator"));
  const upload = async (file: File): Promise<void> => {
    await call("PUT /objects/{store}/content/{name}", { path: { store: name, name: file.name }, query: accountQuery.value, file });
    toast("ok", t("{name} is stored", { name: file.name }));
    await store.reload();
  };
  const actions = (
    <>
      <Upload onFile={upload} isOff={isOff} />
      <Button icon="trash" look="danger" onPress={() => setAsked("store")} isOff={isOff} why={why}>
        {t("Delete")}
      </Button>
    </>
  );
  const remove = (object: string): Promise<unknown> => call("DELETE /objects/{store}/content/{name}", { path: { store: name, name: object }, query: accountQuery.value });
  return (
    <>
      <PageHead title={name} crumbs={<a href={link(["objects"])}>{t("Objects")}</a>} actions={actions} />
      <Card>
        <Loaded resource={store}>
          {(value) => (
            <Table
              name={t("Objects")}
              rows={value.objects}
              rowKey={(object) => object.name}
              empty={<Empty icon="object" title={t("This store is empty")} />}
              columns={[
                { name: t("Name"), cell: (object) => object.name },
                { name: t("Size"), cell: (object) => object.size, show: (object) => bytes(object.size), isNumber: true },
                { name: t("Pieces"), cell: (object) => object.chunks, isNumber: true },
                { name: t("Changed"), cell: (object) => object.modified, show: (object) => <When at={object.modified} /> },
              ]}
              actions={(object) => (
                <>
                  <a class="button quiet small icon" href={address("GET /objects/{store}/content/{name}", { path: { store: name, name: object.name }, query: accountQuery.value })} download={object.name} aria-label={t("Download {name}", { name: object.name })} title={t("Download {name}", { name: object.name })}>
                    <Icon name="download" size={16} />
                  </a>
                  <Button icon="trash" look="quiet" isSmall label={t("Delete {name}", { name: object.name })} onPress={() => setAsked(`/${object.name}`)} isOff={isOff} why={why} />
                </>
              )}
            />
          )}
        </Loaded>
      </Card>
      {asked === "store" && (
        <DeleteWhole
          page="objects"
          name={name}
          loss={t("All its objects go with it. This cannot be undone.")}
          onDelete={() => call("DELETE /objects/{store}", { path: { store: name }, query: accountQuery.value })}
          onClose={() => setAsked(null)}
        />
      )}
      {asked?.startsWith("/") && (
        <Confirm
          title={t("Delete {name}?", { name: asked.slice(1) })}
          action={t("Delete")}
          onClose={() => {
            setAsked(null);
            void store.reload();
          }}
          onConfirm={() => remove(asked.slice(1))}
        >
          <p>{t("It cannot be brought back.")}</p>
        </Confirm>
      )}
    </>
  );
}

function Upload({ onFile, isOff }: { onFile: (file: File) => Promise<void>; isOff: boolean }): JSX.Element {
  const id = useId();
  const choose = (): void => document.getElementById(id)?.click();
  const [file, setFile] = useState<File | null>(null);
  return (
    <>
      <input id={id} type="file" hidden aria-label={t("File to upload")} onChange={(event) => setFile(event.currentTarget.files?.[0] ?? null)} />
      {file && (
        <Button look="primary" icon="up" onPress={() => onFile(file).finally(() => setFile(null))}>
          {t("Upload {name}", { name: file.name })}
        </Button>
      )}
      <Button icon="plus" onPress={choose} isOff={isOff} why={t(needs("operator"))}>
        {t("Choose a file")}
      </Button>
    </>
  );
}
