// A page of named things of one kind: all of them in a table, a button that makes one more, and the deletion of one.
import type { ComponentType, JSX } from "preact";
import { useState } from "preact/hooks";
import type { Resource } from "../api/resource.ts";
import { t } from "../i18n/i18n.ts";
import { go, link } from "../router.ts";
import { may, needs, type Role } from "../session.ts";
import { Confirm } from "./dialog.tsx";
import type { IconName } from "./icons.tsx";
import { Button, Card, Empty, Loaded, PageHead } from "./parts.tsx";
import { type Column, Table } from "./table.tsx";

export interface Making {
  onClose: () => void;
}

interface CollectionProps<Value, Row> {
  /** The first part of the page's address. */
  page: string;
  title: string;
  about: string;
  resource: Resource<Value>;
  rows: (value: NonNullable<Value>) => readonly Row[];
  columns: readonly Column<Row>[];
  icon: IconName;
  /** What is said when there is none. */
  none: string;
  makeLabel: string;
  /** The dialog that makes one. */
  Make: ComponentType<Making>;
}

export function Collection<Value, Row extends { name: string; description: string }>({ page, title, about, resource, rows, columns, icon, none, makeLabel, Make }: CollectionProps<Value, Row>): JSX.Element {
  const { button, dialog } = useMaking(makeLabel, "operator", Make, resource.reload);
  return (
    <>
      <PageHead title={title} actions={button}>
        {about}
      </PageHead>
      <Card>
        <Loaded resource={resource}>
          {(value) => (
            <Table
              name={title}
              rows={rows(value)}
              rowKey={(row) => row.name}
              empty={<Empty icon={icon} title={none} action={button} />}
              columns={[
                { name: t("Name"), cell: (row) => row.name, show: (row) => <a href={link([page, row.name])}>{row.name}</a> },
                ...columns,
                { name: t("Description"), cell: (row) => row.description },
              ]}
            />
          )}
        </Loaded>
      </Card>
      {dialog}
    </>
  );
}

/** A button that opens the dialog in which one more is made, and that dialog while it is open. */
export function useMaking(label: string, role: Role, Make: ComponentType<Making>, onMade: () => Promise<void>, isSmall = false): { button: JSX.Element; dialog: JSX.Element | false } {
  const [isOpen, setOpen] = useState(false);
  const close = (): void => {
    setOpen(false);
    void onMade();
  };
  return {
    button: (
      <Button icon="plus" look={isSmall ? "plain" : "primary"} isSmall={isSmall} onPress={() => setOpen(true)} isOff={!may(role)} why={t(needs(role))}>
        {label}
      </Button>
    ),
    dialog: isOpen && <Make onClose={close} />,
  };
}

/** Asks before a whole one is deleted, and leaves its page afterwards. */
export function DeleteWhole({ page, name, loss, onDelete, onClose }: { page: string; name: string; loss: string; onDelete: () => Promise<unknown>; onClose: () => void }): JSX.Element {
  return (
    <Confirm title={t("Delete {name}?", { name })} action={t("Delete")} typed={name} onClose={onClose} onConfirm={() => onDelete().then(() => go([page]))}>
      <p>{loss}</p>
    </Confirm>
  );
}
