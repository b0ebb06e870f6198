// Writes src/api/types.ts from openapi.json, so that no type of the API is written by hand.
//
// openapi.json is what the web process itself says (`make ui-api` asks it); a test holds the two together.
//
//   node tools/api.mjs [output file]
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const OUTPUT = resolve(process.argv[2] ?? join(ROOT, "src/api/types.ts"));
const document = JSON.parse(readFileSync(join(ROOT, "openapi.json"), "utf8"));

const identifier = (name) => name.replace(/\W+/g, "_");
const key = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));

/** The names of all schemas that a request body reaches: there, a field with a default may be left out. */
function askedSchemas() {
  const found = new Set();
  const visit = (value) => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value !== null && typeof value === "object") {
      const name = typeof value.$ref === "string" ? value.$ref.split("/").at(-1) : null;
      if (name && !found.has(name)) {
        found.add(name);
        visit(document.components.schemas[name]);
      }
      Object.values(value).forEach(visit);
    }
  };
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods)) visit(operation.requestBody);
  }
  return found;
}

let isAsked = false;

/** A JSON schema as a TypeScript type. */
function type(schema, indent = "  ") {
  if (schema === undefined || schema === true || Object.keys(schema).length === 0) return "unknown";
  if (schema.$ref) return identifier(schema.$ref.split("/").at(-1));
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const union = schema.anyOf ?? schema.oneOf;
  if (union) return [...new Set(union.map((each) => type(each, indent)))].join(" | ");
  if (schema.allOf) return schema.allOf.map((each) => type(each, indent)).join(" & ");
  if (Array.isArray(schema.type)) return schema.type.map((each) => type({ ...schema, type: each }, indent)).join(" | ");
  switch (schema.type) {
    case "string":
      return schema.format === "binary" ? "Blob" : "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array": {
      const items = type(schema.items, indent);
      return /[|&]/.test(items) ? `(${items})[]` : `${items}[]`;
    }
    default:
      return object(schema, indent);
  }
}

function object(schema, indent) {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return schema.additionalProperties ? `Record<string, ${type(schema.additionalProperties, indent)}>` : "Record<string, unknown>";
  const required = new Set(schema.required ?? []);
  const lines = properties.map(([name, each]) => `${indent}${key(name)}${required.has(name) || (!isAsked && "default" in each) ? "" : "?"}: ${type(each, `${indent}  `)};`);
  return `{\n${lines.join("\n")}\n${indent.slice(2)}}`;
}

function parameters(operation, where) {
  const list = operation.parameters.filter((each) => each.in === where);
  if (list.length === 0) return "Record<never, never>";
  return `{ ${list.map((each) => `${key(each.name)}${each.required ? "" : "?"}: ${type(each.schema)}`).join("; ")} }`;
}

function answer(operation) {
  const success = Object.entries(operation.responses).find(([code]) => code.startsWith("2"));
  const content = success?.[1].content;
  if (!content) return "null";
  return content["application/json"] ? type(content["application/json"].schema, "    ") : "Blob";
}

function body(operation) {
  const content = operation.requestBody?.content;
  if (!content) return "undefined";
  const schema = content["application/json"]?.schema;
  return schema ? type(schema, "    ") : "Blob";
}

const asked = askedSchemas();
const lines = ["// Written by tools/api.mjs from openapi.json; change the API, not this file.", ""];
for (const [name, schema] of Object.entries(document.components?.schemas ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
  isAsked = asked.has(name);
  if (schema.description) lines.push(`/** ${schema.description.split("\n")[0].replaceAll("*/", "")} */`);
  lines.push(`export type ${identifier(name)} = ${type(schema)};`, "");
}
lines.push("/** Every operation: its path and query parameters, its body and its answer. */", "export interface Operations {");
for (const [path, methods] of Object.entries(document.paths).sort(([a], [b]) => (a < b ? -1 : 1))) {
  if (!path.startsWith("/api/v1/")) continue;
  for (const [method, declared] of Object.entries(methods)) {
    const operation = { ...declared, parameters: [...(methods.parameters ?? []), ...(declared.parameters ?? [])] };
    lines.push(`  "${method.toUpperCase()} ${path.slice("/api/v1".length)}": {`);
    lines.push(`    path: ${parameters(operation, "path")};`, `    query: ${parameters(operation, "query")};`);
    lines.push(`    body: ${body(operation)};`, `    answer: ${answer(operation)};`, "  };");
  }
}
lines.push("}", "");
writeFileSync(OUTPUT, lines.join("\n"));
