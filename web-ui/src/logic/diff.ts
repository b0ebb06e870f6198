// Lines that differ between two texts, for showing a configuration before it is applied.

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
}

// The table below has (lines + 1)² cells; a configuration of this length costs a few megabytes for a moment.
const LINES_MAX = 2000;

/** The shortest edit by lines (longest common subsequence); beyond LINES_MAX all is shown as replaced. */
export function diffLines(before: string, after: string): DiffLine[] {
  const left = before.split("\n");
  const right = after.split("\n");
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < left.length - head && tail < right.length - head && left[left.length - 1 - tail] === right[right.length - 1 - tail]) tail++;
  const same = (lines: string[]): DiffLine[] => lines.map((text) => ({ kind: "same", text }));
  return [
    ...same(left.slice(0, head)),
    ...middle(left.slice(head, left.length - tail), right.slice(head, right.length - tail)),
    ...same(left.slice(left.length - tail)),
  ];
}

function middle(left: string[], right: string[]): DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: "removed", text });
  const added = (text: string): DiffLine => ({ kind: "added", text });
  if (left.length > LINES_MAX || right.length > LINES_MAX) return [...left.map(removed), ...right.map(added)];
  const width = right.length + 1;
  const common = new Uint16Array((left.length + 1) * width);
  const at = (row: number, column: number): number => common[row * width + column] ?? 0;
  for (let row = left.length - 1; row >= 0; row--) {
    for (let column = right.length - 1; column >= 0; column--) {
      common[row * width + column] =
        left[row] === right[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: DiffLine[] = [];
  let row = 0;
  let column = 0;
  while (row < left.length && column < right.length) {
    const text = left[row] as string;
    if (text === right[column]) {
      lines.push({ kind: "same", text });
      row++;
      column++;
    } else if (at(row + 1, column) >= at(row, column + 1)) {
      lines.push(removed(text));
      row++;
    } else {
      lines.push(added(right[column] as string));
      column++;
    }
  }
  return [...lines, ...left.slice(row).map(removed), ...right.slice(column).map(added)];
}

/** Only the changed lines and `context` unchanged ones around; what is left out becomes null. */
export function hunks(lines: readonly DiffLine[], context = 3): (DiffLine | null)[] {
  const near = lines.map((_, index) => lines.slice(Math.max(0, index - context), index + context + 1).some((line) => line.kind !== "same"));
  const shown: (DiffLine | null)[] = [];
  for (const [index, line] of lines.entries()) {
    if (near[index]) shown.push(line);
    else if (shown.at(-1) !== null) shown.push(null);
  }
  return shown.some((line) => line !== null) ? shown : [];
}
