// Rates of connections out of two lists of counters.

interface Counters {
  cid: number;
  in_messages: number;
  out_messages: number;
}

interface List {
  at_s: number;
  connections: readonly Counters[];
}

export interface Rates {
  inMessages: number;
  outMessages: number;
}

/** Per second, for connections in both lists. A counter that went back (a number used again) counts as still. */
export function rates(before: List, after: List): Map<number, Rates> {
  const seconds = after.at_s - before.at_s;
  const found = new Map<number, Rates>();
  if (seconds <= 0) return found;
  const earlier = new Map(before.connections.map((each) => [each.cid, each]));
  for (const each of after.connections) {
    const old = earlier.get(each.cid);
    if (!old) continue;
    found.set(each.cid, {
      inMessages: Math.max(0, each.in_messages - old.in_messages) / seconds,
      outMessages: Math.max(0, each.out_messages - old.out_messages) / seconds,
    });
  }
  return found;
}
