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
    shown(text, is_order)
}

/// A text whose own line ends stay: for what we wrote ourselves, around what [`line()`] has given.
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_order(c))
}

/// Control characters, line and paragraph separators, and what turns the direction of a text.
fn is_order(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(text: &str, is_order: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_order) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_order(c) {
            shown.extend(c.escape_default());
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
}
