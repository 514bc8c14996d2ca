//! registered, and the verbs that put what is registered to use.
//!
//! ```text
//! crypto   hash, cipher, compress
//! text     nls, keymap, search
//! packet   match, target
//! ```
//!
//! Each lays out what the registered functions want as arguments, calls them one by
//! one as `call` does, and prints what they made of it. A function that faults ends
//! the command, and its module is faulty: all that it registered is gone.

mod crypto;
mod packet;
mod text;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Done;
use super::call::named;
use crate::addr::Vaddr;
use crate::compat::errno;
use crate::compat::registry::Kind;
use crate::kernel::call::{self, CallEnd};
use crate::kernel::initrd;
use crate::kernel::modules::{Failure, Module};
use crate::kernel::registry::{self, Entry};
use crate::kernel::symbols;
use crate::kprintln;
use crate::machine::memory::{self, Block};
use crate::shell::args::Arg;
use crate::shell::command::{UseRequest, Verb};

/// Lists entries; those of a kind or a name with all that is known of them.
pub fn list(what: Option<&str>) -> Done {
    let mut entries = registry::all();
    entries.retain(|entry| what.is_none_or(|what| entry.is_called(what)));
    if let (Some(what), true) = (what, entries.is_empty())
        && Kind::named(what).is_none()
    {
        return Err(nothing(what));
    }
    if entries.is_empty() {
        kprintln!("none is registered (insmod a module that registers one)");
    }
    for entry in entries {
        let module = entry.module().map_or(String::new(), |module| module.name.clone());
        kprintln!("{entry} [{module}]");
        for field in entry.kind.row().fields().filter(|_| what.is_some()) {
            let value = entry.number(field.offset, field.number.unwrap_or(8));
            match field.number {
                Some(_) => kprintln!("  {} = {value}", field.name),
                None if value == 0 => {}
                None => kprintln!("  {} = {}", field.name, symbols::qualified(Vaddr(value))),
            }
        }
    }
    Ok(())
}

/// Carries out a verb.
pub fn put_to_use(request: &UseRequest) -> Done {
    let UseRequest { verb, back, name, args } = request;
    let room = &mut Room(Vec::new());
    match (verb, args.as_slice()) {
        (Verb::Hash, [data, key @ ..]) => crypto::hash(room, name, data, key.first()),
        (Verb::Cipher, [key, data]) => crypto::cipher(room, name, *back, key, data),
        (Verb::Compress, [data]) => crypto::compress(room, name, *back, data),
        (Verb::Nls, [Arg::Int(_), ..]) => text::to_bytes(room, name, args),
        (Verb::Nls, [data]) => text::to_unicode(room, name, data),
        (Verb::Keymap, []) => text::keymap(name),
        (Verb::Search, [pattern, data]) => text::search(room, name, pattern, data),
        (Verb::Match, [info, packet]) => packet::matches(room, name, info, packet),
        (Verb::Target, [info, packet]) => packet::target(room, name, info, packet),
        _ => Err(format!("{name}: too many arguments (see help)").into()),
    }
}

#[optimize(size)]
fn nothing(what: &str) -> Failure {
    // A module file here that is called so, but for what Linux puts before or after it.
    let mut file = "its module";
    for other in initrd::all() {
        let name = match other.base_name().as_bytes() {
            [b'n', b'l', b's', b'_', rest @ ..] => rest,
            [_, _, b'_', rest @ ..] => rest,
            name => name,
        };
        if let Some((name, rest)) = name.split_at_checked(what.len())
            && name.eq_ignore_ascii_case(what.as_bytes())
            && (rest.starts_with(b".ko") || rest.starts_with(b"_generic"))
        {
            file = other.base_name();
        }
    }
    format!("{what}: nothing of that kind or name is registered (see registered; modprobe {file})")
        .into()
}

/// Something registered, while it is used: its module stays.
struct Used {
    entry: Entry,
    module: Arc<Module>,
}

impl Used {
    /// The one thing of this kind and name.
    #[inline(never)]
    fn get(kind: Kind, name: &str) -> Result<Self, Failure> {
        registry::find(kind, name).into_iter().find_map(Self::of).ok_or_else(|| nothing(name))
    }

    fn of(entry: Entry) -> Option<Self> {
        let module = entry.module()?;
        Some(Self { entry, module })
    }

    /// A field of its struct; 0 if it is null.
    #[inline(never)]
    fn field(&self, name: &str) -> u64 {
        let field = self.entry.kind.field(name);
        field.map_or(0, |field| self.entry.number(field.offset, field.number.unwrap_or(8)))
    }

    /// A field that says how many bytes something has; a module that says more than
    /// a megabyte is not believed.
    #[inline(never)]
    fn size(&self, name: &str) -> Result<usize, Failure> {
        match self.field(name) {
            size @ 0..=0x10_0000 => Ok(size as usize),
            size => Err(self.refuse(format_args!("its {name} is {size}"))),
        }
    }

    /// Calls one of its functions; r3.
    fn call(&self, function: &str, args: &[u64]) -> Result<u64, Failure> {
        match self.field(function) {
            0 => Err(self.refuse(format_args!("it has no function {function}"))),
            entry => match call::run(Vaddr(entry), args) {
                CallEnd::Returned(value) => Ok(value),
                CallEnd::Oops(cause) => {
                    let name = &self.module.name;
                    Err(Failure::Oops(format!("{name}: its {function} function: {cause}")))
                }
            },
        }
    }

    /// Calls one that returns an `int`: an error number is a refusal.
    #[inline(never)]
    fn checked(&self, function: &str, args: &[u64]) -> Result<i32, Failure> {
        let value = self.call(function, args)? as i32;
        if value >= 0 {
            return Ok(value);
        }
        let name = errno::name(value.unsigned_abs()).unwrap_or("unknown error");
        Err(self.refuse(format_args!("its {function} function returned {value} ({name})")))
    }

    /// As [`checked`](Self::checked), if it has that function.
    #[inline(never)]
    fn optional(&self, function: &str, args: &[u64]) -> Done {
        if self.field(function) != 0 {
            self.checked(function, args)?;
        }
        Ok(())
    }
}

impl Used {
    /// Calls a function without result, if it has it.
    #[inline(never)]
    fn end(&self, function: &str, arg: Vaddr) -> Done {
        if self.field(function) != 0 {
            self.call(function, &[arg.0])?;
        }
        Ok(())
    }

    /// A refusal that begins with its kind and name.
    #[inline(never)]
    fn refuse(&self, why: fmt::Arguments<'_>) -> Failure {
        format!("{}: {why}", self.entry).into()
    }
}

/// Bytes that a module's function may read and write.
#[derive(Clone, Copy)]
struct Bytes {
    at: Vaddr,
    len: usize,
}

impl Bytes {
    /// A copy of the first `len` of them, as they are now.
    #[inline(never)]
    fn read(self, len: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; len.min(self.len)];
        memory::read(self.at, &mut bytes);
        bytes
    }
}

/// The memory of one command, given back at its end.
struct Room(Vec<Block>);

impl Room {
    /// The bytes of an argument: a text without its NUL, all of a named buffer.
    fn of(&mut self, arg: &Arg) -> Result<Bytes, Failure> {
        match arg {
            Arg::Text(bytes) | Arg::Hex(bytes) => self.put(bytes.clone()),
            Arg::Zeroed(len) => self.zeroed(*len),
            Arg::Named(name) => {
                let (at, len) = named(name)?;
                Ok(Bytes { at, len: len as usize })
            }
            Arg::Int(_) => Err(String::from("data is a text, hex:, @SIZE or &NAME").into()),
        }
    }

    /// Bytes that are there already.
    #[inline(never)]
    fn put(&mut self, bytes: Vec<u8>) -> Result<Bytes, Failure> {
        let place = self.zeroed(bytes.len())?;
        if let Some(block) = self.0.last_mut() {
            block.fill(&bytes);
        }
        Ok(place)
    }

    #[inline(never)]
    fn zeroed(&mut self, len: usize) -> Result<Bytes, Failure> {
        let block =
            Block::take(len).ok_or_else(|| format!("no memory for {len} bytes (see mem)"))?;
        let place = Bytes { at: block.start(), len };
        self.0.push(block);
        Ok(place)
    }
}

/// Prints bytes as an argument is written.
fn print_hex(bytes: &[u8]) {
    kprintln!("{}", Hex(bytes));
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hex:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
