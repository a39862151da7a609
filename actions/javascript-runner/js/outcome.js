// What a run ends with.
import { toBytes, utf8 } from "countersign:bytes";
import { typedDataJson } from "countersign:crypto";
import { native } from "countersign:native";
import { knownKeys, shown } from "countersign:shown";

// taken now: an action may change what the names mean later
const { apply } = Reflect;
const { toWellFormed } = String.prototype;

class Payload {
  constructor(kind, data) {
    this.kind = kind;
    this.data = data;
    Object.freeze(this);
  }
}

/** Makes payloads: what `run` returns to have them signed. */
export const sign = Object.freeze({
  bytes: (data) => new Payload("bytes", toBytes(data, "sign.bytes: the data")),
  personalMessage: (data) => new Payload("personal-message", toBytes(data, "sign.personalMessage: the data")),
  typedData: (typedData) => new Payload("typed-data", typedDataJson(typedData, "sign.typedData")),
  raw: (data) => new Payload("raw", toBytes(data, "sign.raw: the data")),
});

class Refusal extends Error {}

/** Refuses the request. Nothing is signed after it, whether or not something catches what it throws. */
export function refuse(reason) {
  if (typeof reason !== "string" || reason === "") {
    throw new TypeError(`refuse: the reason is ${shown(reason)}: say which condition failed and what would satisfy it`);
  }
  // first the fact, which cannot fail; then the reason, which may be too long for what memory is left
  native.refuse();
  native.refuseBecause(apply(toWellFormed, reason, []));
  throw new Refusal(reason);
}

/** What `run` returned, as [payloads, response]. */
export function settle(returned) {
  if (returned instanceof Payload || Array.isArray(returned)) return settled(returned, undefined);
  if (returned === undefined) {
    throw new TypeError("run returned nothing: return what is to be signed, as sign.bytes(data), or refuse(reason)");
  }
  if (returned === null || typeof returned !== "object" || !("sign" in returned)) {
    throw new TypeError(
      `run returned ${shown(returned)}: return what is to be signed, as sign.bytes(data) or { sign: [..], response }`,
    );
  }
  knownKeys(returned, ["sign", "response"], "what run returned");
  return settled(returned.sign, returned.response);
}

function settled(sign, response) {
  const payloads = Array.isArray(sign) ? sign : [sign];
  if (payloads.length === 0) throw new TypeError("run returned nothing to sign: refuse(reason) says why not");
  for (const payload of payloads) {
    if (!(payload instanceof Payload)) {
      throw new TypeError(`run wants to sign ${shown(payload)}: make it a payload, as sign.bytes(data)`);
    }
  }
  return [payloads.map(({ kind, data }) => [kind, data]), responded(response)];
}

/** Bytes as they are, texts as UTF-8, other values as JSON. */
function responded(response) {
  if (response === undefined) return new Uint8Array();
  if (response instanceof Uint8Array) return response;
  if (typeof response === "string") return utf8(response);
  try {
    return utf8(JSON.stringify(response));
  } catch (error) {
    throw new TypeError(`the response cannot be written as JSON: ${error.message}; write bigints as strings`);
  }
}
