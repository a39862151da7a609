// Numbers: uint256 and wei are bigint; small counts are numbers; nothing is rounded.
import { shown } from "countersign:shown";

/** A whole number of at most `bits` bits, as a bigint. */
export function toUint(value, what, bits = 256) {
  const number = toBigInt(value, what);
  if (number < 0n || number >> BigInt(bits)) throw new RangeError(`${what} is ${number}: it needs 0 to 2^${bits} - 1`);
  return number;
}

/** A whole number, as a bigint. */
export function toBigInt(value, what) {
  if (typeof value === "bigint") return value;
  if (typeof value !== "number") throw new TypeError(`${what} is ${shown(value)}: write a bigint, as 10n`);
  if (Number.isSafeInteger(value)) return BigInt(value);
  if (Number.isInteger(value)) {
    throw new RangeError(`${what} is the number ${value}, beyond what a number holds exactly: write a bigint, as 10n ** 18n`);
  }
  throw new TypeError(`${what} is the number ${value}: it needs a whole number`);
}

/** A whole number from 0 to `most`, as a number. */
export function toCount(value, what, most = Number.MAX_SAFE_INTEGER) {
  const number = toBigInt(value, what);
  if (number < 0n || number > BigInt(most)) throw new RangeError(`${what} is ${number}: it needs 0 to ${most}`);
  return Number(number);
}
