//! What the benchmarks share: sessions as applications have them, the stores, and a load.
//!
//! ```sh
//! scripts/with-servers cargo bench -p cloakroom-benches
//! ```

pub mod backends;
pub mod load;
pub mod requests;
pub mod sample;
