// A bounded walk over bytes that came from anywhere: each read checks the end, nesting has a limit.

export class DecodeError extends Error {}

// Deep enough for any sensor's message; stops a hostile one from exhausting the stack of the page.
const NESTING_MAX = 64;

export class Reader {
  private offset = 0;
  private depth = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.offset;
  }

  private advance(count: number): number {
    if (count > this.left) throw new DecodeError("ends too early");
    const start = this.offset;
    this.offset += count;
    return start;
  }

  peek(): number {
    const byte = this.bytes[this.offset];
    if (byte === undefined) throw new DecodeError("ends too early");
    return byte;
  }

  take(count: number): Uint8Array {
    const start = this.advance(count);
    return this.bytes.subarray(start, start + count);
  }

  text(count: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.take(count));
    } catch (error) {
      throw error instanceof DecodeError ? error : new DecodeError("text that is not UTF-8");
    }
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes; beyond 2^53 as bigint, so that no digit is lost. */
  unsigned(size: number): number | bigint {
    const start = this.advance(size);
    if (size === 1) return this.view.getUint8(start);
    if (size === 2) return this.view.getUint16(start);
    if (size === 4) return this.view.getUint32(start);
    return narrowed(this.view.getBigUint64(start));
  }

  signed(size: number): number | bigint {
    const start = this.advance(size);
    if (size === 1) return this.view.getInt8(start);
    if (size === 2) return this.view.getInt16(start);
    if (size === 4) return this.view.getInt32(start);
    return narrowed(this.view.getBigInt64(start));
  }

  float(size: 2 | 4 | 8): number {
    const start = this.advance(size);
    if (size === 8) return this.view.getFloat64(start);
    if (size === 4) return this.view.getFloat32(start);
    const half = this.view.getUint16(start);
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) return sign * 2 ** -24 * fraction;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * 2 ** (exponent - 25) * (1024 + fraction);
  }

  /** A length that has to fit into what is left, each element being at least one byte. */
  length(value: number | bigint): number {
    if (value > this.left) throw new DecodeError("a length beyond the end");
    return Number(value);
  }

  nested<Value>(read: () => Value): Value {
    if (++this.depth > NESTING_MAX) throw new DecodeError(`nested deeper than ${NESTING_MAX}`);
    const value = read();
    this.depth--;
    return value;
  }
}

export function narrowed(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
