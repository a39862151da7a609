//! Whether a component's exports have the types of one of the interface's worlds.

use std::fmt::Write;

use wasmtime::component::{
    Component,
    types::{ComponentFunc, ComponentItem, Type},
};

use super::CompileError;
use crate::engine::Engine;

/// The type of an action's `run`, written out.
const RUN: &str = "func() -> result<record{sign: list<variant{bytes(list<u8>), personal-message(list<u8>), \
                   typed-data(string), raw(list<u8>)}>, response: list<u8>}, record{reason: string}>";
/// The type of a script runner's `run`.
const RUNNER_RUN: &str = "func(program: list<u8>) -> result<record{sign: list<variant{bytes(list<u8>), \
                          personal-message(list<u8>), typed-data(string), raw(list<u8>)}>, response: \
                          list<u8>}, variant{refused(record{reason: string}), failed(string)}>";
/// The type of a script runner's `compile`.
const RUNNER_COMPILE: &str = "func(source: string) -> result<list<u8>, string>";
/// Where the text of a type is cut: types may be far larger written out than they are as bytes.
const MAX_TEXT_BYTES: usize = 400;

/// What a component is, by its exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An action.
    Action,
    /// What runs scripts.
    Runner,
}

pub(super) fn check(engine: &Engine, component: &Component) -> Result<Kind, CompileError> {
    let run = function(engine, component, "run").ok_or(CompileError::NoRun)?;
    if run == RUN {
        return Ok(Kind::Action);
    }
    if run != RUNNER_RUN {
        // Whoever takes an argument means to run scripts.
        let expected = if run.starts_with("func()") { RUN } else { RUNNER_RUN };
        return Err(CompileError::RunType { expected: expected.into(), got: run });
    }
    let compile = function(engine, component, "compile").unwrap_or_else(|| "missing".into());
    if compile == RUNNER_COMPILE {
        Ok(Kind::Runner)
    } else {
        Err(CompileError::ScriptCompileType { expected: RUNNER_COMPILE.into(), got: compile })
    }
}

/// The type of an exported function, written out; none where there is no such function.
fn function(engine: &Engine, component: &Component, name: &str) -> Option<String> {
    match component.component_type().get_export(engine.wasmtime(), name)?.ty {
        ComponentItem::ComponentFunc(function) => Some(Text::of(&function)),
        ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::ComponentInstance(_)
        | ComponentItem::Type(_)
        | ComponentItem::Resource(_) => None,
    }
}

/// A type's text as it grows.
struct Text(String);

impl Text {
    fn of(function: &ComponentFunc) -> String {
        let mut text = Self(String::new());
        text.push(if function.async_() { "async func(" } else { "func(" });
        text.list(function.params(), |text, (name, ty)| text.named(name, &ty));
        text.push(") -> ");
        text.list(function.results(), |text, ty| text.ty(&ty));
        text.0
    }

    fn push(&mut self, part: &str) {
        if self.is_full() {
            return;
        }
        self.0.push_str(part);
        if self.is_full() {
            self.0.truncate(self.0.floor_char_boundary(MAX_TEXT_BYTES));
            self.0.push('…');
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() > MAX_TEXT_BYTES
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, each: impl Fn(&mut Self, T)) {
        for (index, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            each(self, item);
        }
    }

    fn named(&mut self, name: &str, ty: &Type) {
        self.push(name);
        self.push(": ");
        self.ty(ty);
    }

    fn optional(&mut self, ty: Option<&Type>) {
        match ty {
            Some(ty) => self.ty(ty),
            None => self.push("_"),
        }
    }

    /// The types that `run` is made of; of any other only that it is another.
    fn ty(&mut self, ty: &Type) {
        if let Type::List(list) = ty {
            self.push("list<");
            self.ty(&list.ty());
            self.push(">");
        } else if let Type::Record(record) = ty {
            self.push("record{");
            self.list(record.fields(), |text, field| text.named(field.name, &field.ty));
            self.push("}");
        } else if let Type::Variant(variant) = ty {
            self.push("variant{");
            self.list(variant.cases(), |text, case| {
                text.push(case.name);
                text.push("(");
                text.optional(case.ty.as_ref());
                text.push(")");
            });
            self.push("}");
        } else if let Type::Result(result) = ty {
            self.push("result<");
            self.optional(result.ok().as_ref());
            self.push(", ");
            self.optional(result.err().as_ref());
            self.push(">");
        } else {
            let mut name = String::new();
            let primitive = matches!(ty, Type::Bool | Type::U8 | Type::U32 | Type::U64 | Type::String);
            if primitive && write!(name, "{ty:?}").is_ok() {
                self.push(&name.to_lowercase());
            } else {
                self.push("another type");
            }
        }
    }
}
