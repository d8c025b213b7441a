//! What usage costs: prices, charges, upper bounds for holds.
//!
//! Sums are exact pico-USD in `i128`, rounded up once to nano-USD. Nothing here knows who
//! pays, which budget is charged or what time it is.

mod bound;
mod cost;
mod price;
mod share;
mod tariff;

pub use bound::bound;
pub use cost::cost;
pub use price::{PriceError, covers, meters, names, price_at, validate};
pub use share::share;
pub use tariff::{Tariff, ceiling_cost};
