//! Text that others wrote, as it may stand on a terminal.
//!
//! Nodes, actions and files say whatever they like. What would order a terminal about, begin a line of its own, or turn the
//! direction of what follows is shown escaped, as `\n` or `\u{1b}`.

use std::borrow::Cow;

/// Whether a text is one line and nothing in it is more than a character.
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_order)
}

/// A text on one line.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, is_order, |c| c.escape_default().to_string())
}

/// A text whose own line ends stay: for what we wrote ourselves, around what [`line()`] has given.
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_order(c), |c| c.escape_default().to_string())
}

/// A JSON document, laid out with line ends and spaces, which stay. Everything else that gives orders stands in its strings,
/// where an escape (RFC 8259 section 7) says the same.
pub fn json(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_order(c), json_escape)
}

/// Control characters, line and paragraph separators, and what turns the direction of a text.
fn is_order(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn json_escape(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn shown(text: &str, is_order: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_order) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_order(c) {
            shown.push_str(&escape(c));
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_shown_and_not_given() {
        for (text, shown) in [
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{1b}]52;c;aGk=\u{7}", r"\u{1b}]52;c;aGk=\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("one\r\nverified  yes\ttoo", r"one\r\nverified  yes\ttoo"),
            ("\u{2028}\u{2029}\u{85}\u{7f}", r"\u{2028}\u{2029}\u{85}\u{7f}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", r"\u{202a}\u{202e}\u{2066}\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", r"\u{200e}\u{200f}\u{61c}"),
        ] {
            assert_eq!(line(text), shown);
            assert!(!is_plain(text), "{shown}");
            assert!(is_plain(&line(text)), "{shown}");
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in ["", "a price of 3 €", "שלום", "👩‍🚀", r"C:\new"] {
            assert!(is_plain(text), "{text}");
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn only_our_own_line_ends_stay() {
        assert_eq!(lines("one\ntwo\r\n\u{1b}three"), "one\ntwo\\r\n\\u{1b}three");
    }

    #[test]
    fn a_document_gives_no_orders_and_stays_the_same() {
        let orders: String = ('\0'..=char::MAX).filter(|c| is_order(*c)).collect();
        let document = serde_json::json!({ orders.as_str(): [orders.as_str(), "a price of 3 €", "👩‍🚀", {}] });
        for text in [document.to_string(), format!("{document:#}")] {
            assert!(text.contains('\u{9b}'), "serde_json escapes it by itself");
            let shown = json(&text);
            assert!(!shown.contains(|c: char| c != '\n' && is_order(c)), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
        }
        let escaped = [r#""\u007f\u009b\u202e\u2028""#, r#""\u061c\u2066""#];
        assert_eq!(["\"\u{7f}\u{9b}\u{202e}\u{2028}\"", "\"\u{61c}\u{2066}\""].map(json), escaped);
        assert!(matches!(json("{\n  \"a\": 1\n}"), Cow::Borrowed(_)));
        assert_eq!(json_escape('🚀'), r"\ud83d\ude80");
    }
}
