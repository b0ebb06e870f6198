import assert from "node:assert/strict";
import { test } from "node:test";
import { asText, fromBase64, hexDump, toBase64 } from "../src/logic/bytes.ts";
import { decodeCbor } from "../src/logic/cbor.ts";
import { decode, pretty } from "../src/logic/decode.ts";
import { decodeMsgPack } from "../src/logic/msgpack.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const plain = (value: unknown): unknown => JSON.parse(pretty(value));

// RFC 8949, appendix A.
const CBOR: [string, unknown][] = [
  ["00", 0], ["17", 23], ["1818", 24], ["1903e8", 1000], ["1a000f4240", 1000000], ["1b000000e8d4a51000", 1000000000000],
  ["1bffffffffffffffff", "18446744073709551615"], ["3bffffffffffffffff", "-18446744073709551616"], ["20", -1], ["3903e7", -1000],
  ["f93c00", 1], ["f97bff", 65504], ["f90001", 5.960464477539063e-8], ["fa47c35000", 100000], ["fb3ff199999999999a", 1.1],
  ["f4", false], ["f5", true], ["f6", null], ["4401020304", "0x01020304"], ["6449455446", "IETF"], ["62c3bc", "ü"],
  ["83010203", [1, 2, 3]], ["8301820203820405", [1, [2, 3], [4, 5]]], ["a26161016162820203", { a: 1, b: [2, 3] }],
  ["a201020304", { 1: 2, 3: 4 }], ["9f018202039f0405ffff", [1, [2, 3], [4, 5]]], ["bf61610161629f0203ffff", { a: 1, b: [2, 3] }],
  ["7f657374726561646d696e67ff", "streaming"], ["5f42010243030405ff", "0x0102030405"], ["c11a514b67b0", { tag: 1, value: 1363896240 }],
];

test("CBOR gives the values of the standard's own examples", () => {
  for (const [bytes, value] of CBOR) assert.deepEqual(plain(decodeCbor(hex(bytes))), value, bytes);
});

test("CBOR that is cut anywhere is refused, never read beyond its end", () => {
  for (const [bytes] of CBOR) {
    const whole = hex(bytes);
    for (let length = 0; length < whole.length; length++) assert.throws(() => decodeCbor(whole.subarray(0, length)), bytes);
  }
});

test("CBOR refuses what no value may be", () => {
  for (const bytes of ["ff", "1c", "0000", "81ff", "9bffffffffffffffff", "62ff", "5f01ff", "81".repeat(65) + "00"]) assert.throws(() => decodeCbor(hex(bytes)), bytes);
});

const MSGPACK: [string, unknown][] = [
  ["00", 0], ["7f", 127], ["ff", -1], ["e0", -32], ["cc80", 128], ["cd0100", 256], ["ce00010000", 65536], ["cf0000000100000000", 4294967296],
  ["cfffffffffffffffff", "18446744073709551615"], ["d080", -128], ["d1ff7f", -129], ["d2ffff7fff", -32769], ["d3ffffffff7fffffff", -2147483649],
  ["c0", null], ["c2", false], ["c3", true], ["ca3f800000", 1], ["cb3ff199999999999a", 1.1], ["a161", "a"], ["d90161", "a"], ["da000161", "a"],
  ["c403010203", "0x010203"], ["93010203", [1, 2, 3]], ["dc0002c2c3", [false, true]], ["81a161a162", { a: "b" }], ["de0001a16101", { a: 1 }],
  ["d4017f", { extension: 1, value: "0x7f" }], ["c70205aabb", { extension: 5, value: "0xaabb" }],
];

test("MessagePack gives the values of its specification", () => {
  for (const [bytes, value] of MSGPACK) assert.deepEqual(plain(decodeMsgPack(hex(bytes))), value, bytes);
});

test("MessagePack that is cut anywhere is refused", () => {
  for (const [bytes] of MSGPACK) {
    const whole = hex(bytes);
    for (let length = 0; length < whole.length; length++) assert.throws(() => decodeMsgPack(whole.subarray(0, length)), bytes);
  }
  assert.throws(() => decodeMsgPack(hex("c1")));
  assert.throws(() => decodeMsgPack(hex("0000")));
});

test("the likeliest form is found", () => {
  assert.deepEqual(decode(utf8('{"a":1}'), "auto"), { form: "json", text: '{ "a": 1 }', error: null });
  assert.equal(decode(utf8("21.50"), "auto").text, "21.50");
  assert.equal(decode(utf8("{not json"), "auto").form, "text");
  assert.equal(decode(hex("a16161fb3ff199999999999a"), "auto").form, "cbor");
  assert.equal(decode(hex("82a16101a162cb3ff199999999999a"), "auto").form, "msgpack");
  assert.equal(decode(hex("00ff00"), "auto").form, "hex");
});

test("a form that does not fit says why and shows the bytes", () => {
  const refused = decode(utf8("abc"), "json");
  assert.ok(refused.error);
  assert.match(refused.text, /^000000 {2}61 62 63 +abc$/);
});

test("base64 and hex dumps keep every byte", () => {
  const bytes = Uint8Array.from({ length: 20000 }, (_, index) => index % 256);
  assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  assert.equal(fromBase64("%%").length, 0);
  assert.equal(hexDump(bytes, 32).split("\n").length, 3);
  assert.equal(asText(hex("c3")), null);
  assert.equal(asText(hex("00")), null);
  assert.equal(asText(utf8("a\tü\n")), "a\tü\n");
});
