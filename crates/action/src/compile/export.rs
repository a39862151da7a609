//! Whether a component's `run` has the interface's type.

use std::fmt::Write;

use wasmtime::component::{
    Component,
    types::{ComponentFunc, ComponentItem, Type},
};

use super::CompileError;
use crate::engine::Engine;

/// The type of `run`, written out.
const RUN: &str = "func() -> result<record{sign: list<variant{bytes(list<u8>), personal-message(list<u8>), \
                   typed-data(string), raw(list<u8>)}>, response: list<u8>}, record{reason: string}>";
/// Where the text of a type is cut: types may be far larger written out than they are as bytes.
const MAX_TEXT_BYTES: usize = 400;

pub(super) fn check(engine: &Engine, component: &Component) -> Result<(), CompileError> {
    let Some(run) = component.component_type().get_export(engine.wasmtime(), "run").map(|found| found.ty)
    else {
        return Err(CompileError::NoRun);
    };
    let ComponentItem::ComponentFunc(run) = run else { return Err(CompileError::NoRun) };
    let got = Text::of(&run);
    if got == RUN { Ok(()) } else { Err(CompileError::RunType { expected: RUN.into(), got }) }
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
