//! Scripts that take more than there is, and what a run depends on.

mod world;

use wasmtime::Trap;
use world::World;

#[test]
fn deep_recursion_is_an_error_of_the_script() {
    for body in [
        "const f = () => f() + 1; f()",
        "const f = (x) => [x].map(f); f(1)",
        "const f = { get x() { return this.x; } }; f.x",
        "const f = () => `${{ toString: f }}`; f()",
    ] {
        let ended = World::default().body(body);
        let text = ended.failed();
        assert!(
            text.contains("Maximum call stack size exceeded; use a loop") && text.contains("action.js:"),
            "{text}"
        );
    }
}

/// The interpreter's own recursion, which takes more of the host's stack than of the interpreter's.
#[test]
fn deep_values_are_an_error_of_the_script() {
    let nested = "let x = []; for (let i = 0; i < 200_000; i++) x = [x];";
    for body in [
        "JSON.parse('['.repeat(200_000))",
        "JSON.parse('{\"a\":'.repeat(200_000))",
        &format!("{nested} JSON.stringify(x)"),
        &format!("{nested} String(x)"),
        &format!("{nested} x.flat(Infinity)"),
        &format!("{nested} return {{ sign: cs.sign.bytes('0x00'), response: x }}"),
        "Function('['.repeat(200_000))",
    ] {
        let ended = World::default().body(body);
        assert!(ended.failed().contains("Maximum call stack size exceeded"), "{body}: {}", ended.failed());
    }
    let ended = World::default().body("new RegExp('('.repeat(200_000))");
    assert!(ended.failed().contains("too many captures"), "{}", ended.failed());
}

#[test]
fn an_endless_loop_ends_with_the_fuel() {
    for body in ["while (true) {}", "const again = () => Promise.resolve().then(again); return again()"] {
        let source = format!("export default function run() {{ {body} }}");
        let error = World::default().try_run(&source, 50_000_000).err().expect("a trap");
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::OutOfFuel), "{error:?}");
    }
}

#[test]
fn a_memory_bomb_is_an_error_of_the_script() {
    let ended = World::default().body("const all = []; while (true) all.push(new Uint8Array(1_000_000));");
    assert!(ended.failed().contains("out of memory"), "{}", ended.failed());
}

#[test]
fn a_source_of_256_kib_runs() {
    let mut source =
        String::from("import { sign } from 'countersign';\nexport default () => sign.bytes('0x01');\n");
    while source.len() < (256 << 10) - 100 {
        source.push_str("// a line of a long, long source, of which there are several thousands here\n");
    }
    let ended = World::default().run(&source);
    assert_eq!(ended.signs().len(), 1);
}

#[test]
fn two_runs_are_the_same_to_the_last_unit_of_fuel() {
    let body = "const seen = [Math.random(), Date.now(), String(new Date()), cs.hex(cs.context.seed), \
                [...new Set(Object.keys(globalThis))].length, cs.evm.balance(31337, cs.context.firstCaller())];\n\
                return { sign: cs.sign.bytes(cs.context.params), response: seen.map(String) };";
    let (one, other) = (World::default().body(body), World::default().body(body));
    assert_eq!((one.response(), one.fuel), (other.response(), other.fuel));
}

#[test]
fn time_and_randomness_are_the_sessions() {
    let body = "return { sign: cs.sign.bytes('0x00'), response: [Date.now(), new Date().toISOString(), \
                new Date().getTimezoneOffset(), Math.random()].join() }";
    let one = World::default().body(body);
    assert!(one.response().starts_with("1700000000000,2023-11-14T22:13:20.000Z,0,0."), "{}", one.response());
    let mut world = World::default();
    world.request.seed[0] ^= 1;
    assert_ne!(world.body(body).response(), one.response(), "another seed gives other numbers");
}

#[test]
fn nothing_of_a_run_reaches_the_next() {
    let body = "globalThis.count = (globalThis.count ?? 0) + 1; Array.prototype.x = 1; \
                return { sign: cs.sign.bytes('0x00'), response: String(globalThis.count) }";
    assert_eq!(World::default().body(body).response(), "1");
    assert_eq!(World::default().body(body).response(), "1");
}
