// Bytes are Uint8Array; where bytes are expected, 0x-hex is taken too.
import { native } from "countersign:native";
import { shown } from "countersign:shown";

/** Bytes as 0x-hex, in lower case. */
export function hex(bytes) {
  return native.hex(toBytes(bytes, "hex: the argument"));
}

/** The bytes of 0x-hex. */
export function fromHex(text) {
  if (typeof text !== "string") throw new TypeError(`fromHex: got ${shown(text)}: write 0x-hex, as "0x00ff"`);
  return toBytes(text, "fromHex: the text");
}

/** The bytes of a text, in UTF-8. */
export function utf8(text) {
  if (typeof text !== "string") throw new TypeError(`utf8: got ${shown(text)}: it takes a string`);
  return native.utf8(text.toWellFormed());
}

/** The text of bytes in UTF-8; an error if they are not. */
export function fromUtf8(bytes) {
  const text = native.text(toBytes(bytes, "fromUtf8: the argument"));
  if (text === undefined) throw new TypeError("fromUtf8: these bytes are not UTF-8");
  return text;
}

/** Bytes one after the other. */
export function concat(...parts) {
  const all = parts.map((part) => toBytes(part, "concat: a part"));
  const whole = new Uint8Array(all.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of all) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What an argument holds, as bytes; `length` where the interface fixes it. */
export function toBytes(value, what, length) {
  const bytes = value instanceof Uint8Array ? value : fromText(value, what);
  if (length !== undefined && bytes.length !== length) {
    throw new TypeError(`${what} has ${bytes.length} bytes: it needs ${length}`);
  }
  return bytes;
}

/** An address, as bytes. */
export function toAddress(value, what) {
  return toBytes(value, what, 20);
}

function fromText(value, what) {
  if (typeof value === "string") {
    const bytes = native.unhex(value);
    if (bytes !== undefined) return bytes;
    throw new TypeError(`${what} is the text ${shown(value)}: bytes are a Uint8Array or 0x-hex; use utf8(..) for text`);
  }
  throw new TypeError(`${what} is ${shown(value)}: bytes are a Uint8Array or 0x-hex`);
}
