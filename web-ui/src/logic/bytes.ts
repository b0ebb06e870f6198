// Bytes as the API carries them (base64) and as people read them (hex dump, size).

/** What a base64 text stands for; a text that is no base64 gives no bytes. */
export function fromBase64(text: string): Uint8Array {
  try {
    const binary = atob(text);
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Bytes as base64. Built in pieces, because one call with a large array as arguments overflows the stack. */
export function toBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += 8192) {
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 8192)));
  }
  return btoa(pieces.join(""));
}

/** A hex dump: offset, sixteen bytes, the same as printable ASCII. Long values are cut at `bytesMax`. */
export function hexDump(bytes: Uint8Array, bytesMax = 4096): string {
  const lines: string[] = [];
  const shown = bytes.subarray(0, bytesMax);
  for (let start = 0; start < shown.length; start += 16) {
    const row = [...shown.subarray(start, start + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > bytesMax) lines.push(`… ${bytes.length - bytesMax} more bytes`);
  return lines.join("\n");
}

/** Valid UTF-8 without control characters other than tab and line ends, or null. */
export function asText(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // biome-ignore lint: control characters are what is looked for.
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}
