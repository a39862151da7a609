//! What to write in place of a name that a script does not have: runners tell the name alone, and never change.

/// What the module "countersign" exports.
const EXPORTS: [&str; 21] = [
    "HostError",
    "abi",
    "concat",
    "context",
    "crypto",
    "decimal",
    "erc20",
    "evm",
    "fromHex",
    "fromUtf8",
    "hex",
    "http",
    "identical",
    "log",
    "max",
    "median",
    "min",
    "mode",
    "refuse",
    "sign",
    "utf8",
];

/// What the exports have that scripts most often call by a wrong name.
const METHODS: [(&str, &[&str]); 3] = [
    ("http", &["fetch", "fetchAll"]),
    ("sign", &["bytes", "personalMessage", "typedData", "raw"]),
    ("evm", &["call", "callAll", "balance", "nonce", "codeHash", "storageAt", "logs", "transactionReceipt"]),
];

/// Why a script failed, as its runner says; with what there is instead where it uses a name that does not exist, or
/// takes bytes for a text.
pub(crate) fn advised(text: String) -> String {
    match undefined(&text).and_then(instead).or_else(|| nameless(&text)) {
        Some(instead) => format!("{text}; {instead}"),
        None => text,
    }
}

/// The name that the interpreter has not found: `action.js:3:4: ReferenceError: fetch is not defined`.
fn undefined(text: &str) -> Option<&str> {
    let (_, message) = text.rsplit_once("ReferenceError: ")?;
    message.strip_suffix(" is not defined")
}

fn instead(name: &str) -> Option<String> {
    if EXPORTS.contains(&name) {
        return Some(format!("write `import {{ {name} }} from \"countersign\"` at the top"));
    }
    let instead = match name {
        "fetch" | "XMLHttpRequest" | "WebSocket" => "an action reads by http.fetch(..) of \"countersign\"",
        "TextEncoder" => "\"countersign\" has utf8(text)",
        "TextDecoder" => "\"countersign\" has fromUtf8(bytes)",
        "Buffer" => "bytes are a Uint8Array, and \"countersign\" has hex, fromHex, utf8, fromUtf8 and concat",
        "setTimeout" | "setInterval" | "setImmediate" | "performance" => {
            "nothing waits in an action, and Date.now() is the session's time"
        }
        "require" | "process" | "module" | "exports" => {
            "an action is one file, and \"countersign\" is all that it can import"
        }
        _ => return None,
    };
    Some(instead.to_owned())
}

/// What to do about messages that do not say of what they are.
fn nameless(text: &str) -> Option<String> {
    let (_, message) = text.rsplit_once("Error: ")?;
    match message {
        // bytes that are taken for a text are "123,34,97": a number, and more
        "unexpected data at the end" | "Unexpected end of JSON input" => Some(
            "context.params and context.config are bytes: read them by context.paramsJson() and \
             context.configJson(), or by JSON.parse(fromUtf8(context.params))"
                .into(),
        ),
        "not a function" => {
            let methods = METHODS.map(|(name, methods)| format!("{name} has {}", methods.join(", ")));
            Some(format!("is the name right? {}", methods.join("; ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_told_with_what_is() {
        for (name, expected) in [
            ("fetch", "http.fetch(..)"),
            ("TextEncoder", "utf8(text)"),
            ("TextDecoder", "fromUtf8(bytes)"),
            ("Buffer", "Uint8Array"),
            ("setTimeout", "nothing waits"),
            ("require", "one file"),
            ("sign", "`import { sign } from \"countersign\"`"),
        ] {
            let text = format!("action.js:3:4: ReferenceError: {name} is not defined");
            let told = advised(text.clone());
            assert!(told.starts_with(&format!("{text}; ")) && told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_has_no_name_is_told_with_what_there_is() {
        for (message, expected) in [
            ("SyntaxError: unexpected data at the end", "JSON.parse(fromUtf8(context.params))"),
            ("SyntaxError: Unexpected end of JSON input", "context.paramsJson()"),
            ("TypeError: not a function", "http has fetch, fetchAll; sign has bytes, personalMessage, "),
        ] {
            let text = format!("action.js:3:4: {message}");
            let told = advised(text.clone());
            assert!(told.starts_with(&format!("{text}; ")) && told.contains(expected), "{told}");
            assert!(told.len() < 400, "an abort carries all of it: {told}");
        }
    }

    #[test]
    fn methods_are_those_of_the_modules() {
        let modules = [
            include_str!("../../../actions/javascript-runner/js/http.js"),
            include_str!("../../../actions/javascript-runner/js/outcome.js"),
            include_str!("../../../actions/javascript-runner/js/evm.js"),
        ];
        for ((name, methods), module) in METHODS.into_iter().zip(modules) {
            let begins = format!("export const {name} = Object.freeze({{\n");
            let (_, object) = module.split_once(&begins).expect("an object");
            let (object, _) = object.split_once("\n});").expect("its end");
            let there: Vec<&str> = object
                .lines()
                .filter_map(|line| Some(line.strip_prefix("  ")?.split_once(": (")?.0))
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
                .collect();
            assert_eq!(there, methods, "{name}");
        }
    }

    #[test]
    fn all_else_is_told_as_it_is() {
        for text in [
            "action.js:3:4: ReferenceError: nothing is not defined",
            "action.js:3:4: TypeError: fetch is not defined",
            "action.js:3:4: ReferenceError: fetch is not initialized",
            "fetch is not defined",
            "action.js:3:4: TypeError: the default export of action.js is int and not a function",
            "not a function",
            "",
        ] {
            assert_eq!(advised(text.into()), text);
        }
    }

    #[test]
    fn exports_are_those_of_the_module() {
        let module = include_str!("../../../actions/javascript-runner/js/countersign.js");
        let listed = module.lines().filter_map(|line| line.strip_prefix("export { ")?.split_once(" }"));
        let listed = listed.flat_map(|(names, _)| names.split(", "));
        let constants =
            module.lines().filter_map(|line| line.strip_prefix("export const ")?.split(' ').next());
        assert_eq!(listed.chain(constants).collect::<BTreeSet<_>>(), BTreeSet::from(EXPORTS));
    }
}
