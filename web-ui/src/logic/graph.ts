// Where the boxes of the flow graph stand: columns from left to right, few crossings, no overlap.

export interface GraphNode {
  id: string;
  /** 0 is leftmost. */
  column: number;
}

export interface GraphEdge {
  from: string;
  to: string;
}

export interface Placed {
  x: number;
  y: number;
}

export interface Layout {
  width: number;
  height: number;
  places: Map<string, Placed>;
}

export interface Sizes {
  nodeWidth: number;
  nodeHeight: number;
  columnGap: number;
  rowGap: number;
}

// Barycentre ordering settles after a few sweeps; more never helped on graphs of this size.
const SWEEPS = 4;

/** Places every node; within a column they stand in the order of their neighbours' mean position. */
export function layOut(nodes: readonly GraphNode[], edges: readonly GraphEdge[], sizes: Sizes): Layout {
  const columnNumbers = [...new Set(nodes.map((node) => node.column))].sort((a, b) => a - b);
  const columns = columnNumbers.map((column) => nodes.filter((node) => node.column === column).map((node) => node.id));
  const neighbours = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const { from, to } of edges) {
    neighbours.get(from)?.push(to);
    neighbours.get(to)?.push(from);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) order(columns, neighbours);
  const step = sizes.nodeHeight + sizes.rowGap;
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const height = rows * step - sizes.rowGap;
  const places = new Map<string, Placed>();
  for (const [index, column] of columns.entries()) {
    const top = (height - (column.length * step - sizes.rowGap)) / 2;
    for (const [row, id] of column.entries()) {
      places.set(id, { x: index * (sizes.nodeWidth + sizes.columnGap), y: top + row * step });
    }
  }
  const width = Math.max(1, columns.length) * (sizes.nodeWidth + sizes.columnGap) - sizes.columnGap;
  return { width, height, places };
}

function order(columns: string[][], neighbours: ReadonlyMap<string, readonly string[]>): void {
  const position = new Map<string, number>();
  const remember = (): void => {
    for (const column of columns) {
      for (const [row, id] of column.entries()) position.set(id, (row + 0.5) / column.length);
    }
  };
  for (const column of columns) {
    remember();
    const mean = (id: string): number => {
      const near = neighbours.get(id) ?? [];
      const own = position.get(id) ?? 0;
      return near.length ? near.reduce((sum, other) => sum + (position.get(other) ?? own), 0) / near.length : own;
    };
    const means = new Map(column.map((id) => [id, mean(id)]));
    column.sort((a, b) => (means.get(a) ?? 0) - (means.get(b) ?? 0));
  }
}

/** A smooth line from the right side of one box to the left side of another. */
export function curve(from: Placed, to: Placed, sizes: Sizes): string {
  const startX = from.x + sizes.nodeWidth;
  const startY = from.y + sizes.nodeHeight / 2;
  const endY = to.y + sizes.nodeHeight / 2;
  const bend = Math.max(24, (to.x - startX) / 2);
  return `M${startX} ${startY}C${startX + bend} ${startY} ${to.x - bend} ${endY} ${to.x} ${endY}`;
}
