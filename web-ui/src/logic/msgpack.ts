// MessagePack into plain values for showing. Extensions are kept as {extension, value}; bytes stay bytes.
import { DecodeError, Reader } from "./reader.ts";

/** One MessagePack value that fills the bytes wholly. */
export function decodeMsgPack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = item(reader);
  if (reader.left) throw new DecodeError(`${reader.left} bytes after the value`);
  return value;
}

function item(reader: Reader): unknown {
  const first = Number(reader.unsigned(1));
  if (first < 0x80) return first;
  if (first < 0x90) return map(reader, first & 0x0f);
  if (first < 0xa0) return array(reader, first & 0x0f);
  if (first < 0xc0) return reader.text(first & 0x1f);
  if (first >= 0xe0) return first - 0x100;
  if (first >= 0xc4 && first <= 0xc6) return reader.take(reader.length(reader.unsigned(2 ** (first - 0xc4))));
  if (first >= 0xc7 && first <= 0xc9) return extension(reader, reader.length(reader.unsigned(2 ** (first - 0xc7))));
  if (first >= 0xcc && first <= 0xcf) return reader.unsigned(2 ** (first - 0xcc));
  if (first >= 0xd0 && first <= 0xd3) return reader.signed(2 ** (first - 0xd0));
  if (first >= 0xd4 && first <= 0xd8) return extension(reader, 2 ** (first - 0xd4));
  if (first >= 0xd9 && first <= 0xdb) return reader.text(reader.length(reader.unsigned(2 ** (first - 0xd9))));
  switch (first) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xca:
      return reader.float(4);
    case 0xcb:
      return reader.float(8);
    case 0xdc:
    case 0xdd:
      return array(reader, reader.length(reader.unsigned(first === 0xdc ? 2 : 4)));
    case 0xde:
    case 0xdf:
      return map(reader, reader.length(reader.unsigned(first === 0xde ? 2 : 4)));
    default:
      throw new DecodeError("a byte that starts nothing");
  }
}

function array(reader: Reader, count: number): unknown[] {
  return reader.nested(() => Array.from({ length: count }, () => item(reader)));
}

function map(reader: Reader, count: number): Record<string, unknown> {
  return reader.nested(() => {
    const values = Object.create(null) as Record<string, unknown>;
    for (let index = 0; index < count; index++) {
      const name = item(reader);
      values[typeof name === "string" ? name : String(name)] = item(reader);
    }
    return values;
  });
}

function extension(reader: Reader, size: number): unknown {
  const kind = reader.signed(1);
  return { extension: kind, value: reader.take(size) };
}
