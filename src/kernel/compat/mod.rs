//! The C functions that modules built for Linux import, by their Linux names.
//!
//! ```text
//! print      _printk and the printf family
//! heap       kmalloc, kfree and what they hold
//! kernel     stack protector, lists, mutexes, jiffies, random bytes
//! library    spin locks, delays, rate limits, I2C transfers
//! packet     bytes and headers of an sk_buff
//! search     text searches by what modules registered
//! param      addresses that say what type a module's parameter has
//! ```
//!
//! Each takes addresses as numbers, as a C caller passes them, and asks
//! `machine::memory` for what lies there. `exports` makes the table of names.

pub mod heap;
pub mod kernel;
pub mod library;
pub mod packet;
pub mod param;
pub mod print;
pub mod search;
pub mod seq;
