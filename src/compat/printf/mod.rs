//! The kernel's printf language, as a pure function.
//!
//! ```text
//!  "x=%#06x at %pS\n"       args: 31, 0x1040       world: 0x1040 is f+0x40
//!     │   │      └ pointer ─> Name+offset ─┐
//!     │   └ number ─> "0x001f" ────────────┼──> Sink: a buffer, the console …
//!     └ literal text ──────────────────────┘
//! ```
//!
//! `spec` reads a conversion, `number` and `pointer` carry it out, `level` takes
//! the log level off a finished message.
//!
//! # Where it differs from C
//! It follows Linux, since modules were written against that: `%#x` of 0 is
//! `0x0`, `%.0d` of 0 is `0`, the `0` flag holds even with a precision, `%p` has
//! 16 digits and a family of its own (see `pointer`), NULL strings are `(null)`,
//! and there is neither `%n` nor floating point.
//!
//! # Where it differs from Linux
//! - `%p` shows the address and not a hash of it: there is nobody to hide it from.
//! - A conversion that does not exist ends the formatting as in Linux, but what
//!   is left of the format is copied, so that the message can still be read.
//! - Widths and precisions end at [`MAX_FIELD`].
//!
//! # References
//! Linux's `Documentation/core-api/printk-formats.rst`; ISO C, "The fprintf
//! function".
//!
//! Arguments are asked for one by one instead of being collected first: only the
//! format knows how many there are. Text is produced in pieces and never held as
//! a whole: `printk` must work when memory is short.

mod level;
mod number;
mod pointer;
mod spec;

pub use level::{Level, split_level};

use alloc::vec::Vec;

use super::{Memory, read_str};
use crate::addr::Vaddr;
use spec::{Cursor, Spec};

/// Widest field and largest precision.
pub const MAX_FIELD: usize = 32_767;

/// How deep `%pV` may nest.
const MAX_DEPTH: u32 = 3;

/// The arguments after the format, each in a doubleword as ELFv2 passes them.
pub trait Args {
    /// The next one; anything if there is none left.
    fn next_u64(&mut self) -> u64;
}

/// What formatting needs to know of the world.
pub trait World: Memory {
    /// Writes the name of what `at` points at and returns true; returns false
    /// and writes nothing if it is nothing known.
    fn write_symbol(&self, at: Vaddr, style: SymbolStyle, out: &mut dyn Sink) -> bool;
}

/// How `%pS` and its like show an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolStyle {
    /// `%ps`: `name [module]`.
    Name,
    /// `%pS`: `name+0x4/0x20 [module]`.
    Offset,
    /// `%pB`: the same for a return address, which may lie one past the end of
    /// the function that called: look up the byte before it.
    Return,
}

/// Where text goes.
pub trait Sink {
    /// Takes the next piece.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what is put in and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// Keeps the first bytes and counts them all.
#[derive(Debug)]
pub struct Buffer<'a> {
    out: &'a mut [u8],
    total: usize,
}

impl Sink for Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.out.get_mut(self.total..) {
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
        }
        self.total = self.total.saturating_add(bytes.len());
    }
}

/// Arguments that lie in memory one after the other: what a `va_list` of ELFv2,
/// which is a plain pointer, points at.
pub struct VaList<'a> {
    memory: &'a dyn Memory,
    at: Vaddr,
}

impl<'a> VaList<'a> {
    /// Arguments from `at` on, a doubleword each; unreadable ones are 0.
    #[must_use]
    pub fn new(memory: &'a dyn Memory, at: Vaddr) -> Self {
        Self { memory, at }
    }
}

impl Args for VaList<'_> {
    fn next_u64(&mut self) -> u64 {
        let value = self.memory.read_u64(self.at).unwrap_or(0);
        self.at = self.at.offset(8);
        value
    }
}

/// A format string: at hand, or at an address that may not be readable.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    /// Ends with the slice or at a NUL.
    Bytes(&'a [u8]),
    /// Ends at a NUL, or where memory does.
    At(Vaddr),
}

/// What came of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Bytes put into the sink.
    pub len: usize,
    /// The conversion that does not exist, where formatting ended.
    pub refused: Option<u8>,
}

/// Formats into `out`.
pub fn format(
    out: &mut dyn Sink,
    format: Format<'_>,
    args: &mut dyn Args,
    world: &dyn World,
) -> Printed {
    format_nested(out, format, args, world, 0)
}

/// Formats into `out` as C does: cut off to fit and ended by a NUL, unless `out`
/// is empty. Returns the length that the whole text has, without the NUL.
pub fn vsnprintf(
    out: &mut [u8],
    format: Format<'_>,
    args: &mut dyn Args,
    world: &dyn World,
) -> usize {
    let Some(room) = out.len().checked_sub(1) else {
        return self::format(&mut Count(0), format, args, world).len;
    };
    let mut buffer = Buffer { out: &mut out[..room], total: 0 };
    let len = self::format(&mut buffer, format, args, world).len;
    // Bytes after the NUL stay as they were: C promises that.
    out[len.min(room)] = 0;
    len
}

/// The same, but returns how many bytes were stored, without the NUL.
pub fn vscnprintf(
    out: &mut [u8],
    format: Format<'_>,
    args: &mut dyn Args,
    world: &dyn World,
) -> usize {
    let room = out.len().saturating_sub(1);
    vsnprintf(out, format, args, world).min(room)
}

/// [`format`] at some depth of `%pV`.
#[cfg_attr(target_os = "none", optimize(size))]
fn format_nested(
    out: &mut dyn Sink,
    format: Format<'_>,
    args: &mut dyn Args,
    world: &dyn World,
    depth: u32,
) -> Printed {
    let mut out = Tally { inner: out, total: 0 };
    let mut cursor = Cursor::new(format, world);
    let mut refused = None;
    loop {
        let window = cursor.window();
        if window.is_empty() {
            break;
        }
        let plain = match refused {
            None => window.iter().position(|&b| b == b'%'),
            Some(_) => None,
        };
        let literal = &window[..plain.unwrap_or(window.len())];
        out.put(literal);
        let len = literal.len();
        cursor.skip(len);
        if plain.is_none() {
            continue;
        }
        cursor.skip(1);
        let spec = Spec::parse(&mut cursor, args);
        match spec.conversion {
            b'%' => out.put(b"%"),
            b'c' => padded(&mut out, &spec.without_precision(), &|out| {
                out.put(&[spec.char_value()]);
            }),
            b's' => string(&mut out, &spec, world),
            b'p' => pointer::write(&mut out, &spec, &cursor.suffix(), world, depth),
            b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => number::write(&mut out, &spec),
            other => {
                refused = Some(other);
                out.put(b"%");
                out.put(if other == 0 { b"" } else { core::slice::from_ref(&other) });
            }
        }
    }
    Printed { len: out.total, refused }
}

struct Tally<'a> {
    inner: &'a mut dyn Sink,
    total: usize,
}

impl Sink for Tally<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.inner.put(bytes);
        self.total = self.total.saturating_add(bytes.len());
    }
}

/// `%s`: the string at the argument.
fn string(out: &mut dyn Sink, spec: &Spec, world: &dyn World) {
    let max = spec.precision.unwrap_or(MAX_FIELD);
    padded(out, spec, &|out| match spec.value {
        0 => out.put(b"(null)"),
        at => {
            let (_, ended) = read_str(world, Vaddr(at), max, &mut |piece| out.put(piece));
            if !ended {
                out.put(b"(efault)");
            }
        }
    });
}

/// Puts what `produce` makes into a field of the spec's width and precision.
///
/// `produce` runs twice, once to be measured, and must do the same both times.
fn padded(out: &mut dyn Sink, spec: &Spec, produce: &dyn Fn(&mut dyn Sink)) {
    let most = spec.precision.unwrap_or(usize::MAX);
    let mut count = Count(0);
    produce(&mut count);
    let pad = spec.width.saturating_sub(count.0.min(most));
    if !spec.left {
        fill(out, b' ', pad);
    }
    produce(&mut Head { out, room: most });
    if spec.left {
        fill(out, b' ', pad);
    }
}

/// Passes on the first `room` bytes.
struct Head<'a> {
    out: &'a mut dyn Sink,
    room: usize,
}

impl Sink for Head<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room);
        self.out.put(&bytes[..len]);
        self.room -= len;
    }
}

fn fill(out: &mut dyn Sink, byte: u8, mut count: usize) {
    let run = [byte; 32];
    while count > 0 {
        let len = count.min(run.len());
        out.put(&run[..len]);
        count -= len;
    }
}

#[cfg(test)]
mod tests;
