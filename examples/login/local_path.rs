use std::{
    fmt::{self, Display},
    str::FromStr,
};

/// A path on this site, safe to redirect to.
///
/// Browsers take `//host` and `/\host` for another site, and drop tabs and newlines first. So it
/// is one slash, no backslash anywhere, and nothing but visible ASCII, which is all that a
/// well-formed path has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalPath(String);

impl LocalPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LocalPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for LocalPath {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        match text.starts_with('/') && !text.starts_with("//") && text.bytes().all(is_plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(()),
        }
    }
}

impl Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
