// Builds the dashboard into appliance/leafbox/web/static: hashed names, a gzip twin of each text file, a manifest.
//
// The built files are committed, so that a machine without Node shows the dashboard. `manifest.json` records a digest
// of the sources; a test compares it without Node, and a second one builds again where Node is there.
//
//   node tools/build.mjs [output folder]
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transformSync } from "esbuild";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const OUTPUT = resolve(process.argv[2] ?? join(ROOT, "../appliance/leafbox/web/static"));
// All that a browser loads for every page, compressed. The issue's own limit; today's size is printed by each build.
const GZIP_BYTES_MAX = 90_000;

/** Every file below a folder, as paths from ROOT with slashes, in a stable order. */
function filesBelow(folder) {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length + 1).replaceAll("\\", "/"))
    .sort();
}

/** One digest over the names and contents of everything the build reads. */
function sourceDigest() {
  const digest = createHash("sha256");
  for (const name of [...filesBelow("src"), "package-lock.json", "tools/build.mjs"].sort()) {
    digest.update(`${name}\0`).update(readFileSync(join(ROOT, name))).update("\0");
  }
  return digest.digest("hex");
}

/** What a module of the sources exports; Node does not read TypeScript, and these need nothing but themselves. */
async function exported(path) {
  const { code } = transformSync(readFileSync(path, "utf8"), { loader: "ts", format: "esm" });
  return import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
}

// The English texts are in the page already, so a catalogue is told apart by short keys: 4 kB less.
const catalogues = {
  name: "catalogues",
  setup({ onLoad }) {
    onLoad({ filter: /i18n\/[a-z]{2}\.ts$/ }, async ({ path }) => {
      const { keyOf } = await exported(join(ROOT, "src/i18n/key.ts"));
      const texts = Object.entries((await exported(path)).default);
      const short = Object.fromEntries(texts.map(([english, text]) => [keyOf(english), text]));
      if (Object.keys(short).length !== texts.length) throw new Error(`${path}: two texts have one key; see src/i18n/key.ts`);
      return { contents: `export default ${JSON.stringify(short)}`, loader: "js" };
    });
  },
};

const result = await build({
  absWorkingDir: ROOT,
  entryPoints: [
    { in: "src/main.tsx", out: "app" },
    { in: "src/styles/main.css", out: "app" },
  ],
  outdir: "out",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  plugins: [catalogues],
  minify: true,
  charset: "utf8",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  write: false,
  metafile: true,
  logLevel: "warning",
});

const files = new Map(result.outputFiles.map((file) => [`assets/${file.path.split("/").at(-1)}`, Buffer.from(file.contents)]));
const script = [...files.keys()].find((name) => /app-\w+\.js$/.test(name));
const style = [...files.keys()].find((name) => /app-\w+\.css$/.test(name));
const icon = readFileSync(join(ROOT, "src/icon.svg"));
const iconName = `assets/icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`;
files.set(iconName, icon);
files.set(
  "index.html",
  Buffer.from(
    readFileSync(join(ROOT, "src/index.html"), "utf8")
      .replace("{{script}}", `/${script}`)
      .replace("{{style}}", `/${style}`)
      .replace("{{icon}}", `/${iconName}`),
  ),
);

const sizes = {};
let total = 0;
if (existsSync(OUTPUT)) rmSync(OUTPUT, { recursive: true });
mkdirSync(join(OUTPUT, "assets"), { recursive: true });
for (const [name, contents] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
  const packed = gzipSync(contents, { level: 9 });
  writeFileSync(join(OUTPUT, name), contents);
  writeFileSync(join(OUTPUT, `${name}.gz`), packed);
  sizes[name] = { bytes: contents.length, gzip: packed.length };
  total += packed.length;
}
writeFileSync(
  join(OUTPUT, "manifest.json"),
  `${JSON.stringify({ sources: sourceDigest(), gzip_bytes: total, files: sizes }, null, 2)}\n`,
);
console.log(`web-ui: ${files.size} files, ${total} bytes gzip of ${GZIP_BYTES_MAX} allowed`);
if (total > GZIP_BYTES_MAX) {
  console.error("over the limit; see `files` in manifest.json for what grew");
  process.exit(1);
}
