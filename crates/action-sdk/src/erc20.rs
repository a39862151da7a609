//! ERC-20 tokens.

use crate::{
    Address, Refusal, U256,
    evm::{self, CallResult, ReadError},
};

/// The selector of `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

/// Why a token has no balance to tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The contract reverted.
    #[error("{token} on chain {chain_id} reverts when it is asked for a balance")]
    Reverted {
        /// The chain.
        chain_id: u64,
        /// The contract.
        token: Address,
    },
    /// There is no contract, or it answers something else.
    #[error(
        "{token} on chain {chain_id} is no ERC-20 token: asked for a balance, it returns {got} bytes instead of 32"
    )]
    NotAToken {
        /// The chain.
        chain_id: u64,
        /// The account.
        token: Address,
        /// How many bytes it returned.
        got: usize,
    },
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::new(error.to_string())
    }
}

/// An account's balance of a token, in the token's base units. Costs one read.
pub fn balance_of(chain_id: u64, token: Address, account: Address) -> Result<U256, TokenError> {
    decode(chain_id, token, evm::call(chain_id, token, balance_of_calldata(account))?)
}

/// The calldata of `balanceOf(account)`.
pub fn balance_of_calldata(account: Address) -> Vec<u8> {
    evm::calldata(BALANCE_OF, &[account.to_word()])
}

fn decode(chain_id: u64, token: Address, result: CallResult) -> Result<U256, TokenError> {
    match result {
        CallResult::Reverted(_) => Err(TokenError::Reverted { chain_id, token }),
        CallResult::Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(word) => Ok(U256::from_be_bytes(word)),
            Err(_) => Err(TokenError::NotAToken { chain_id, token, got: bytes.len() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Address = Address([9; 20]);

    #[test]
    fn the_calldata_is_what_solidity_expects() {
        assert_eq!(
            hex::encode(balance_of_calldata(Address([0x11; 20]))),
            "70a082310000000000000000000000001111111111111111111111111111111111111111"
        );
    }

    #[test]
    fn one_word_is_a_balance_and_nothing_else_is() {
        let mut word = vec![0; 32];
        word[30] = 1;
        assert_eq!(decode(1, TOKEN, CallResult::Ok(word.clone())), Ok(U256::from(256)));
        word.push(0);
        for answer in [vec![], word] {
            let got = answer.len();
            let error = decode(1, TOKEN, CallResult::Ok(answer));
            assert_eq!(error, Err(TokenError::NotAToken { chain_id: 1, token: TOKEN, got }));
        }
        let reverted = decode(1, TOKEN, CallResult::Reverted(vec![0; 32]));
        assert_eq!(reverted, Err(TokenError::Reverted { chain_id: 1, token: TOKEN }));
    }
}
