//! Calling module code: guarded, and with what it held given back if it faults.

use alloc::string::{String, ToString};

use super::compat::{heap, kernel, print};
use crate::addr::Vaddr;
use crate::machine::call;
use crate::machine::lock::Mutex;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It returned; r3.
    Returned(u64),
    /// A fault ended it and was reported; the cause in words.
    Oops(String),
}

/// The cause of the last fault that ended a call.
static CAUSE: Mutex<Option<String>> = Mutex::new(None);

/// Notes why a call is being ended; the trap handler says so.
pub fn note_cause(cause: String) {
    *CAUSE.lock() = Some(cause);
}

/// Calls the function whose global entry is `entry`.
pub fn run(entry: Vaddr, args: &[u64]) -> CallEnd {
    let outer = heap::begin_call();
    let result = call::guarded(entry, args);
    heap::end_call(outer, result.is_ok());
    print::end_open_line();
    match result {
        Ok(value) => CallEnd::Returned(value),
        Err(call::Ended) => {
            kernel::release_mutexes();
            let cause = CAUSE.lock().take();
            CallEnd::Oops(cause.unwrap_or_else(|| "fault".to_string()))
        }
    }
}
