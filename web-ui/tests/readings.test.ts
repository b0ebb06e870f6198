import assert from "node:assert/strict";
import { test } from "node:test";
import { lastReading } from "../src/logic/readings.ts";

const leaf = (subject: string, at: number, last: string) => ({ subject, last_s: at, last, children: [] });
const TREE = [
  { subject: "pump-1", last_s: 9, last: null, children: [leaf("pump-1.pressure", 5, "3.2"), leaf("pump-1.flow", 7, "12"), leaf("pump-1.secret", 9, "x")] },
  leaf("site", 8, "1"),
];

test("the newest value below a device's own name is its reading", () => {
  assert.deepEqual(lastReading({ name: "pump-1", publish: ["pump-1.pressure", "pump-1.flow"] }, TREE), { subject: "pump-1.flow", at_s: 7, value: "12" });
  assert.equal(lastReading({ name: "pump-1", publish: ["pump-1.>"] }, TREE)?.value, "x");
});

test("a rule that others may share gives no reading", () => {
  assert.equal(lastReading({ name: "site-1", publish: ["site.>", "site"] }, TREE), null);
  assert.equal(lastReading({ name: "pump-2", publish: ["pump-2.>"] }, TREE), null);
});
