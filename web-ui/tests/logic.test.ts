import assert from "node:assert/strict";
import { test } from "node:test";
import { diffLines, hunks } from "../src/logic/diff.ts";
import * as format from "../src/logic/format.ts";
import { curve, layOut } from "../src/logic/graph.ts";
import { filterRows, sortRows, toCsv } from "../src/logic/rows.ts";
import { matches, patternProblem, subjectTree } from "../src/logic/subjects.ts";

test("subjects become a tree in natural order, counted at each level", () => {
  const tree = subjectTree(["b.line10.t", "b.line2.t", "b.line2", "a"].map((subject) => ({ subject })));
  assert.deepEqual(tree.map((node) => [node.token, node.count]), [["a", 1], ["b", 3]]);
  const [, b] = tree;
  assert.deepEqual(b?.children.map((node) => [node.subject, node.count, node.leaf !== null]), [["b.line2", 2, true], ["b.line10", 1, false]]);
});

test("wildcards match as the server's do", () => {
  for (const [pattern, subject, expected] of [
    ["a.b", "a.b", true], ["a.*", "a.b", true], ["a.*", "a", false], ["a.*", "a.b.c", false], ["a.>", "a", false], ["a.>", "a.b.c", true],
    [">", "a", true], ["*.b", "a.b", true], ["*", "a.b", false],
  ] as const) assert.equal(matches(pattern, subject), expected, `${pattern} ${subject}`);
});

test("a wrong pattern is named", () => {
  assert.deepEqual(["", "a b", "a..b", ">.a", "a.*.>"].map(patternProblem), ["empty", "space", "token", "tail", null]);
});

test("a diff applied to one text gives the other", () => {
  const before = "a\nb\nc\nd\ne\nf";
  for (const after of ["a\nb\nX\nd\ne\nf", "b\nc\nd\ne\nf\ng", "", before, "x\ny", "a\nc\nb\nd\ne\nf\nf"]) {
    const lines = diffLines(before, after);
    assert.equal(lines.filter((line) => line.kind !== "added").map((line) => line.text).join("\n"), before);
    assert.equal(lines.filter((line) => line.kind !== "removed").map((line) => line.text).join("\n"), after);
  }
  assert.deepEqual(hunks(diffLines(before, before)), []);
  assert.deepEqual(hunks(diffLines("1\n2\n3\n4\n5", "1\n2\n3\n4\nX"), 1).map((line) => line?.text ?? null), [null, "4", "5", "X"]);
});

test("a diff of very long texts stays quick", () => {
  const long = Array.from({ length: 5000 }, (_, index) => `a${index}`).join("\n");
  assert.equal(diffLines(long, long.replaceAll("a", "b")).length, 10000);
});

test("rows are filtered by every word and sorted with nothing last", () => {
  const rows = [{ n: "beta", v: 2 }, { n: "Alpha 10", v: null }, { n: "alpha 9", v: 1 }];
  assert.deepEqual(filterRows(rows, (row) => [row.n, row.v], "ALPHA 1").map((row) => row.n), ["Alpha 10", "alpha 9"]);
  assert.deepEqual(sortRows(rows, (row) => row.n, "ascending").map((row) => row.n), ["alpha 9", "Alpha 10", "beta"]);
  assert.deepEqual(sortRows(rows, (row) => row.v, "descending").map((row) => row.v), [2, 1, null]);
});

test("CSV quotes what must be and disarms formulas", () => {
  assert.equal(toCsv(["a", "b"], [['say "x", y', -1], ["=1+1", null]]), 'a,b\r\n"say ""x"", y",-1\r\n\'=1+1,\r\n');
});

test("numbers, sizes and spans read as people say them", () => {
  assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(format.bytes), ["0 B", "1023 B", "1.5 KiB", "5 GiB"]);
  assert.deepEqual([0, 9999, 12345, 2.5e6, 0.125].map(format.count), ["0", "9999", "12.3 k", "2.5 M", "0.13"]);
  assert.deepEqual([0.35, 45, 3600, 90061, -5].map(format.duration), ["350 ms", "45 s", "1 h", "1 d 1 h", "−5 s"]);
  assert.deepEqual(["90", "15m", "2h", "7 d", "x", ""].map(format.parseDuration), [90, 900, 7200, 604800, null, null]);
  assert.deepEqual(["512", "64K", "1.5 GiB", "2 MB", "x"].map(format.parseSize), [512, 65536, 1610612736, 2097152, null]);
});

const SIZES = { nodeWidth: 100, nodeHeight: 20, columnGap: 50, rowGap: 10 };

test("no two boxes of the graph overlap and straight flows do not cross", () => {
  const nodes = [..."abc"].map((id) => ({ id, column: 0 })).concat([..."xyz"].map((id) => ({ id, column: 2 })));
  const edges = [{ from: "a", to: "z" }, { from: "b", to: "y" }, { from: "c", to: "x" }];
  const { places, width, height } = layOut(nodes, edges, SIZES);
  assert.equal(width, 250);
  assert.equal(height, 80);
  for (const { from, to } of edges) assert.equal(places.get(from)?.y, places.get(to)?.y);
  assert.equal(new Set([...places.values()].map((place) => `${place.x} ${place.y}`)).size, 6);
  assert.match(curve({ x: 0, y: 0 }, { x: 150, y: 30 }, SIZES), /^M100 10C/);
});

test("an empty graph has a place for nothing", () => {
  assert.equal(layOut([], [], SIZES).places.size, 0);
});
