//! What went wrong in a script, for its author: where, what, and what to change.

use rquickjs::{CatchResultExt, CaughtError, Ctx, Function, Object, Result, Value};

use crate::script::FILE;

/// How much of a message is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 2 << 10;

/// Why a script failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    message: String,
    /// The line and column in the author's file.
    place: Option<(usize, usize)>,
}

/// Does something in the interpreter; what it throws is a failure.
pub(crate) fn caught<'js, T>(
    ctx: &Ctx<'js>,
    work: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, Failure> {
    work().catch(ctx).map_err(|error| match error {
        CaughtError::Exception(exception) => Failure::thrown(exception.as_object().as_value()),
        CaughtError::Value(value) => Failure::thrown(&value),
        CaughtError::Error(error) => Failure::bare(error.to_string()),
    })
}

impl Failure {
    /// A failure that has no place.
    pub(crate) fn bare(message: String) -> Self {
        Self { message, place: None }
    }

    /// What was thrown.
    pub(crate) fn thrown(value: &Value<'_>) -> Self {
        let Some(error) = value.as_object().filter(|object| object.is_error()) else {
            return Self::bare(format!(
                "threw {} that is no Error: throw new Error(..), which knows its place",
                described(value)
            ));
        };
        let name = text(error, "name").unwrap_or_else(|| "Error".into());
        let mut message = text(error, "message").unwrap_or_default();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        let place = text(error, "stack").as_deref().and_then(first_place);
        Self { message: format!("{name}: {message}{}", advice(&message)), place }
    }

    /// The same failure, with something in front of it.
    pub(crate) fn preceded(self, by: &str) -> Self {
        Self { message: format!("{by}{}", self.message), ..self }
    }

    /// The same failure; where it has no place, it is where the function begins.
    pub(crate) fn or_at(self, function: &Function<'_>) -> Self {
        let place = || Some((function.get("lineNumber").ok()?, function.get("columnNumber").ok()?));
        Self { place: self.place.or_else(place), ..self }
    }

    /// The failure as its author reads it: `action.js:12:7: TypeError: ..`.
    pub(crate) fn text(&self) -> String {
        match self.place {
            Some((line, column)) => format!("{FILE}:{line}:{column}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The same; where it has no place, it is where the source has what the failure is about.
    pub(crate) fn text_in(mut self, source: &str) -> String {
        self.place = self.place.or_else(|| quoted(&self.message, source));
        self.text()
    }
}

fn described(value: &Value<'_>) -> String {
    match value.as_string().and_then(|text| text.to_string().ok()) {
        Some(mut text) => {
            text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
            format!("{text:?}")
        }
        None => format!("a value of type {}", value.type_name()),
    }
}

fn text(error: &Object<'_>, key: &str) -> Option<String> {
    error.get::<_, Value<'_>>(key).ok()?.as_string()?.to_string().ok()
}

/// What to do about messages of QuickJS that do not say it.
fn advice(message: &str) -> &'static str {
    if message.starts_with("could not load module") {
        "; an action is one file, and \"countersign\" is all that it can import"
    } else if message.starts_with("Could not find export 'default'") {
        "; write `export default function run() { .. }`"
    } else if message.starts_with("Maximum call stack size exceeded") {
        "; use a loop instead of deep recursion"
    } else if message == "out of memory" {
        "; an action has 48 MiB, or less if its manifest says so"
    } else {
        ""
    }
}

/// The innermost place of the author's file in a stack, whose lines are as `at run (action.js:12:7)`.
fn first_place(stack: &str) -> Option<(usize, usize)> {
    stack.lines().find_map(|line| {
        let (_, place) = line.split_once(&format!("{FILE}:"))?;
        let mut numbers = place.trim_end_matches(')').split(':').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

/// Where the source has the name that a message about an import quotes first: those messages have no place.
fn quoted(message: &str, source: &str) -> Option<(usize, usize)> {
    let import = message.contains("could not load module") || message.contains("Could not find export");
    let name = message.split('\'').nth(1).filter(|name| import && !name.is_empty() && *name != "default")?;
    let at = source.find(name)?;
    let line = source[..at].matches('\n').count() + 1;
    let column = source[..at].rsplit('\n').next().map_or(0, |before| before.chars().count()) + 1;
    Some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_place_of_the_authors_file_counts() {
        let stack =
            "    at toBytes (countersign:bytes:3:9)\n    at run (action.js:12:7)\n    at action.js:1:1\n";
        assert_eq!(first_place(stack), Some((12, 7)));
        assert_eq!(first_place("    at action.js:3:5\n"), Some((3, 5)));
        assert_eq!(first_place("    at other.js:3:5\n"), None);
    }

    #[test]
    fn a_wrong_import_is_found_in_the_source() {
        let source = "// one\nimport { x } from \"lodash\";\n";
        assert_eq!(quoted("ReferenceError: could not load module 'lodash'", source), Some((2, 20)));
        assert_eq!(quoted("TypeError: 'lodash'", source), None);
    }
}
