use std::error::Error as _;

use cloakroom_store_api::Error;

/// tower-sessions' error, whatever its version.
#[derive(Debug)]
pub(crate) enum Failure {
    Encode(String),
    Decode(String),
    Backend(String),
}

impl From<Error> for Failure {
    /// Theirs has text and no source, so that the causes are part of the text.
    fn from(error: Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        match error {
            Error::TooLarge { .. } => Self::Encode(text),
            Error::Corrupt { .. } => Self::Decode(text),
            _ => Self::Backend(text),
        }
    }
}
