// Rows of a table: filter, sort, CSV.

export type Cell = string | number | boolean | null | undefined;

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Rows whose cells together hold every word of the filter, in any case. */
export function filterRows<Row>(rows: readonly Row[], cells: (row: Row) => Cell[], filter: string): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...rows];
  return rows.filter((row) => {
    const text = cells(row).join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Rows in the order of one cell; nothing comes last in either direction, equal rows keep their order. */
export function sortRows<Row>(rows: readonly Row[], cell: (row: Row) => Cell, direction: "ascending" | "descending"): Row[] {
  const sign = direction === "ascending" ? 1 : -1;
  const isNothing = (value: Cell): boolean => value === null || value === undefined || value === "";
  return [...rows].sort((left, right) => {
    const a = cell(left);
    const b = cell(right);
    if (isNothing(a) || isNothing(b)) return Number(isNothing(a)) - Number(isNothing(b));
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * collator.compare(String(a), String(b));
  });
}

/**
 * Comma-separated values (RFC 4180). A text that a spreadsheet would run as a formula gets an apostrophe in front:
 * names of devices and subjects come from outside.
 */
export function toCsv(header: readonly string[], rows: readonly Cell[][]): string {
  const field = (cell: Cell): string => {
    let text = cell === null || cell === undefined ? "" : String(cell);
    if (typeof cell === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}
