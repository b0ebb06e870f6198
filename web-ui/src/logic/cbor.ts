// CBOR (RFC 8949) into plain values for showing. Tags are kept as {tag, value}; bytes stay bytes.
import { DecodeError, narrowed, Reader } from "./reader.ts";

const BREAK = Symbol("break");

/** One CBOR item that fills the bytes wholly. */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = item(reader);
  if (value === BREAK) throw new DecodeError("a break outside of a sequence");
  if (reader.left) throw new DecodeError(`${reader.left} bytes after the value`);
  return value;
}

function argument(reader: Reader, information: number): number | bigint {
  if (information < 24) return information;
  if (information > 27) throw new DecodeError("a reserved length");
  return reader.unsigned(2 ** (information - 24));
}

function item(reader: Reader): unknown {
  const first = Number(reader.unsigned(1));
  const information = first & 0x1f;
  const isIndefinite = information === 31;
  switch (first >> 5) {
    case 0:
      return argument(reader, information);
    case 1:
      return narrowed(-1n - BigInt(argument(reader, information)));
    case 2:
      return isIndefinite ? joined(pieces(reader)) : reader.take(reader.length(argument(reader, information)));
    case 3:
      return isIndefinite ? pieces(reader).join("") : reader.text(reader.length(argument(reader, information)));
    case 4:
      return reader.nested(() => array(reader, isIndefinite ? null : reader.length(argument(reader, information))));
    case 5:
      return reader.nested(() => map(reader, isIndefinite ? null : reader.length(argument(reader, information))));
    case 6: {
      const tag = argument(reader, information);
      return { tag, value: reader.nested(() => present(reader)) };
    }
    default:
      return simple(reader, information);
  }
}

function present(reader: Reader): unknown {
  const value = item(reader);
  if (value === BREAK) throw new DecodeError("a break where a value belongs");
  return value;
}

function array(reader: Reader, count: number | null): unknown[] {
  const values: unknown[] = [];
  while (count === null || values.length < count) {
    const value = item(reader);
    if (value === BREAK) {
      if (count === null) return values;
      throw new DecodeError("a break in a counted array");
    }
    values.push(value);
  }
  return values;
}

function map(reader: Reader, count: number | null): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (let index = 0; count === null || index < count; index++) {
    const name = item(reader);
    if (name === BREAK) {
      if (count === null) return values;
      throw new DecodeError("a break in a counted map");
    }
    values[typeof name === "string" ? name : String(name)] = present(reader);
  }
  return values;
}

function pieces(reader: Reader): unknown[] {
  return reader.nested(() => array(reader, null));
}

function joined(parts: unknown[]): Uint8Array {
  if (!parts.every((part) => part instanceof Uint8Array)) throw new DecodeError("pieces of bytes that are none");
  return Uint8Array.from((parts as Uint8Array[]).flatMap((part) => [...part]));
}

function simple(reader: Reader, information: number): unknown {
  switch (information) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 23:
      return undefined;
    case 25:
      return reader.float(2);
    case 26:
      return reader.float(4);
    case 27:
      return reader.float(8);
    case 31:
      return BREAK;
    default:
      throw new DecodeError(`simple value ${information}`);
  }
}
