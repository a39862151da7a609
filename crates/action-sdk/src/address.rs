//! Addresses of Ethereum.

use std::{fmt, str::FromStr};

/// An address: 20 bytes, written as 0x and 40 hexadecimal digits. It is written in lower case and read in
/// either; the checksum that mixed case can carry is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

/// Why a text or some bytes are no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 0x and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits, got {got:?}")]
    Text {
        /// The text, cut after 80 characters.
        got: String,
    },
    /// Not 20 bytes.
    #[error("an address has 20 bytes, got {got}")]
    Length {
        /// How many there are.
        got: usize,
    },
}

impl Address {
    /// The address as a word of the EVM: 12 zero bytes in front.
    pub fn to_word(self) -> [u8; 32] {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        word
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut bytes = [0; 20];
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .map(|()| Self(bytes))
            .ok_or_else(|| AddressError::Text { got: text.chars().take(80).collect() })
    }
}

impl TryFrom<&[u8]> for Address {
    type Error = AddressError;

    fn try_from(bytes: &[u8]) -> Result<Self, AddressError> {
        bytes.try_into().map(Self).map_err(|_| AddressError::Length { got: bytes.len() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        let text = "0xd8da6bf26964af9d7eed9e03e53415d37aa96045";
        let address: Address = text.parse().expect("an address");
        assert_eq!(address.to_string(), text);
        assert_eq!("0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse(), Ok(address));
        assert_eq!(address.to_word()[12..], address.0);
    }

    #[test]
    fn other_texts_are_refused() {
        let digits = "d8da6bf26964af9d7eed9e03e53415d37aa96045";
        for text in [
            "",
            "0x",
            digits,
            &format!("0x{digits}00"),
            &format!("0X{digits}"),
            &format!("0x{}", "g".repeat(40)),
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
