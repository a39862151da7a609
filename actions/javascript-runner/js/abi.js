// Calldata and results of functions whose arguments are all words: integers, addresses, booleans, bytes1..32.
import { concat, hex, toAddress, toBytes, utf8 } from "countersign:bytes";
import { native } from "countersign:native";
import { toBigInt, toUint } from "countersign:numbers";
import { shown } from "countersign:shown";

const WORD = 32;
const FUNCTION = /^[A-Za-z_$][\w$]*\(([^()]*)\)$/;
const TYPE = /^(uint|int|address|bool|bytes)(\d*)$/;

/** A part of Solidity's ABI. */
export const abi = Object.freeze({
  /** The calldata of a call, as `abi.encodeCall("transfer(address,uint256)", to, 5n)`. */
  encodeCall: (signature, ...args) => {
    const [, list] = FUNCTION.exec(signature) ?? [];
    if (list === undefined) {
      throw new TypeError(`abi: ${shown(signature)} is no function: write its name and types, as "balanceOf(address)"`);
    }
    const types = list === "" ? [] : list.split(",");
    const selector = native.keccak256(utf8(signature)).slice(0, 4);
    return concat(selector, abi.encode(types, args));
  },
  /** Values as words. */
  encode: (types, values) => {
    if (types.length !== values.length) {
      throw new TypeError(`abi: ${values.length} values for ${types.length} types (${types.join(", ")})`);
    }
    return concat(...types.map((type, index) => encoded(type, values[index])));
  },
  /** Words as values: bigints, addresses as 0x-hex, booleans, Uint8Arrays. */
  decode: (types, data) => {
    const bytes = toBytes(data, "abi: the data");
    if (bytes.length < types.length * WORD) {
      throw new RangeError(`abi: ${bytes.length} bytes hold no ${types.length} words (${types.join(", ")})`);
    }
    return types.map((type, index) => decoded(type, bytes.slice(index * WORD, (index + 1) * WORD)));
  },
});

/** [kind, size]: bits of an integer, bytes of fixed bytes. */
function parsed(type) {
  const [, kind, size] = TYPE.exec(type) ?? [];
  const number = Number(size);
  const fits = {
    uint: size !== "" && number % 8 === 0 && number >= 8 && number <= 256,
    int: size !== "" && number % 8 === 0 && number >= 8 && number <= 256,
    bytes: size !== "" && number >= 1 && number <= WORD,
    address: size === "",
    bool: size === "",
  };
  if (fits[kind]) return [kind, number];
  throw new TypeError(
    `abi: the type ${shown(type)} is not supported: uint8..256, int8..256, address, bool and bytes1..32 are`,
  );
}

function encoded(type, value) {
  const [kind, size] = parsed(type);
  const what = `abi: the ${type}`;
  switch (kind) {
    case "uint": return fromWord(toUint(value, what, size));
    case "int": return fromWord(BigInt.asUintN(256, signed(value, what, size)));
    case "address": return padded(toAddress(value, what), true);
    case "bytes": return padded(toBytes(value, what, size), false);
    default:
  }
  if (typeof value !== "boolean") throw new TypeError(`${what} is ${shown(value)}: write true or false`);
  return fromWord(value ? 1n : 0n);
}

function decoded(type, word) {
  const [kind, size] = parsed(type);
  const number = BigInt(hex(word));
  const inside = (fits) => {
    if (!fits) throw new RangeError(`abi: ${hex(word)} is no ${type}`);
  };
  switch (kind) {
    case "uint": inside(!(number >> BigInt(size))); return number;
    case "int": inside(BigInt.asUintN(256, BigInt.asIntN(size, number)) === number); return BigInt.asIntN(size, number);
    case "address": inside(!(number >> 160n)); return hex(word.slice(12));
    case "bytes": inside(word.slice(size).every((byte) => byte === 0)); return word.slice(0, size);
    default:
  }
  inside(number <= 1n);
  return number === 1n;
}

function signed(value, what, size) {
  const number = toBigInt(value, what);
  if (BigInt.asIntN(size, number) !== number) throw new RangeError(`${what} is ${number}: it does not fit`);
  return number;
}

const fromWord = (number) => toBytes(`0x${number.toString(16).padStart(2 * WORD, "0")}`, "a word");

function padded(bytes, left) {
  const word = new Uint8Array(WORD);
  word.set(bytes, left ? WORD - bytes.length : 0);
  return word;
}
