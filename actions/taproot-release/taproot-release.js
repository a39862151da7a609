// @ts-check
// Signs a Bitcoin transaction that spends outputs of this key (Taproot, BIP-341 key path) when it is asked for while a price is above
// a limit, and only if it pays all but a bounded fee to the script that the config names. What is signed is computed here, from the
// transaction's parts. A signature never ends: the price is that of the moment of asking, not of the broadcast.
import { concat, context, crypto, decimal, fromHex, http, median, refuse, sign, utf8 } from "countersign";

/**
 * @typedef {{ price: { url: string, pointer: string }, tolerance?: { bps?: number, abs?: string }, above: string,
 *   pay_to: string, max_fee: string }} Config
 * @typedef {{ txid: string, vout: number, sequence: number, amount: string }} Input
 * @typedef {{ amount: string, script: string }} Output
 * @typedef {{ version: number, lock_time: number, inputs: Input[], outputs: [Output] }} Spend
 */

/** As many inputs as the manifest has payloads. */
const MOST_INPUTS = 4;
/**
 * The least that is paid, in satoshis: what Bitcoin Core calls dust of the largest script that an address stands for (P2PKH). Less is
 * not passed on, and only burns the fee.
 */
const LEAST_PAID = 546n;
/** No relative lock time: final, or replaceable by a higher fee (BIP-125). */
const SEQUENCES = [0xffffffff, 0xfffffffd];
/** 21 million bitcoin, in satoshis. */
const ALL_MONEY = 2_100_000_000_000_000n;

export default function run() {
  const config = checkedConfig(context.configJson());
  const spend = checkedSpend(context.paramsJson());
  const fee = total(spend.inputs) - total(spend.outputs);
  if (fee < 0n || fee > BigInt(config.max_fee)) {
    refuse(`the transaction leaves a fee of ${fee} satoshis, the key allows 0 to ${config.max_fee}`);
  }
  const [{ script }] = spend.outputs;
  if (script.toLowerCase() !== config.pay_to.toLowerCase()) {
    refuse(`the transaction pays to the script ${script}, the key allows ${config.pay_to} only`);
  }
  const { url, pointer } = config.price;
  const price = http.fetch(url, { fields: { [pointer]: median(config.tolerance) } }).fields[pointer];
  if (!decimal.gt(price, config.above)) {
    refuse(`the price is ${price}, the key asks for one above ${config.above}: ask again when it is`);
  }
  const payloads = spend.inputs.map((_, index) => sign.raw(signatureHash(spend, index)));
  return { sign: payloads, response: { price, fee: String(fee), time_ms: context.timeMs } };
}

/**
 * The hash that input `index` signs: BIP-341, key path, SIGHASH_DEFAULT, no annex. All inputs spend outputs of this key, and
 * their amounts are hashed too: a caller who lies about them gets a signature that nobody takes.
 * @param {Spend} spend
 * @param {number} index
 */
function signatureHash(spend, index) {
  const own = withLength(concat("0x5120", context.publicKey));
  const hashed = (/** @type {Uint8Array[]} */ parts) => crypto.sha256(concat(...parts));
  const message = concat(
    Uint8Array.of(0, 0), // epoch, SIGHASH_DEFAULT
    little(spend.version, 4),
    little(spend.lock_time, 4),
    hashed(spend.inputs.map(({ txid, vout }) => concat(fromHex(`0x${txid}`).reverse(), little(vout, 4)))),
    hashed(spend.inputs.map(({ amount }) => little(amount, 8))),
    hashed(spend.inputs.map(() => own)),
    hashed(spend.inputs.map(({ sequence }) => little(sequence, 4))),
    hashed(spend.outputs.map(({ amount, script }) => concat(little(amount, 8), withLength(fromHex(script))))),
    Uint8Array.of(0), // key path, no annex
    little(index, 4),
  );
  const tag = crypto.sha256(utf8("TapSighash"));
  return crypto.sha256(concat(tag, tag, message));
}

/**
 * A whole number in little-endian order.
 * @param {number | string} value
 * @param {number} bytes
 */
function little(value, bytes) {
  let rest = BigInt(value);
  return Uint8Array.from({ length: bytes }, () => {
    const byte = Number(rest & 255n);
    rest >>= 8n;
    return byte;
  });
}

/**
 * A script after its length, which is below 253 for all that are taken here.
 * @param {Uint8Array} script
 */
function withLength(script) {
  return concat(Uint8Array.of(script.length), script);
}

/** @param {{ amount: string }[]} items */
function total(items) {
  return items.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
}

const isObject = (/** @type {unknown} */ value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isWhole = (/** @type {unknown} */ value) => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32;
const isScript = (/** @type {unknown} */ value) => typeof value === "string" && /^0x([0-9a-fA-F]{2}){1,80}$/.test(value);
const isAmount = (/** @type {unknown} */ value) =>
  typeof value === "string" && /^(0|[1-9][0-9]{0,15})$/.test(value) && BigInt(value) <= ALL_MONEY;

/**
 * Whether an object has these fields and no other.
 * @param {any} value
 * @param {string[]} needed
 * @param {string[]} [optional]
 */
function has(value, needed, optional = []) {
  if (!isObject(value)) return false;
  const keys = Object.keys(value);
  return needed.every((key) => keys.includes(key)) && keys.every((key) => needed.includes(key) || optional.includes(key));
}

/**
 * The config, or a refusal that says what is wrong with it.
 * @param {any} config
 * @returns {Config}
 */
function checkedConfig(config) {
  const wrong = (/** @type {string} */ why) => refuse(`the key's config cannot be used: ${why}`);
  if (context.scheme !== "bip340") return wrong(`the key is of ${context.scheme}, Taproot takes bip340`);
  if (!has(config, ["price", "above", "pay_to", "max_fee"], ["tolerance"])) {
    return wrong("it is { price, tolerance, above, pay_to, max_fee }");
  }
  if (!has(config.price, ["url", "pointer"]) || typeof config.price.url !== "string" || typeof config.price.pointer !== "string") {
    return wrong('price is { "url": "https://..", "pointer": "/price" }');
  }
  if (typeof config.above !== "string" || !/^\d{1,38}(\.\d{1,18})?$/.test(config.above)) {
    return wrong(`above is a decimal string, as "60000", got ${JSON.stringify(config.above)}`);
  }
  if (!isScript(config.pay_to)) return wrong("pay_to is the script of an output, 1 to 80 bytes in hexadecimal");
  if (!isAmount(config.max_fee)) return wrong("max_fee is a decimal string of satoshis");
  try {
    median(config.tolerance);
  } catch (error) {
    return wrong(`tolerance: ${error instanceof Error ? error.message : error}`);
  }
  return config;
}

/**
 * The transaction, or a refusal that says what is wrong with it.
 * @param {any} spend
 * @returns {Spend}
 */
function checkedSpend(spend) {
  const wrong = (/** @type {string} */ why) => refuse(`the transaction cannot be used: ${why}`);
  if (!has(spend, ["version", "lock_time", "inputs", "outputs"])) return wrong("it is { version, lock_time, inputs, outputs }");
  if (!isWhole(spend.version) || !isWhole(spend.lock_time)) return wrong("version and lock_time are numbers of 32 bits");
  if (spend.lock_time !== 0) return wrong(`lock_time is 0, got ${spend.lock_time}`);
  const { inputs, outputs } = spend;
  if (!Array.isArray(inputs) || inputs.length === 0 || inputs.length > MOST_INPUTS) return wrong(`it has 1 to ${MOST_INPUTS} inputs`);
  if (!Array.isArray(outputs) || outputs.length !== 1) return wrong("it has one output");
  for (const input of inputs) {
    const isInput =
      has(input, ["txid", "vout", "sequence", "amount"]) &&
      typeof input.txid === "string" &&
      /^[0-9a-f]{64}$/.test(input.txid) &&
      isWhole(input.vout) &&
      isWhole(input.sequence) &&
      isAmount(input.amount);
    if (!isInput) return wrong('an input is { "txid": "64 digits", "vout": 0, "sequence": 4294967293, "amount": "satoshis" }');
    if (!SEQUENCES.includes(input.sequence)) return wrong(`a sequence is ${SEQUENCES.join(" or ")}, got ${input.sequence}`);
  }
  const [output] = outputs;
  const isOutput = has(output, ["amount", "script"]) && isAmount(output.amount) && isScript(output.script);
  if (!isOutput) return wrong('an output is { "amount": "satoshis", "script": "0x.." }');
  if (BigInt(output.amount) < LEAST_PAID) return wrong(`the output pays at least ${LEAST_PAID} satoshis, got ${output.amount}`);
  return spend;
}
