use std::{fmt, marker::PhantomData};

/// A key of a session that knows the type of its value.
///
/// ```
/// use cloakroom::Key;
///
/// const CART: Key<Vec<u32>> = Key::new("cart");
///
/// # fn handler(session: cloakroom::Session) -> cloakroom::Result<()> {
/// session.insert(CART, &vec![17])?;
/// let cart = session.get(CART)?.unwrap_or_default();
/// # Ok(())
/// # }
/// ```
pub struct Key<T: ?Sized> {
    name: &'static str,
    value: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Key<T> {
    /// The key of this name, at most 256 bytes long.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            value: PhantomData,
        }
    }

    /// The name, as [`remove`](crate::Session::remove) takes it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Key<T> {}

impl<T: ?Sized> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

/// What can name a value of type `T`: text, for any type, or a [`Key`] of that type.
pub trait KeyFor<T: ?Sized>: sealed::Sealed {
    /// The name.
    fn name(&self) -> &str;
}

impl<T: ?Sized> KeyFor<T> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T: ?Sized> KeyFor<T> for &String {
    fn name(&self) -> &str {
        self
    }
}

impl<T: ?Sized> KeyFor<T> for Key<T> {
    fn name(&self) -> &str {
        self.name
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for &String {}
    impl<T: ?Sized> Sealed for super::Key<T> {}
}
