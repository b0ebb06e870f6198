import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import de from "../src/i18n/de.ts";

const TEXT = String.raw`"((?:[^"\\]|\\.)*)"`;
const PATTERNS = [
  new RegExp(String.raw`\bt\(\s*${TEXT}`, "g"),
  new RegExp(String.raw`\bt\([^"()]*\? ${TEXT} : ${TEXT}`, "g"),
  new RegExp(String.raw`\bplural\([^"]*${TEXT}, ${TEXT}`, "g"),
];

/** Every text the sources hand to `t` and `plural` as it stands. */
function usedTexts(): Set<string> {
  const found = new Set<string>();
  for (const name of readdirSync("src", { recursive: true, encoding: "utf8" })) {
    if (!/\.tsx?$/.test(name)) continue;
    const source = readFileSync(join("src", name), "utf8");
    for (const pattern of PATTERNS) {
      for (const match of source.matchAll(pattern)) for (const text of match.slice(1)) found.add(text);
    }
  }
  return found;
}

test("every text of the page is in the German catalogue", () => {
  const used = usedTexts();
  assert.ok(used.size > 400, "the patterns still find the texts");
  assert.deepEqual([...used].filter((text) => !(text in de)), []);
});

test("a translation has the values of its text", () => {
  const values = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  assert.deepEqual(Object.entries(de).filter(([text, german]) => values(text).join() !== values(german).join()), []);
});
