//! What to do at a stop: step the next instruction, or run over more than one.
//!
//! ```text
//!  next code              without -a                      with -a
//!  module, stub           step                            step
//!  tracer, shadow stack   step unseen: one line           step
//!  kernel, without locks  run to its return: one line     step
//!  kernel, other          run to its return: one line     the same
//!  larx ... stcx.         run the copy: one line          the same
//!  the kernel's caller    the call is over
//! ```
//!
//! # Invariants
//! - Between two instructions of what is stepped the kernel prints, takes memory
//!   and writes text. So code that may hold one of the kernel's locks is never
//!   stepped: it runs to its return at full speed.
//! - The tracer and the shadow stack's routines (`boot/mcount.S`) are never run
//!   over: they read LR, which running over changes. They take no locks.

/// Whose code the next instruction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A module's, or a stub's; or nobody's, which the fetch will tell.
    Foreign,
    /// What call sites and returns run through: `boot/mcount.S`.
    Hook,
    /// The kernel's.
    Kernel {
        /// A routine begins here that takes no lock and calls none that does.
        lock_free: bool,
    },
    /// The call has returned.
    Caller,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// One instruction, or one larx ... stcx. sequence.
    Step {
        /// It has a line of its own.
        shown: bool,
    },
    /// A function, to its return.
    Over,
    /// Nothing: the call is over.
    Finish,
}

/// Decides, and remembers what must be known for the next decision.
#[derive(Clone, Copy, Debug)]
pub struct Decider {
    all: bool,
    /// A routine of the kernel is being stepped.
    in_kernel: bool,
}

impl Decider {
    /// `all` shows the tracer and the kernel's lock-free routines too.
    #[must_use]
    pub const fn new(all: bool) -> Self {
        Self { all, in_kernel: false }
    }

    /// Decides about the code that comes next; `returned` if LR still has its
    /// address, so that a return has just led there and no call.
    pub fn next(&mut self, code: Code, returned: bool) -> Next {
        match code {
            Code::Caller => return Next::Finish,
            Code::Foreign => self.in_kernel = false,
            Code::Hook => {
                self.in_kernel = false;
                return Next::Step { shown: self.all };
            }
            Code::Kernel { lock_free } => {
                // A stepped routine may have called a module back: then this is
                // that call's return, in the middle of the routine.
                self.in_kernel |= returned || (lock_free && self.all);
                if !self.in_kernel {
                    return Next::Over;
                }
            }
        }
        Next::Step { shown: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Next = Next::Step { shown: true };
    const UNSEEN: Next = Next::Step { shown: false };
    const FREE: Code = Code::Kernel { lock_free: true };
    const LOCKS: Code = Code::Kernel { lock_free: false };

    #[test]
    fn modules_are_stepped_and_the_kernel_is_not() {
        let mut decider = Decider::new(false);
        assert_eq!(decider.next(Code::Foreign, false), SEEN);
        assert_eq!(decider.next(FREE, false), Next::Over);
        assert_eq!(decider.next(LOCKS, false), Next::Over);
        assert_eq!(decider.next(Code::Foreign, true), SEEN);
        assert_eq!(decider.next(Code::Hook, false), UNSEEN);
        assert_eq!(decider.next(LOCKS, false), Next::Over); // a tail call into the kernel
        assert_eq!(decider.next(Code::Hook, true), UNSEEN);
        assert_eq!(decider.next(Code::Caller, true), Next::Finish);
    }

    #[test]
    fn all_is_everything_but_what_may_hold_a_lock() {
        let mut decider = Decider::new(true);
        assert_eq!(decider.next(Code::Hook, false), SEEN);
        assert_eq!(decider.next(LOCKS, false), Next::Over);
        assert_eq!(decider.next(Code::Foreign, true), SEEN);
        assert_eq!(decider.next(FREE, false), SEEN);
        // Behind its first instruction a routine is not known any more.
        assert_eq!(decider.next(LOCKS, false), SEEN);
        // It calls a module back, which calls the kernel and returns to it.
        assert_eq!(decider.next(Code::Foreign, false), SEEN);
        assert_eq!(decider.next(LOCKS, false), Next::Over);
        assert_eq!(decider.next(Code::Foreign, true), SEEN);
        assert_eq!(decider.next(LOCKS, true), SEEN);
        assert_eq!(decider.next(LOCKS, false), SEEN);
    }
}
