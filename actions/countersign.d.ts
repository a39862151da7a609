/**
 * What an action in JavaScript imports. Every node runs it, and runs it again over the values that all agreed on, so
 * an action sees the same everywhere: `Date.now()` is the session's time (the zone is UTC), `Math.random()` follows
 * from the session's public seed, and there is no other clock, no timer and no other way out.
 *
 * Calls of the host return values at once; `await` on them does no harm.
 */
declare module "countersign" {
  /** 0x-hex, as "0x00ff". */
  export type Hex = string;
  /** Bytes; where they are expected, 0x-hex is taken too. */
  export type Bytes = Uint8Array | Hex;
  /** An address: 20 bytes. What the host returns is 0x-hex in lower case. */
  export type Address = Bytes;
  /** An exact decimal: a string as "0.5", a bigint, or a whole number. A fraction as a number is an error. */
  export type Decimal = string | bigint | number;
  /** A whole number, exact. */
  export type Whole = bigint | number;

  /** Bytes as 0x-hex, in lower case. */
  export function hex(bytes: Bytes): Hex;
  /** The bytes of 0x-hex. */
  export function fromHex(text: Hex): Uint8Array;
  /** The bytes of a text, in UTF-8. */
  export function utf8(text: string): Uint8Array;
  /** The text of bytes in UTF-8; an error if they are not. */
  export function fromUtf8(bytes: Bytes): string;
  /** Bytes one after the other. */
  export function concat(...parts: Bytes[]): Uint8Array;

  /** The host did nothing, for a reason that is the same on every node. Uncaught, it ends the run. */
  export class HostError extends Error {
    /** Denied: not in the manifest. Limit: a budget of the manifest is used up. Invalid: malformed arguments. */
    readonly kind: "denied" | "limit" | "invalid";
    constructor(kind: "denied" | "limit" | "invalid", text: string);
  }

  /** A caller whose signature over the request has been checked. */
  export interface Caller {
    /** How they proved it: "eip191" for an Ethereum account. Refuse what you do not know. */
    readonly kind: string;
    /** Who they are. */
    readonly id: Uint8Array;
    /** The account, if the caller is one. */
    readonly address: Hex | null;
  }

  /** A block agreed for this session: the only one that reads of its chain see. */
  export interface Pin {
    readonly chainId: number;
    readonly number: number;
    readonly hash: Uint8Array;
    /** In seconds since 1970. */
    readonly timestamp: number;
  }

  /** The request, the key and the session: the same bytes on every node. */
  export const context: {
    /** The request's digest: the same for each repetition of this request. */
    readonly requestDigest: Uint8Array;
    /** The session: another for each attempt to answer the request. */
    readonly sessionId: Uint8Array;
    /** This action: the hash of its manifest. */
    readonly actionId: Uint8Array;
    /** The key that is asked to sign. */
    readonly keyId: Uint8Array;
    /** The key's scheme, as "schnorr-secp256k1". */
    readonly scheme: string;
    readonly publicKey: Uint8Array;
    /** From the key's spec: fixed for the key's life, chosen by whoever made the key. */
    readonly config: Uint8Array;
    /** From the caller: hostile. */
    readonly params: Uint8Array;
    /** Who asks: sorted, distinct. */
    readonly callers: readonly Caller[];
    /** The session's time, in milliseconds since 1970: agreed, up to 30 s off. */
    readonly timeMs: number;
    /** Public, and the coordinator can try many: never for secrets or lotteries. */
    readonly seed: Uint8Array;
    /** One block for each chain of the manifest. */
    readonly pins: readonly Pin[];
    /** The config, parsed as JSON; refuses if it is not. */
    configJson(): any;
    /** The params, parsed as JSON; refuses if they are not. */
    paramsJson(): any;
    /** The block agreed for a chain; refuses if the manifest does not list the chain. */
    pin(chainId: Whole): Pin;
    /** The first account among the callers, in ascending order; refuses if there is none. */
    firstCaller(): Hex;
  };

  /** Something to sign; `sign` makes it. */
  export interface Payload {
    readonly kind: "bytes" | "personal-message" | "typed-data" | "raw";
    readonly data: Uint8Array | string;
  }

  /** Makes payloads. Nothing is signed until `run` returns them. */
  export const sign: {
    /** Signed under a tag with the key's id: never equal to what is signed for any other purpose. */
    bytes(data: Bytes): Payload;
    /** The EIP-191 digest, as `personal_sign`. */
    personalMessage(data: Bytes): Payload;
    /** The EIP-712 digest of typed data, in which bigints and bytes may stand; or JSON. */
    typedData(typedData: object | string): Payload;
    /** Exactly these bytes. */
    raw(data: Bytes): Payload;
  };

  /**
   * Refuses the request: the reason reaches the caller, so say which condition failed and what would satisfy it.
   * It throws, and nothing is signed after it even if something catches that.
   */
  export function refuse(reason: string): never;

  /** What `run` returns. */
  export type Decision =
    | Payload
    | Payload[]
    | {
        sign: Payload | Payload[];
        /** What the caller is told, besides: a text, bytes, or anything that JSON can write. */
        response?: unknown;
      };

  /** How far an agreed number may lie from a node's own: the larger of the two. */
  export interface Tolerance {
    /** Hundredths of a per cent: 0 to 10,000. */
    bps?: Whole;
    /** In the number's own unit. */
    abs?: Decimal;
  }

  /** How the values that the nodes read become one. */
  export interface Rule {
    readonly name: "identical" | "median" | "min" | "max" | "mode";
    readonly bps: number;
    readonly abs: string;
  }

  /** A rule about numbers. */
  export interface NumberRule extends Rule {
    readonly name: "median" | "min" | "max";
  }

  /** All nodes read the same. */
  export const identical: Rule;
  /** The most frequent value; a tie is a disagreement. */
  export const mode: Rule;
  /** The middle value, the lower of the two where the count is even. */
  export function median(tolerance?: Tolerance): NumberRule;
  /** The smallest value. */
  export function min(tolerance?: Tolerance): NumberRule;
  /** The largest value. */
  export function max(tolerance?: Tolerance): NumberRule;

  /** Options of a fetch. */
  export interface FetchOptions {
    /** At most 16. Everybody can read them: no secrets. */
    headers?: Record<string, string>;
    /** The most bytes of the body: at most 131,072, which is the default. */
    maxBody?: Whole;
    /** The longest that it may take: at most 10,000, which is the default. */
    timeoutMs?: Whole;
  }

  /** Fields of a JSON body, by JSON pointers (RFC 6901) as "/data/0/price", and how the nodes agree on each. */
  export type Fields = Record<string, Rule>;

  /** A response of which the nodes agree on fields. */
  export interface FieldsResponse<F extends Fields = Fields> {
    readonly status: number;
    /**
     * Agreed numbers are canonical decimal strings ("1.5"): compare them with `decimal`, never with `<`, which
     * compares texts by their letters.
     */
    readonly fields: { readonly [P in keyof F]: F[P] extends NumberRule ? string : string | boolean | null };
  }

  /** A response that is the same on all nodes, byte for byte. */
  export interface WholeResponse {
    readonly status: number;
    /** Only "content-type". */
    readonly headers: Record<string, string>;
    readonly body: Uint8Array;
    text(): string;
    json(): any;
  }

  /** GET over HTTPS, of the manifest's hosts. Each read takes one of the manifest's `http_reads`. */
  export const http: {
    fetch<F extends Fields>(url: string, options: FetchOptions & { fields: F }): FieldsResponse<F>;
    fetch(url: string, options?: FetchOptions): WholeResponse;
    /** Several at once, answered in their order. */
    fetchAll<F extends Fields>(requests: (FetchOptions & { url: string; fields: F })[]): FieldsResponse<F>[];
    fetchAll(requests: (string | (FetchOptions & { url: string }))[]): WholeResponse[];
  };

  /** A call of a contract that changes nothing. */
  export interface Call {
    chainId: Whole;
    to: Address;
    data?: Bytes;
    /** The zero address if absent. */
    from?: Address | null;
  }

  /** How a call ended. */
  export interface CallResult {
    readonly reverted: boolean;
    readonly data: Uint8Array;
  }

  export interface LogEntry {
    readonly address: Hex;
    readonly topics: readonly Uint8Array[];
    readonly data: Uint8Array;
    readonly blockNumber: number;
    readonly txHash: Uint8Array;
    /** The entry's place in its block. */
    readonly index: number;
  }

  export interface LogFilter {
    chainId: Whole;
    /** By any of these, at most 16; by anybody if absent. */
    addresses?: Address[];
    /** By position, at most 4: one, any of several, or null for anything. */
    topics?: (Bytes | Bytes[] | null)[];
    fromBlock: Whole;
    /** Included; not above the pin, at most 10,000 blocks in all. */
    toBlock: Whole;
  }

  export interface Receipt {
    readonly success: boolean;
    readonly blockNumber: number;
    readonly blockHash: Uint8Array;
    readonly logs: readonly LogEntry[];
  }

  /** Reads of chains at their pinned blocks. Each takes one of the manifest's `chain_reads`. */
  export const evm: {
    /** A revert is an answer, not an error. */
    call(call: Call): CallResult;
    callAll(calls: Call[]): CallResult[];
    /** In wei. */
    balance(chainId: Whole, account: Address): bigint;
    nonce(chainId: Whole, account: Address): number;
    /** The keccak-256 of the code; that of nothing where there is none. */
    codeHash(chainId: Whole, account: Address): Uint8Array;
    storageAt(chainId: Whole, contract: Address, slot: Whole | Bytes): Uint8Array;
    logs(filter: LogFilter): LogEntry[];
    /** Null unless it is in a block at or below the pin. */
    transactionReceipt(chainId: Whole, hash: Bytes): Receipt | null;
  };

  /** ERC-20 tokens. */
  export const erc20: {
    /** In the token's base units. An error if there is no such token. */
    balanceOf(chainId: Whole, token: Address, account: Address): bigint;
  };

  /** The part of Solidity's ABI in which each value is a word: integers, addresses, booleans, bytes1 to bytes32. */
  export const abi: {
    /** Calldata, as `abi.encodeCall("transfer(address,uint256)", to, 5n)`. */
    encodeCall(signature: string, ...args: (Whole | Bytes | boolean)[]): Uint8Array;
    encode(types: string[], values: (Whole | Bytes | boolean)[]): Uint8Array;
    /** Integers are bigints, addresses 0x-hex. */
    decode(types: string[], data: Bytes): (bigint | string | boolean | Uint8Array)[];
  };

  /** Exact arithmetic; results are in canonical form. */
  export const decimal: {
    /** -1, 0 or 1. */
    compare(a: Decimal, b: Decimal): -1 | 0 | 1;
    eq(a: Decimal, b: Decimal): boolean;
    lt(a: Decimal, b: Decimal): boolean;
    lte(a: Decimal, b: Decimal): boolean;
    gt(a: Decimal, b: Decimal): boolean;
    gte(a: Decimal, b: Decimal): boolean;
    add(a: Decimal, b: Decimal): string;
    sub(a: Decimal, b: Decimal): string;
    mul(a: Decimal, b: Decimal): string;
    /** "1.50" and "15e-1" are "1.5". */
    canonical(a: Decimal): string;
    /** `scale("1.5", 18)` is 1500000000000000000n. */
    scale(a: Decimal, places: number): bigint;
    /** `unscale(1500000000000000000n, 18)` is "1.5". */
    unscale(units: Whole, places: number): string;
  };

  /** Hashes and signatures, computed by the host. What has a wrong length or is no signature does not verify. */
  export const crypto: {
    keccak256(data: Bytes): Uint8Array;
    sha256(data: Bytes): Uint8Array;
    /** As `ecrecover`; null if it is no signature. */
    secp256k1Recover(digest: Bytes, signature: Bytes): Hex | null;
    secp256k1Verify(publicKey: Bytes, digest: Bytes, signature: Bytes): boolean;
    bip340Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean;
    p256Verify(publicKey: Bytes, digest: Bytes, signature: Bytes): boolean;
    ed25519Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean;
    /** The EIP-712 digest; an error that says why where it is no typed data. */
    typedDataDigest(typedData: object | string): Uint8Array;
  };

  /** Lines for the operator and the author; they reach neither caller nor receipt. `console` is the same. */
  export const log: {
    debug(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  };
}

declare const console: {
  debug(...values: unknown[]): void;
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
};
