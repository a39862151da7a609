#!/usr/bin/env node
// Compiles contracts/*.sol into artefacts/*.json, or with --check compares them with what is committed.
//
//     node crates/contracts/compile.mjs [--check]
//
// solc is the npm package of exactly the version below. It is looked for in $COUNTERSIGN_NPM/node_modules, in
// ${XDG_CACHE_HOME:-~/.cache}/countersign/npm/node_modules (`npm install --prefix` that folder), and beside this file.
//
// Exit status: 0 done or equal, 1 different or a compiler error, 2 wrong usage, 3 no such solc.

import { createRequire } from "node:module";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const VERSION = "0.8.37";
const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

const root = dirname(fileURLToPath(import.meta.url));

function main(args) {
  if (args.length > 1 || (args.length === 1 && args[0] !== "--check")) {
    fail(2, "usage: compile.mjs [--check]");
  }
  const solc = loadCompiler();
  const different = compile(solc).filter(([path, text]) => {
    if (args.length === 0) writeFileSync(path, text);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  if (different.length > 0) {
    const paths = different.map(([path]) => path).join(", ");
    fail(1, `these artefacts are not what their sources compile to: ${paths}`);
  }
}

function loadCompiler() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const places = [process.env.COUNTERSIGN_NPM, join(cache, "countersign", "npm"), root].filter(Boolean);
  for (const place of places) {
    const manifest = join(place, "node_modules", "solc", "package.json");
    if (!existsSync(manifest)) continue;
    const found = JSON.parse(readFileSync(manifest, "utf8")).version;
    if (found === VERSION) return createRequire(manifest)("solc");
    console.error(`passing over solc ${found} in ${place}`);
  }
  fail(3, `the npm package solc@${VERSION} is in none of ${places.join(", ")}: npm install --prefix ${places[0]} solc@${VERSION}`);
}

function compile(solc) {
  const folder = join(root, "contracts");
  const names = readdirSync(folder).filter((name) => name.endsWith(".sol")).sort();
  const sources = Object.fromEntries(
    names.map((name) => [name, { content: readFileSync(join(folder, name), "utf8") }]),
  );
  const input = { language: "Solidity", sources, settings: SETTINGS };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors?.length) {
    fail(1, output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  return Object.values(output.contracts).flatMap(Object.entries).map(([name, contract]) => {
    const artefact = {
      contract: name,
      compiler: solc.version(),
      settings: { ...SETTINGS, outputSelection: undefined },
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
    };
    return [join(root, "artefacts", `${name}.json`), JSON.stringify(artefact, null, 2) + "\n"];
  });
}

function fail(status, message) {
  console.error(message);
  process.exit(status);
}

main(process.argv.slice(2));
