//! What an author reads when a script is wrong: what, where, and what to write instead.

mod world;

use world::{World, compile};

/// Each body of `run` stands on line 3 of its file.
const MISTAKES: &[(&str, &str)] = &[
    (
        "",
        "action.js:2:16: TypeError: run returned nothing: return what is to be signed, as sign.bytes(data), or \
          refuse(reason)",
    ),
    (
        "return 5",
        "action.js:2:16: TypeError: run returned the number 5: return what is to be signed, as \
                  sign.bytes(data) or { sign: [..], response }",
    ),
    ("return []", "action.js:2:16: TypeError: run returned nothing to sign: refuse(reason) says why not"),
    (
        "return { sign: 'x' }",
        "action.js:2:16: TypeError: run wants to sign \"x\": make it a payload, as \
                              sign.bytes(data)",
    ),
    ("throw new Error('x')", "action.js:3:11: Error: x"),
    ("throw 'x'", "threw \"x\" that is no Error: throw new Error(..), which knows its place"),
    (
        "return new Promise(() => {})",
        "run waits for a promise that never resolves: nothing is left that could \
                                      resolve it",
    ),
    (
        "Promise.reject(new Error('lost')); return cs.sign.bytes('0x00')",
        "action.js:3:20: a promise was rejected and \
                                                                     nobody awaits it: Error: lost",
    ),
    (
        "cs.median({ abs: 0.5 })",
        "action.js:3:4: TypeError: median: abs is the number 0.5, a binary float: write it as \
                                 a string, as \"0.5\"",
    ),
    ("cs.median({ bsp: 5 })", "action.js:3:4: TypeError: median: there is no \"bsp\": it takes bps, abs"),
    ("cs.http.fetch('https://a.test', { fields: { '/a': cs.median } })", "write median({ bps: 50 })"),
    (
        "cs.http.fetch('https://a.test', { timeout: 5 })",
        "there is no \"timeout\": it takes fields, headers, timeoutMs, maxBody",
    ),
    (
        "cs.decimal.gt(0.1, 1)",
        "action.js:3:12: TypeError: decimal: an argument is the number 0.1, a binary float",
    ),
    (
        "cs.sign.bytes('hello')",
        "sign.bytes: the data is the text \"hello\": bytes are a Uint8Array or 0x-hex; use \
                                utf8(..) for text",
    ),
    ("cs.evm.balance(31337, '0x12')", "evm.balance: the account has 1 bytes: it needs 20"),
    ("cs.evm.balance(1, cs.context.firstCaller())", "HostError: the action may not read this: chain 1"),
    (
        "cs.evm.balance(2 ** 60, cs.context.firstCaller())",
        "beyond what a number holds exactly: write a bigint",
    ),
    ("cs.refuse('')", "say which condition failed and what would satisfy it"),
    ("return { sign: cs.sign.raw('0x00'), response: { a: 1n } }", "write bigints as strings"),
    ("cs.crypto.typedDataDigest({ a: 1 })", "crypto.typedDataDigest: it has no types"),
    ("cs.abi.encodeCall('f(string)', 'x')", "abi: the type \"string\" is not supported"),
];

#[test]
fn a_mistake_is_explained_with_its_place() {
    for (body, expected) in MISTAKES {
        let ended = World::default().body(body);
        assert!(ended.failed().contains(expected), "{body}: {}", ended.failed());
    }
}

#[test]
fn a_mistake_in_an_async_function_is_explained_too() {
    let ended = World::default()
        .run("export default async function run() {\n  await null;\n  throw new TypeError('late');\n}");
    assert_eq!(ended.failed(), "action.js:3:13: TypeError: late");
}

/// Sources that no run can come of, and what is said of them without running them.
const NO_SCRIPTS: &[(&str, &str)] = &[
    ("let x = ;", "action.js:1:9: SyntaxError: unexpected token in expression: ';'"),
    ("export default () => {\n  return `${}`;\n}", "action.js:2:13: SyntaxError: unexpected token"),
    (
        "export const a = 1;",
        "Could not find export 'default' in module 'action.js'; write `export default function run()",
    ),
    (
        "import { mediam } from \"countersign\"; export default () => 1",
        "action.js:1:10: SyntaxError: Could not find export 'mediam'",
    ),
    (
        "\nimport _ from \"lodash\"; export default () => 1",
        "action.js:2:16: ReferenceError: could not load module 'lodash'; an action is one file",
    ),
];

#[test]
fn what_is_wrong_with_a_source_is_said_when_it_is_compiled() {
    for (source, expected) in NO_SCRIPTS {
        let said = compile(source).expect_err(source);
        assert!(said.contains(expected), "{source}: {said}");
    }
}

#[test]
fn a_compilation_runs_nothing() {
    for source in [
        "while (true) {}\nexport default function run() {}",
        "throw new Error('never seen'); export default 1",
    ] {
        assert!(compile(source).is_ok(), "{source}");
    }
}

#[test]
fn a_source_makes_the_same_program_each_time() {
    let source = "import { sign } from 'countersign'; export default () => sign.bytes(`0x${'é'.length}0`);";
    let program = compile(source).expect("a script");
    assert_eq!(compile(source), Ok(program.clone()));
    assert_ne!(compile(&source.replace('é', "e")), Ok(program));
}

/// A host hands over what the same runner made; whatever else it would hand over ends that run at most.
#[test]
fn a_damaged_program_harms_its_own_run_only() {
    let source = "import { sign } from 'countersign'; export default () => sign.bytes('0x00');";
    let program = compile(source).expect("a script");
    for at in (0..program.len()).step_by(7) {
        let mut damaged = program.clone();
        damaged[at] ^= 0x55;
        drop(World::default().try_program(&damaged, 50_000_000));
    }
    for length in [0, 1, program.len() / 2] {
        drop(World::default().try_program(&program[..length], 50_000_000));
    }
    let ended = World::default().try_program(&program, 50_000_000).expect("it runs");
    assert_eq!(ended.signs().len(), 1);
}

#[test]
fn what_only_a_run_shows_fails_there() {
    let ended = World::default().run("export default 5;");
    assert!(
        ended.failed().contains("the default export of action.js is int and not a function"),
        "{}",
        ended.failed()
    );
    let ended = World::default().run("await new Promise(() => {}); export default () => 1;");
    assert_eq!(ended.failed(), "the module's top level awaits a promise that never resolves");
    let ended = World::default().run("\nnull.x; export default () => 1;");
    assert!(ended.failed().starts_with("action.js:2:"), "{}", ended.failed());
}

/// Whatever a script does to its own refusal, it stays one.
#[test]
fn a_refusal_cannot_be_undone() {
    for undo in [
        "String.prototype.toWellFormed = () => undefined; try { cs.refuse('no') } catch {}",
        "try { cs.refuse('é'.repeat(20 << 20)) } catch {}",
        "try { cs.refuse('first') } catch {} try { cs.refuse('second') } catch {}",
    ] {
        let ended = World::default().body(&format!("{undo} return cs.sign.bytes('0x00')"));
        assert!(!ended.refused().is_empty(), "{undo}");
    }
}

#[test]
fn refused_is_refused_even_if_something_catches_it() {
    for body in [
        "cs.refuse('no')",
        "try { cs.refuse('no') } catch {}\nreturn cs.sign.bytes('0x00')",
        "try { cs.refuse('no') } catch {}\nthrow new Error('x')",
    ] {
        assert_eq!(World::default().body(body).refused(), "no", "{body}");
    }
    let ended = World::default()
        .run("import { refuse } from 'countersign'; export default async () => refuse('later')");
    assert_eq!(ended.refused(), "later");
}
