//! Structured input from bytes: each question takes the next ones, and where they have run out, the answer is the first.
//!
//! A seed is written in the same form, so every answer's place in the bytes is fixed: [`Choices::below`] takes one byte.

use std::str::FromStr;

use countersign_types::{
    B256, Decimal, FieldRead, ReadId, Record, RecordEntry, Rule, Tolerance, http::FieldValue,
};

/// How many bytes a step of a sequence takes.
pub(crate) const STEP_BYTES: usize = 24;

/// The rest of an input.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All answers of an input.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether no answers are left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes as an input of their own, for one step of a sequence: however many of them it uses, the step behind it
    /// begins at the same place.
    pub(crate) fn step(&mut self) -> Self {
        let (step, rest) = self.0.split_at(self.0.len().min(STEP_BYTES));
        self.0 = rest;
        Self(step)
    }

    /// The next byte; 0 at the end.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `count`, which is 1 to 256.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// True for one byte in `count`, and never at the end.
    pub(crate) fn rarely(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// One of them; there is at least one.
    pub(crate) fn pick<'b, T>(&mut self, of: &'b [T]) -> &'b T {
        &of[self.below(of.len().min(256))]
    }

    /// One of a list that may be empty.
    pub(crate) fn pick_any<'b, T>(&mut self, of: &'b [T]) -> Option<&'b T> {
        if of.is_empty() { None } else { Some(self.pick(of)) }
    }

    /// Up to `most` bytes (fewer than 256), as many as the next one says and are left.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most + 1).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// 32 bytes, all equal.
    pub(crate) fn word(&mut self) -> B256 {
        B256::repeat_byte(self.byte())
    }

    /// A decimal: mostly a small one, sometimes one at the ends of the range, or whatever the next bytes write.
    pub(crate) fn decimal(&mut self) -> Decimal {
        const ENDS: [&str; 6] =
            ["0.000000000000000001", "-0.000000000000000001", LARGEST, SMALLEST, "0.5", "-1"];
        match self.below(8) {
            0..=4 => Decimal::from(u64::from(self.byte())),
            5 => Decimal::from_str(self.pick::<&str>(&ENDS)).unwrap_or_default(),
            6 => {
                let written = format!("-{}.{}", self.byte(), self.byte());
                Decimal::from_str(&written).unwrap_or_default()
            }
            _ => std::str::from_utf8(self.bytes(60)).unwrap_or("0").parse().unwrap_or_default(),
        }
    }

    /// A rule; its tolerance may be out of range, as a peer's may.
    pub(crate) fn rule(&mut self) -> Rule {
        let kind = self.below(5);
        if kind == 0 || kind == 4 {
            return if kind == 0 { Rule::Mode } else { Rule::Identical };
        }
        let bps = *self.pick(&[0, 1, 50, 100, 5_000, 10_000, 10_001, u32::MAX]);
        let abs = if self.rarely(3) { self.decimal() } else { Decimal::ZERO };
        let tolerance = Tolerance { bps, abs };
        match kind {
            1 => Rule::Median(tolerance),
            2 => Rule::Min(tolerance),
            _ => Rule::Max(tolerance),
        }
    }

    /// A field's value: mostly a number.
    pub(crate) fn field_value(&mut self) -> FieldValue {
        match self.below(8) {
            0..=4 => FieldValue::Number(self.decimal()),
            5 => FieldValue::Text(String::from_utf8_lossy(self.bytes(8)).into_owned()),
            6 => FieldValue::Bool(self.rarely(2)),
            _ => FieldValue::Null,
        }
    }

    /// A record of a few reads.
    pub(crate) fn record(&mut self) -> Record {
        let entries = (0..self.below(5)).map(|_| self.entry()).collect();
        Record { entries }
    }

    fn entry(&mut self) -> RecordEntry {
        let read = ReadId(self.word());
        if self.rarely(2) {
            return RecordEntry::Identical { read, value: self.word(), length: self.byte().into() };
        }
        let field = |choices: &mut Self| FieldRead {
            pointer: format!("/{}", choices.below(3)),
            rule: choices.rule(),
            value: choices.field_value(),
        };
        let fields = (0..self.below(4)).map(|_| field(self)).collect();
        RecordEntry::Fields { read, fields }
    }

    /// A record that asks what `like` asks, with other values: one that may agree with it.
    pub(crate) fn record_like(&mut self, like: &Record) -> Record {
        let mut record = like.clone();
        for entry in &mut record.entries {
            match entry {
                RecordEntry::Identical { value, .. } => {
                    if self.rarely(8) {
                        *value = self.word();
                    }
                }
                RecordEntry::Fields { fields, .. } => {
                    for field in fields {
                        if self.rarely(16) {
                            field.rule = self.rule();
                        }
                        field.value = match (&field.value, self.below(4)) {
                            (value, 0) => value.clone(),
                            (FieldValue::Number(_), 1 | 2) => FieldValue::Number(self.decimal()),
                            (_, _) => self.field_value(),
                        };
                    }
                }
            }
        }
        record
    }
}

const LARGEST: &str = "99999999999999999999.999999999999999999";
const SMALLEST: &str = "-99999999999999999999999999999999999999";
