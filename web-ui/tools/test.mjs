// Runs the unit tests: esbuild turns each into one module, node:test runs them. No DOM; what needs one is tested in
// the real browser by tests/e2e.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const output = mkdtempSync(join(ROOT, "node_modules/.tests-"));
try {
  await build({
    absWorkingDir: ROOT,
    entryPoints: readdirSync(join(ROOT, "tests")).filter((name) => name.endsWith(".test.ts")).map((name) => `tests/${name}`),
    outdir: output,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
  const tests = readdirSync(output).map((name) => join(output, name));
  process.exitCode = spawnSync(process.execPath, ["--test", ...process.argv.slice(2), ...tests], { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(output, { recursive: true });
}
