// The last reading of each device, out of the live subjects: what was sent below a device's own name is the device's.
// A rule that several devices may share (`site.>`) tells nothing of who sent, so it is left out.
import { matches } from "./subjects.ts";

interface Node<Value> {
  subject: string;
  last_s: number;
  last?: Value | null;
  children: readonly Node<Value>[];
}

export interface Reading<Value> {
  subject: string;
  at_s: number;
  value: Value;
}

/** The newest value on subjects that are the device's own. */
export function lastReading<Value>(device: { name: string; publish: readonly string[] }, nodes: readonly Node<Value>[]): Reading<Value> | null {
  const own = device.publish.filter((pattern) => pattern.split(".")[0] === device.name);
  let newest: Reading<Value> | null = null;
  const visit = (node: Node<Value>): void => {
    if (node.last && (!newest || node.last_s > newest.at_s) && own.some((pattern) => matches(pattern, node.subject))) newest = { subject: node.subject, at_s: node.last_s, value: node.last };
    node.children.forEach(visit);
  };
  for (const node of nodes) if (node.subject === device.name) visit(node);
  return newest;
}
