// Reads of chains at their pinned blocks.
import { hex, toAddress, toBytes } from "countersign:bytes";
import { ask } from "countersign:host";
import { toCount, toUint } from "countersign:numbers";
import { knownKeys, shown } from "countersign:shown";
import { abi } from "countersign:abi";

/** Reads of chains. */
export const evm = Object.freeze({
  /** Calls a contract. A revert is an answer. */
  call: (call) => called(ask("ethCall", asked("evm.call", call))),
  /** Several calls at once, answered in their order. */
  callAll: (calls) => {
    if (!Array.isArray(calls)) throw new TypeError(`evm.callAll: got ${shown(calls)}: it takes an array`);
    return ask("ethCallAll", calls.map((call) => asked("evm.callAll", call))).map(called);
  },
  /** An account's balance in wei. */
  balance: (chainId, account) =>
    word(ask("balance", chain("evm.balance", chainId), toAddress(account, "evm.balance: the account"))),
  /** An account's nonce. */
  nonce: (chainId, account) =>
    ask("nonce", chain("evm.nonce", chainId), toAddress(account, "evm.nonce: the account")),
  /** The keccak-256 of an account's code. */
  codeHash: (chainId, account) =>
    ask("codeHash", chain("evm.codeHash", chainId), toAddress(account, "evm.codeHash: the account")),
  /** One storage slot of a contract. */
  storageAt: (chainId, contract, slot) =>
    ask(
      "storageAt",
      chain("evm.storageAt", chainId),
      toAddress(contract, "evm.storageAt: the contract"),
      slotted(slot),
    ),
  /** Log entries in the chain's order. */
  logs: (filter) => {
    knownKeys(filter, ["chainId", "addresses", "topics", "fromBlock", "toBlock"], "evm.logs");
    const { chainId, addresses = [], topics = [], fromBlock, toBlock } = filter;
    return ask(
      "logs",
      chain("evm.logs", chainId),
      addresses.map((address) => toAddress(address, "evm.logs: an address")),
      topics.map(anyOf),
      toCount(fromBlock, "evm.logs: fromBlock"),
      toCount(toBlock, "evm.logs: toBlock"),
    ).map(entry);
  },
  /** A transaction's receipt; null unless it is in a block at or below the pin. */
  transactionReceipt: (chainId, hash) => {
    const answer = ask(
      "receipt",
      chain("evm.transactionReceipt", chainId),
      toBytes(hash, "evm.transactionReceipt: the hash", 32),
    );
    if (answer === null) return null;
    const [success, blockNumber, blockHash, logs] = answer;
    return { success, blockNumber, blockHash, logs: logs.map(entry) };
  },
});

/** ERC-20 tokens. */
export const erc20 = Object.freeze({
  /** An account's balance, in the token's base units. */
  balanceOf: (chainId, token, account) => {
    const what = `${typeof token === "string" ? token.toLowerCase() : hex(token)} on chain ${chainId}`;
    const data = abi.encodeCall("balanceOf(address)", account);
    const { reverted, data: returned } = evm.call({ chainId, to: token, data });
    if (reverted) throw new Error(`${what} reverts when it is asked for a balance`);
    if (returned.length !== 32) {
      throw new Error(
        `${what} is no ERC-20 token: asked for a balance, it returns ${returned.length} bytes instead of 32`,
      );
    }
    return word(returned);
  },
});

function chain(what, chainId) {
  return toCount(chainId, `${what}: the chain id`);
}

function asked(what, call) {
  knownKeys(call, ["chainId", "to", "data", "from"], what);
  const { chainId, to, data = new Uint8Array(), from } = call;
  return [
    chain(what, chainId),
    toAddress(to, `${what}: "to"`),
    toBytes(data, `${what}: "data"`),
    from === undefined || from === null ? undefined : toAddress(from, `${what}: "from"`),
  ];
}

const called = ([ok, data]) => ({ reverted: !ok, data });

function slotted(slot) {
  if (typeof slot !== "bigint" && typeof slot !== "number") return toBytes(slot, "evm.storageAt: the slot", 32);
  return toBytes(`0x${toUint(slot, "evm.storageAt: the slot").toString(16).padStart(64, "0")}`, "the slot");
}

/** One topic, several, or null for anything. */
function anyOf(topics) {
  if (topics === null || topics === undefined) return [];
  return (Array.isArray(topics) ? topics : [topics]).map((topic) => toBytes(topic, "evm.logs: a topic", 32));
}

const entry = ([address, topics, data, blockNumber, txHash, index]) => {
  return { address: hex(address), topics, data, blockNumber, txHash, index };
};

const word = (bytes) => BigInt(hex(bytes));
