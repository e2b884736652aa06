//! The names that travel on the wire, each its own type: none can be taken for another, and none exists unchecked.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::limits::{MAX_DEVICE_ID, MAX_HANDLE, MAX_TEXT};

/// A virtual channel of one connection (CCP-1, Routing Semantics).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(u32);

impl ChannelId {
    /// The connection itself: handshake, errors.
    pub const ZERO: Self = Self(0);

    /// Any 32-bit number is a channel.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A sender's frame counter (CCP-1, Sequence Numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(u32);

impl Sequence {
    /// Before the first frame.
    pub const ZERO: Self = Self(0);

    /// Any 32-bit number is a sequence.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one after; `None` when the tunnel has to be established anew.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("{what} is empty")]
    Empty {
        /// Which kind of name.
        what: &'static str,
    },
    /// More than the name may hold.
    #[error("{what} is longer than {limit}")]
    TooLong {
        /// Which kind of name.
        what: &'static str,
        /// Characters of a handle, bytes of everything else.
        limit: usize,
    },
    /// A character that the name may not hold.
    #[error("{what} holds a character that is not allowed")]
    Character {
        /// Which kind of name.
        what: &'static str,
    },
}

fn check(what: &'static str, text: &str, len: usize, limit: usize, allowed: fn(char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        Err(IdError::Empty { what })
    } else if len > limit {
        Err(IdError::TooLong { what, limit })
    } else if !text.chars().all(allowed) {
        Err(IdError::Character { what })
    } else {
        Ok(())
    }
}

fn check_device(text: &str) -> Result<(), IdError> {
    check("device_id", text, text.len(), MAX_DEVICE_ID, |c| c.is_ascii_graphic())
}

fn check_handle(text: &str) -> Result<(), IdError> {
    check("handle", text, text.chars().count(), MAX_HANDLE, |c| {
        c != '@' && !c.is_whitespace() && !c.is_control()
    })
}

fn check_opaque(what: &'static str, text: &str) -> Result<(), IdError> {
    check(what, text, text.len(), MAX_TEXT, |c| !c.is_control())
}

/// A checked text behind one pointer: cloned without a copy, compared and hashed as its text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, when `text` is one.
            ///
            /// # Errors
            /// [`IdError`] tells what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// Its text.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Name(Self::parse))
            }
        }
    };
}

name!(
    /// A device, `device` or `device@domain` (CCP-1, Federation; decisions § 4).
    DeviceId,
    check_device
);
name!(
    /// A user's profile.
    UserId,
    |text| check_opaque("user id", text)
);
name!(
    /// A group; clients may make these up.
    GroupId,
    |text| check_opaque("group_id", text)
);
name!(
    /// A call; clients make these up.
    CallId,
    |text| check_opaque("call_id", text)
);
name!(
    /// A user's nickname: no `@`, no white space.
    Handle,
    check_handle
);

impl DeviceId {
    /// What stands behind the last `@`, when there is something on either side of it.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.split().map(|(_, domain)| domain)
    }

    /// What stands before the domain; the whole id when it has none.
    #[must_use]
    pub fn local(&self) -> &str {
        self.split().map_or(&*self.0, |(local, _)| local)
    }

    fn split(&self) -> Option<(&str, &str)> {
        let (local, domain) = self.0.rsplit_once('@')?;
        (!local.is_empty() && !domain.is_empty()).then_some((local, domain))
    }
}

/// Reads a name from a borrowed or an owned string alike.
struct Name<T>(fn(&str) -> Result<T, IdError>);

impl<T> de::Visitor<'_> for Name<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

/// The `session` of AUTH: the REST API's bearer token. Wiped when dropped, never printed, compared in constant time.
#[derive(Clone)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    /// The token of 256 random bits.
    #[must_use]
    pub fn from_random(bits: &[u8; 32]) -> Self {
        Self(Zeroizing::new(hex::encode(bits)))
    }

    /// A token as a peer wrote it: visible ASCII.
    ///
    /// # Errors
    /// [`IdError`] tells what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check("session", text, text.len(), MAX_TEXT, |c| c.is_ascii_graphic())?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SessionToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SessionToken {}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

impl Serialize for SessionToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SessionToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(Self::parse))
    }
}
