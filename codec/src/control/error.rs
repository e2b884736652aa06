//! ERROR: the last frame of a stream, in the shape of RFC 9457 (CCP-1, Error Frames).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::diagnostic::Diagnostic;
use crate::titles::Title;

/// Why the stream ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Problem {
    /// Always `about:blank`: the title says it.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: Cow<'static, str>,
    /// What clients match on.
    pub title: Cow<'static, str>,
    /// The HTTP status of that kind of problem.
    pub status: u16,
    /// For people.
    #[serde(default)]
    pub detail: Cow<'static, str>,
}

objects!(Problem);

fn about_blank() -> Cow<'static, str> {
    "about:blank".into()
}

impl Problem {
    /// A problem of ours.
    #[must_use]
    pub fn new(title: Title, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: about_blank(),
            title: title.as_str().into(),
            status: title.status(),
            detail: detail.into(),
        }
    }

    /// The title, when it is one that this crate knows.
    #[must_use]
    pub fn known(&self) -> Option<Title> {
        Title::ALL.into_iter().find(|title| title.as_str() == self.title)
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self::new(diagnostic.title(), diagnostic.to_string())
    }
}
