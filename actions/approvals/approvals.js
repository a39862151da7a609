// @ts-check
// Signs a text that enough of the config's people approve of. Each of them signs the same typed data (EIP-712) in their own
// time, and whoever has collected the signatures asks.
import { context, crypto, hex, refuse, sign, utf8 } from "countersign";

/**
 * @typedef {{ people: string[], needed: number }} Config
 * @typedef {{ text: string, until: number, approvals: string[] }} Params
 */

/** The most people that a key names, and the most signatures that a request brings. */
const MOST = 32;
/** The longest text, in characters. */
const LONGEST = 4096;

export default function run() {
  const { people, needed } = checkedConfig(context.configJson());
  const { text, until, approvals } = checkedParams(context.paramsJson());
  if (context.timeMs >= until * 1000) {
    refuse(`the approvals ended at ${new Date(until * 1000).toISOString()}: collect new ones`);
  }
  const digest = crypto.typedDataDigest(approval(text, until));
  const signers = approvals.map((signature) => crypto.secp256k1Recover(digest, signature));
  // by person, not by signature: who signs twice approves once
  const approving = people.filter((person) => signers.includes(person));
  if (approving.length < needed) {
    const missing = people.filter((person) => !signers.includes(person));
    const others = signers.filter((signer) => signer === null || !people.includes(signer)).length;
    refuse(
      `${approving.length} of ${people.length} people approve, ${needed} must: ` +
        `approved by ${approving.join(", ") || "nobody"}; not by ${missing.join(", ")}` +
        (others > 0 ? `; ${others} signatures are by nobody of them, or of something else` : ""),
    );
  }
  return { sign: sign.bytes(utf8(text)), response: { approved_by: approving, needed, until } };
}

/**
 * What each person signs: for this key only, this text only, until this time. The id is a hash of the key's spec, so the same spec
 * has the same id on every network; the public key follows from the network's root key too.
 * @param {string} text
 * @param {number} until
 */
function approval(text, until) {
  return {
    types: {
      EIP712Domain: [
        { name: "name", type: "string" },
        { name: "version", type: "string" },
      ],
      Approval: [
        { name: "key", type: "bytes32" },
        { name: "publicKey", type: "bytes" },
        { name: "text", type: "string" },
        { name: "until", type: "uint64" },
      ],
    },
    primaryType: "Approval",
    domain: { name: "Countersign approvals", version: "1" },
    message: { key: hex(context.keyId), publicKey: hex(context.publicKey), text, until: String(until) },
  };
}

/**
 * The config, or a refusal that says what is wrong with it.
 * @param {any} config
 * @returns {Config}
 */
function checkedConfig(config) {
  const wrong = (/** @type {string} */ why) => refuse(`the key's config cannot be used: ${why}`);
  only(config, ["people", "needed"], wrong);
  const { people, needed } = config;
  if (!Array.isArray(people) || people.length === 0 || people.length > MOST) return wrong(`people is a list of 1 to ${MOST}`);
  for (const person of people) {
    if (typeof person !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(person)) {
      return wrong(`a person is an address, 0x and 40 hexadecimal digits, got ${JSON.stringify(person)}`);
    }
  }
  const distinct = [...new Set(people.map((person) => person.toLowerCase()))];
  if (distinct.length !== people.length) return wrong("it names somebody twice");
  if (!Number.isSafeInteger(needed) || needed < 1 || needed > people.length) {
    return wrong(`needed is 1 to ${people.length}, as many as there are people, got ${JSON.stringify(needed)}`);
  }
  return { people: distinct, needed };
}

/**
 * The params, or a refusal that says what is wrong with them.
 * @param {any} params
 * @returns {Params}
 */
function checkedParams(params) {
  const wrong = (/** @type {string} */ why) => refuse(`the params cannot be used: ${why}`);
  only(params, ["text", "until", "approvals"], wrong);
  const { text, until, approvals } = params;
  if (typeof text !== "string" || text.length === 0 || text.length > LONGEST || /\p{Cs}/u.test(text)) {
    return wrong(`text is a text of 1 to ${LONGEST} characters`);
  }
  if (!Number.isSafeInteger(until) || until < 0 || until > 253_402_300_799) {
    return wrong(`until is a time in seconds since 1970, got ${JSON.stringify(until)}`);
  }
  if (!Array.isArray(approvals) || approvals.length > MOST) return wrong(`approvals is a list of at most ${MOST}`);
  for (const signature of approvals) {
    if (typeof signature !== "string" || !/^0x[0-9a-fA-F]{130}$/.test(signature)) {
      return wrong(`an approval is a signature of 65 bytes in hexadecimal, got ${JSON.stringify(signature)}`);
    }
  }
  return params;
}

/**
 * Refuses what is no object with these fields alone.
 * @param {any} value
 * @param {string[]} fields
 * @param {(why: string) => never} wrong
 */
function only(value, fields, wrong) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return wrong("it is no object");
  for (const key of Object.keys(value)) if (!fields.includes(key)) return wrong(`unknown field \`${key}\``);
}
