//! step: a call, shown one instruction at a time.

use super::Done;
use super::call::{self, Prepared};
use crate::kernel::step;
use crate::shell::command::StepRequest;

/// Calls a function, shows what it does, and prints its result as `call` does.
pub fn step(request: &StepRequest, timebase_hz: u64) -> Done {
    let Prepared { entry, values, buffers, shown } = call::prepare(&request.symbol, &request.args)?;
    let limit = call::limit(request.seconds, timebase_hz);
    let lines = request.lines.unwrap_or(step::LINES);
    let end = step::run(entry, &values, limit, request.all, lines);
    call::tell(&request.symbol.name, &end, &shown, &buffers)
}
