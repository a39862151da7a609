// What every node of the session sees as the same bytes.
import { fromUtf8, hex } from "countersign:bytes";
import { toCount } from "countersign:numbers";
import { refuse } from "countersign:outcome";

/** The request, the key and the session. Filled before the action is evaluated. */
export const context = {
  /** The key's config, parsed as JSON; refuses if it is not. */
  configJson: () => parsed("the key's config", context.config),
  /** The request's params, parsed as JSON; refuses if they are not. */
  paramsJson: () => parsed("the request's params", context.params),
  /** The block agreed for a chain; refuses if the manifest does not list the chain. */
  pin: (chainId) => {
    const id = toCount(chainId, "context.pin: the chain id");
    const found = context.pins.find((pin) => pin.chainId === id);
    const chains = context.pins.map((pin) => pin.chainId).join(", ");
    return found ?? refuse(
      `chain ${id} is not among the chains [${chains}] of the action's manifest: use a key whose config names one of those`,
    );
  },
  /** The first account among the callers, in ascending order; refuses if there is none. */
  firstCaller: () => {
    const found = context.callers.find((caller) => caller.address !== null);
    return (found ?? refuse("no account has signed the request: sign it with the account that it is about")).address;
  },
};

/** Fills the context. */
export function fill(request) {
  for (const caller of request.callers) {
    caller.address = caller.kind === "eip191" && caller.id.length === 20 ? hex(caller.id) : null;
  }
  Object.freeze(Object.assign(context, request));
}

function parsed(what, bytes) {
  if (bytes.length === 0) return refuse(`${what} cannot be used: there is none, and this action needs one in JSON`);
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch (error) {
    return refuse(`${what} cannot be used: ${error.message}`);
  }
}
