// Values as error messages and logs show them.
import { native } from "countersign:native";

const LONGEST = 80;

/** A value with its type, short: for messages about a wrong one. */
export function shown(value) {
  switch (typeof value) {
    case "undefined": return "undefined";
    case "string": return cut(JSON.stringify(value));
    case "number": return `the number ${value}`;
    case "bigint": return `the bigint ${cut(String(value))}n`;
    case "boolean": return `${value}`;
    case "function": return `the function ${value.name || "without a name"}`;
    case "symbol": return "a symbol";
    default:
  }
  if (value === null) return "null";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Promise) return "a promise: await it";
  if (value instanceof Uint8Array) return `a Uint8Array of ${value.length} bytes`;
  return `an object ${cut(`{ ${Object.keys(value).join(", ")} }`)}`;
}

/** Values as a line of the log: bytes as hex, bigints as digits, objects as JSON. */
export function logged(values) {
  return values.map((value) => (typeof value === "string" ? value : written(value))).join(" ");
}

function written(value) {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Uint8Array) return native.hex(value);
  if (["undefined", "function", "symbol", "bigint"].includes(typeof value)) return String(value);
  return JSON.stringify(value, (_, inner) => {
    if (typeof inner === "bigint") return String(inner);
    return inner instanceof Uint8Array ? native.hex(inner) : inner;
  });
}

function cut(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}

/** Refuses options that do not exist, which are most often misspelt. */
export function knownKeys(object, known, what) {
  if (object === null || typeof object !== "object") throw new TypeError(`${what}: got ${shown(object)} instead of an object`);
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) throw new TypeError(`${what}: there is no "${key}": it takes ${known.join(", ")}`);
  }
}
