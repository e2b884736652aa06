//! Pairing codes: forty letters and digits in groups of five, as a person types them from one screen into another.
//!
//! The first 8 of their 25 bytes find the code in the store, the rest is the secret, of which the store has the hash. The
//! alphabet is Crockford's base 32: no letter looks like a digit, and those that a person may take for one are read as it.

use std::fmt;

use commucat_storage::api::Selector;
use zeroize::{Zeroize, Zeroizing};

const SELECTOR: usize = 8;
const SECRET: usize = 17;
const GROUP: usize = 5;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code; wiped when dropped, and never printed.
#[derive(Clone)]
pub(super) struct Code(Zeroizing<[u8; SELECTOR + SECRET]>);

impl Code {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; SELECTOR + SECRET]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The code that somebody has typed, with or without its dashes, in any case.
    #[must_use]
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SELECTOR + SECRET]);
        let (mut bits, mut held, mut at) = (0_u32, 0_u32, 0);
        for symbol in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            bits = bits << 5 | value(symbol)?;
            held += 5;
            if held >= 8 {
                held -= 8;
                *bytes.get_mut(at)? = (bits >> held & 0xff) as u8;
                at += 1;
            }
        }
        bits.zeroize();
        (at == SELECTOR + SECRET && held == 0).then_some(Self(bytes))
    }

    /// As a person reads it.
    #[must_use]
    pub(super) fn text(&self) -> Zeroizing<String> {
        let symbols = (SELECTOR + SECRET) * 8 / 5;
        let mut text = Zeroizing::new(String::with_capacity(symbols + symbols / GROUP));
        for index in 0..symbols {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[self.symbol(index)]));
        }
        text
    }

    /// Five bits, counted from the first.
    fn symbol(&self, index: usize) -> usize {
        let bit = index * 5;
        let (byte, shift) = (bit / 8, bit % 8);
        let next = self.0.get(byte + 1).copied().unwrap_or(0);
        let pair = usize::from(self.0[byte]) << 8 | usize::from(next);
        pair >> (11 - shift) & 31
    }

    /// What finds it.
    #[must_use]
    pub(super) fn selector(&self) -> Selector {
        let mut selector = [0; SELECTOR];
        selector.copy_from_slice(&self.0[..SELECTOR]);
        Selector(selector)
    }

    /// What the store keeps of the secret.
    #[must_use]
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.0[SELECTOR..]).as_bytes()
    }

    /// The seed of the device that comes by this code, when it brings no key of its own: the same for whoever knows the
    /// code and `key`, and in no store.
    #[must_use]
    pub(super) fn device_seed(&self, key: &Zeroizing<[u8; 32]>) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(key, &*self.0).as_bytes())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

fn value(symbol: u8) -> Option<u32> {
    let symbol = match symbol.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| *known == symbol)?;
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_as_people_type_it() {
        for _ in 0..100 {
            let code = Code::generate().unwrap();
            let text = code.text();
            assert_eq!(text.len(), 47);
            assert!(text.split('-').all(|group| group.len() == 5), "{}", *text);
            let typed = [
                text.to_string(),
                text.to_lowercase(),
                text.replace('-', ""),
                text.replace('-', " "),
                text.replace('0', "o").replace('1', "l"),
                text.replace('1', "I"),
            ];
            for typed in typed {
                let read = Code::parse(&typed).unwrap();
                assert_eq!(*read.0, *code.0, "{typed}");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        let text = Code(Zeroizing::new([0xff; 25])).text().to_string();
        assert_eq!(text, ["ZZZZZ"; 8].join("-"));
        for wrong in [
            "",
            "ZZZZZ",
            &text[..46],
            &format!("{text}Z"),
            &text.replace('Z', "U"),
            &"Z".repeat(4000),
            "ß",
        ] {
            assert!(Code::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn the_seed_depends_on_the_whole_code_and_on_the_servers_key() {
        let code = Code(Zeroizing::new([7; 25]));
        let (key, other) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        assert_eq!(*code.device_seed(&key), *code.clone().device_seed(&key));
        assert_ne!(*code.device_seed(&key), *code.device_seed(&other));
        for index in 0..25 {
            let mut changed = code.clone();
            changed.0[index] ^= 1;
            assert_ne!(*changed.device_seed(&key), *code.device_seed(&key));
            assert_eq!(changed.hash() == code.hash(), index < SELECTOR);
            assert_eq!(changed.selector() == code.selector(), index >= SELECTOR);
        }
        assert_ne!(*code.device_seed(&key), code.hash());
        assert_eq!(format!("{code:?}"), "Code(..)");
    }
}
