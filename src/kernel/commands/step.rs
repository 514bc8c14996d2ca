//! step, watch: a call, shown one instruction at a time.

use super::Done;
use super::call::{self, Prepared};
use crate::kernel::step;
use crate::shell::command::StepRequest;

/// Calls a function, shows what it does, and prints its result as `call` does.
pub fn step(request: &StepRequest, timebase_hz: u64) -> Done {
    let Prepared { entry, values, buffers, shown } = call::prepare(&request.symbol, &request.args)?;
    let limit = call::limit(request.seconds, timebase_hz);
    let StepRequest { all, watch, lines, .. } = *request;
    let most = if watch { u64::MAX } else { step::LINES };
    let how = step::How { all, watch, lines: lines.unwrap_or(most) };
    let end = step::run(entry, &values, limit, how);
    call::tell(&request.symbol.name, &end, &shown, &buffers)
}
