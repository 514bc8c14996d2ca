//! Text searches for modules: `textsearch_prepare` and what follows it.
//!
//! ```text
//!  ts_config, from the algorithm's init     ts_state
//!   0 ts_ops                                 0 where the search goes on
//!   8 flags                                  8 the caller's own 48 bytes: here
//!  16 get_next_block ──> next_block            address and length of the text
//!  32 the algorithm's own
//! ```

use crate::addr::Vaddr;
use crate::compat::registry::Kind;
use crate::kernel::call::{self, CallEnd};
use crate::kernel::compat::{heap, packet};
use crate::kernel::registry;
use crate::machine::call::give_up;
use crate::machine::memory::{self, Block};

/// Bytes of a `ts_state`.
pub const STATE_SIZE: usize = 56;
const CONFIG_NEXT_BLOCK: i64 = 16;
const STATE_TEXT: i64 = 8;

fn store(at: Vaddr, value: u64) {
    memory::write_for_module(at, &value.to_le_bytes());
}

fn load(at: u64, offset: i64) -> u64 {
    memory::read_u64(Vaddr(at).offset(offset)).unwrap_or(0)
}

/// Makes a config and a zeroed state ready to search the `len` bytes at `text`.
pub fn set_up(config: u64, algorithm: Vaddr, state: Vaddr, text: Vaddr, len: u64) {
    store(Vaddr(config), algorithm.0);
    store(Vaddr(config).offset(CONFIG_NEXT_BLOCK), next_block as *const () as u64);
    store(state.offset(STATE_TEXT), text.0);
    store(state.offset(STATE_TEXT + 8), len);
}

/// Makes the search go on at this offset.
pub fn go_on(state: Vaddr, offset: u32) {
    memory::write_for_module(state, &offset.to_le_bytes());
}

/// `get_next_block(consumed, &block, config, state)`: what of the text is left.
extern "C" fn next_block(consumed: u32, block: u64, _config: u64, state: u64) -> u32 {
    let (text, len) = (load(state, STATE_TEXT), load(state, STATE_TEXT + 8));
    let left = len.saturating_sub(consumed.into());
    if left > 0 {
        store(Vaddr(block), text + u64::from(consumed));
    }
    left as u32
}

/// Calls a function of `ts_ops`; a fault in it ends who asked.
fn run(algorithm: u64, function: &str, args: &[u64]) -> u64 {
    let offset = Kind::Search.field(function).map_or(0, |field| field.offset);
    match load(algorithm, offset.into()) {
        0 => 0,
        entry => match call::run(Vaddr(entry), args) {
            CallEnd::Returned(value) => value,
            CallEnd::Oops(cause) => give_up(alloc::format!("text search: {cause}")),
        },
    }
}

/// `textsearch_prepare(algorithm, pattern, len, gfp, flags)`: a config, or an error
/// as a pointer.
pub(crate) extern "C" fn textsearch_prepare(
    name: u64,
    pattern: u64,
    len: u32,
    gfp: u32,
    flags: i32,
) -> i64 {
    let invalid = -22;
    if len == 0 {
        return invalid;
    }
    let Some(algorithm) = registry::hold(Kind::Search, "ts", name) else { return -2 };
    let args = [pattern, len.into(), gfp.into(), flags as u64];
    let config = run(algorithm.0, "init", &args);
    match config.cast_signed() {
        1.. => store(Vaddr(config), algorithm.0),
        _ => {
            registry::release(algorithm);
        }
    }
    if config == 0 { invalid } else { config.cast_signed() }
}

/// `textsearch_destroy(config)`.
pub(crate) extern "C" fn textsearch_destroy(config: u64) {
    let algorithm = load(config, 0);
    if registry::release(Vaddr(algorithm)) {
        run(algorithm, "destroy", &[config]);
    }
    heap::kfree(config);
}

/// `skb_find_text(skb, from, to, config)`: the first place of the pattern, counted
/// from `from`, or all ones.
pub(crate) extern "C" fn skb_find_text(skb: u64, from: u32, to: u32, config: u64) -> u32 {
    let (data, len) = packet::linear(skb);
    let text = data.offset(from.into());
    let len = len.min(to).saturating_sub(from);
    let Some(state) = Block::take(STATE_SIZE) else { return u32::MAX };
    let algorithm = load(config, 0);
    set_up(config, Vaddr(algorithm), state.start(), text, len.into());
    let place = run(algorithm, "find", &[config, state.start().0]) as u32;
    if place <= to.saturating_sub(from) { place } else { u32::MAX }
}
