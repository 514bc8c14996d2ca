//! Calling module code: guarded, and with what it held given back if it faults.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::compat::{heap, kernel, print};
use super::registry;
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

/// Causes of faults that ended calls, by the call's number, until it is told.
static CAUSES: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

/// Notes why the running call is being ended; the trap handler says so.
pub fn note_cause(cause: String) {
    CAUSES.lock().push((call::current(), cause));
}

/// Calls the function whose global entry is `entry`.
pub fn run(entry: Vaddr, args: &[u64]) -> CallEnd {
    run_limited(entry, args, None)
}

/// As [`run`], ended after `limit` ticks of the time base, if given.
pub fn run_limited(entry: Vaddr, args: &[u64], limit: Option<u64>) -> CallEnd {
    let mut number = 0;
    let result = call::guarded(entry, args, limit, |own| number = own);
    print::end_open_line();
    match result {
        Ok(value) => CallEnd::Returned(value),
        Err(call::Ended) => {
            heap::give_back(number);
            kernel::release_mutexes(number);
            registry::give_back(number);
            let mut causes = CAUSES.lock();
            let mine = causes.iter().position(|(call, _)| *call == number);
            let cause = mine.map(|index| causes.swap_remove(index).1);
            if causes.is_empty() {
                *causes = Vec::new(); // `mem` is the same before and after
            }
            CallEnd::Oops(cause.unwrap_or_else(|| "fault".to_string()))
        }
    }
}
