// @ts-check
// Signs a message for a caller whose balance at the pinned final block is at least the config's minimum: the rule,
// config, response and refusals of actions/balance-gate, in JavaScript.
import { context, erc20, evm, refuse, sign } from "countersign";

/** @typedef {{ chain_id: number, token?: string | null, minimum: string }} Config */

export default function run() {
  const config = checked(context.configJson());
  const caller = context.firstCaller();
  const pin = context.pin(config.chain_id);
  const balance = read(config, caller);
  const minimum = BigInt(config.minimum);
  if (balance < minimum) {
    const unit = config.token == null ? "wei" : `base units of the token ${config.token.toLowerCase()}`;
    refuse(
      `${caller} has ${balance} ${unit} at block ${pin.number} of chain ${pin.chainId}, the key asks for at least ` +
        `${minimum}: ${minimum - balance} more are needed in a final block`,
    );
  }
  return {
    sign: sign.bytes(context.params),
    response: JSON.stringify({
      account: caller,
      balance: String(balance),
      minimum: String(minimum),
      chain_id: pin.chainId,
      block: pin.number,
    }),
  };
}

/**
 * What the caller has, or a refusal that says why that cannot be told.
 * @param {Config} config
 * @param {string} caller
 */
function read(config, caller) {
  try {
    return config.token == null
      ? evm.balance(config.chain_id, caller)
      : erc20.balanceOf(config.chain_id, config.token, caller);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The config, or a refusal that says what is wrong with it.
 * @param {any} config
 * @returns {Config}
 */
function checked(config) {
  const wrong = (/** @type {string} */ why) => refuse(`the key's config cannot be used: ${why}`);
  if (config === null || typeof config !== "object") return wrong("it is no object");
  for (const key of Object.keys(config)) {
    if (!["chain_id", "token", "minimum"].includes(key)) return wrong(`unknown field \`${key}\``);
  }
  if (!Number.isSafeInteger(config.chain_id) || config.chain_id < 0) return wrong("chain_id is a chain's number");
  if (config.token != null && !/^0x[0-9a-fA-F]{40}$/.test(config.token)) {
    return wrong(`an address is 0x and 40 hexadecimal digits, got ${JSON.stringify(config.token)}`);
  }
  if (typeof config.minimum !== "string" || !/^(0|[1-9][0-9]{0,77})$/.test(config.minimum) || BigInt(config.minimum) >> 256n) {
    return wrong(
      `an amount is a decimal string of base units below 2^256, got ${JSON.stringify(config.minimum)}`,
    );
  }
  return config;
}
