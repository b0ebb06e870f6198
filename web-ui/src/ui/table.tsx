// Tables: filter, sort by any column, save as CSV; wide ones scroll inside their own frame.
import type { ComponentChildren, JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { plural, t } from "../i18n/i18n.ts";
import { type Cell, filterRows, sortRows, toCsv } from "../logic/rows.ts";
import { Icon } from "./icons.tsx";
import { Button } from "./parts.tsx";
import { saveText } from "./save.ts";

export interface Column<Row> {
  name: string;
  /** What is sorted, filtered and saved. */
  cell: (row: Row) => Cell;
  /** What is shown, when that is more than the cell. */
  show?: (row: Row) => ComponentChildren;
  isNumber?: boolean;
}

export interface TableProps<Row> {
  /** What the rows are, for the frame's name and the file's. */
  name: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string | number;
  actions?: (row: Row) => ComponentChildren;
  empty: ComponentChildren;
  tools?: ComponentChildren;
  sortBy?: number;
  isDescending?: boolean;
}

// A page of this many rows draws in a moment on a phone; the filter reaches all of them.
const ROWS_SHOWN = 200;
// Fewer rows are read at a glance.
const FILTER_FROM = 6;

export function Table<Row>({ name, rows, columns, rowKey, actions, empty, tools, sortBy = 0, isDescending = false }: TableProps<Row>): JSX.Element {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState({ column: sortBy, isDescending });
  const [shown, setShown] = useState(ROWS_SHOWN);
  const filterId = useId();
  if (rows.length === 0) {
    return (
      <>
        {tools && <div class="table-tools">{tools}</div>}
        {empty}
      </>
    );
  }
  const cells = (row: Row): Cell[] => columns.map((column) => column.cell(row));
  const column = columns[order.column] ?? (columns[0] as Column<Row>);
  const found = sortRows(filterRows(rows, cells, filter), column.cell, order.isDescending ? "descending" : "ascending");
  const save = (): void => saveText(`${name}.csv`, "text/csv", toCsv(columns.map((each) => each.name), found.map(cells)));
  return (
    <>
      <div class="table-tools">
        {(rows.length >= FILTER_FROM || filter !== "") && (
          <>
            <label class="visually-hidden" for={filterId}>
              {t("Filter {name}", { name })}
            </label>
            <input id={filterId} type="search" placeholder={t("Filter")} value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
          </>
        )}
        {tools}
        <span class="count" role="status">
          {found.length === rows.length ? plural(rows.length, "{count} row", "{count} rows") : t("{found} of {count} rows", { found: found.length, count: rows.length })}
        </span>
        <Button icon="download" isSmall onPress={save}>
          CSV
        </Button>
      </div>
      <div class="table-frame" tabIndex={0} role="region" aria-label={name}>
        <table>
          <thead>
            <tr>
              {columns.map((each, index) => (
                <th key={each.name} class={each.isNumber ? "right" : ""} scope="col" aria-sort={index === order.column ? (order.isDescending ? "descending" : "ascending") : undefined}>
                  <button type="button" class="sort" onClick={() => setOrder({ column: index, isDescending: index === order.column ? !order.isDescending : Boolean(each.isNumber) })}>
                    {each.name}
                    <Icon name="up" size={12} />
                  </button>
                </th>
              ))}
              {actions && (
                <th scope="col">
                  <span class="visually-hidden">{t("Actions")}</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {found.slice(0, shown).map((row) => (
              <tr key={rowKey(row)}>
                {columns.map((each) => (
                  <td key={each.name} class={each.isNumber ? "right" : ""}>
                    {each.show ? each.show(row) : (each.cell(row) ?? "–")}
                  </td>
                ))}
                {actions && <td class="actions-cell">{actions(row)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.length === 0 && <p class="soft">{t("Nothing matches “{filter}”.", { filter })}</p>}
      {found.length > shown && (
        <div>
          <Button isSmall onPress={() => setShown(shown + ROWS_SHOWN)}>
            {t("Show more")}
          </Button>
        </div>
      )}
    </>
  );
}
