// @ts-check
// Signs a message while a price is above or below a limit. Every endpoint is read by every node; the nodes agree on
// the middle value of each endpoint, and the middle one of the endpoints' values is the price.
import { context, decimal, http, median, refuse, sign } from "countersign";

/**
 * @typedef {{ url: string, pointer: string }} Endpoint
 * @typedef {{
 *   endpoints: Endpoint[],
 *   tolerance?: { bps?: number, abs?: string },
 *   above?: string,
 *   below?: string,
 * }} Config
 */

export default function run() {
  const config = checked(context.configJson());
  const rule = median(config.tolerance);
  const answers = http.fetchAll(config.endpoints.map(({ url, pointer }) => ({ url, fields: { [pointer]: rule } })));
  const prices = answers.map(({ fields }, index) => String(fields[config.endpoints[index].pointer]));
  const price = middle(prices);
  const { above, below } = config;
  if (above !== undefined && !decimal.gt(price, above)) refuse(explained(price, prices, "above", above));
  if (below !== undefined && !decimal.lt(price, below)) refuse(explained(price, prices, "below", below));
  return { sign: sign.bytes(context.params), response: { price, prices, time_ms: context.timeMs } };
}

/**
 * The middle value, the lower of the two where the count is even.
 * @param {string[]} prices
 */
function middle(prices) {
  return prices.toSorted(decimal.compare)[Math.floor((prices.length - 1) / 2)];
}

/**
 * @param {string} price
 * @param {string[]} prices
 * @param {string} side
 * @param {string} limit
 */
function explained(price, prices, side, limit) {
  const of = prices.length === 1 ? "" : ` (the middle one of ${prices.join(", ")})`;
  return `the price is ${price}${of}, the key asks for one ${side} ${limit}: ask again when it is`;
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
    if (!["endpoints", "tolerance", "above", "below"].includes(key)) return wrong(`unknown field \`${key}\``);
  }
  if (!Array.isArray(config.endpoints) || config.endpoints.length === 0) {
    return wrong("endpoints is a list of at least one { url, pointer }");
  }
  for (const endpoint of config.endpoints) {
    if (typeof endpoint?.url !== "string" || typeof endpoint?.pointer !== "string") {
      return wrong('an endpoint is { "url": "https://..", "pointer": "/price" }');
    }
  }
  if (config.above === undefined && config.below === undefined) return wrong("it has neither `above` nor `below`");
  for (const limit of [config.above, config.below]) {
    if (limit !== undefined && !(typeof limit === "string" && /^-?\d{1,38}(\.\d{1,18})?$/.test(limit))) {
      return wrong(`a limit is a decimal string, as "1850.5", got ${JSON.stringify(limit)}`);
    }
  }
  try {
    median(config.tolerance);
  } catch (error) {
    return wrong(`tolerance: ${error instanceof Error ? error.message : error}`);
  }
  return config;
}
