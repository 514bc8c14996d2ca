//! Records of probes as Linux's text, and what it says of their form (`format`).
//!
//! # References
//! Debian's 6.1, asked for `trace` and `format`: `sent: (send+0xc/0x5c [demo]) len=12`,
//! `sent: (main+0x20/0x40 [demo] <- send) ret=0x0`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write as _};

use super::program::{Field, From, Shape};
use super::{Place, Probe, Type};
use crate::addr::Vaddr;
use crate::trace::decode::Names;
use crate::trace::record::{PAYLOAD_WORDS, Record};

/// What a record says, without who, where and when.
#[derive(Clone, Copy)]
pub struct EventText<'a, N: ?Sized> {
    /// How to read it.
    pub shape: &'a Shape,
    /// The record.
    pub record: Record,
    /// The words beside it.
    pub payload: &'a [u64; PAYLOAD_WORDS],
    /// Who was running.
    pub task: &'a str,
    /// How to name addresses.
    pub names: &'a N,
}

impl<N: Names + ?Sized> fmt::Display for EventText<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, record, names, .. } = self;
        write!(f, "{}: (", shape.event)?;
        let site = names.site_of(record.hook());
        if shape.at_return {
            write_place(f, names.place(record.parent), record.parent)?;
            let callee = names.hooked_function(record.hook());
            match callee {
                Some(callee) => write!(f, " <- {callee})")?,
                None => write!(f, " <- 0x{:08x})", site.0)?,
            }
        } else {
            write_place(f, names.place(site), site)?;
            f.write_str(")")?;
        }
        shape.fields.iter().try_for_each(|field| {
            write!(f, " {}=", field.name)?;
            self.write_value(f, field, site)
        })
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, name: Option<Cow<'_, str>>, at: Vaddr) -> fmt::Result {
    match name {
        Some(name) => f.write_str(&name),
        None => write!(f, "0x{:08x}", at.0),
    }
}

impl<N: Names + ?Sized> EventText<'_, N> {
    fn write_value(&self, f: &mut fmt::Formatter<'_>, field: &Field, site: Vaddr) -> fmt::Result {
        let value = match &field.from {
            From::Record => self.record.parent.0,
            From::Number(number) => *number,
            From::Site => site.0,
            From::Comm => return write!(f, "\"{}\"", self.task),
            From::Text(text) => return write!(f, "\"{text}\""),
            From::Word(word) => {
                let faults = self.payload.last().filter(|_| self.shape.has_faults);
                if faults.is_some_and(|faults| faults >> word & 1 != 0) {
                    return f.write_str("(fault)");
                }
                self.payload.get(*word).copied().unwrap_or_default()
            }
        };
        let cut = |bytes: u8| value & u64::MAX >> (64 - 8 * u32::from(bytes.clamp(1, 8)));
        match field.kind {
            Type::Unsigned(bytes) => write!(f, "{}", cut(bytes)),
            Type::Hex(bytes) => write!(f, "{:#x}", cut(bytes)),
            Type::Signed(bytes) => {
                let above = 64 - 8 * u32::from(bytes.clamp(1, 8));
                write!(f, "{}", (value << above).cast_signed() >> above)
            }
            Type::Symbol => write_place(f, self.names.place(Vaddr(value)), Vaddr(value)),
            Type::Text => match self.names.kept_text(value) {
                Some(text) => write_text(f, &text),
                None => f.write_str("(lost)"),
            },
        }
    }
}

/// Between quotes, on one line whatever is in it.
fn write_text(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                _ if letter.is_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
                _ => f.write_char(letter)?,
            }
        }
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
    }
    f.write_char('"')
}

/// The file `format` of an event: fields as programs find them in Linux's buffer, and
/// how they are printed.
#[must_use]
pub fn format_of(probe: &Probe, id: u32) -> String {
    let mut text = format!("name: {}\nID: {id}\nformat:\n", probe.event);
    let mut place = 0;
    let mut field = |text: &mut String, name: &str, size: usize, signed: u8| {
        let at = place + (size - place % size) % size;
        place = at + size;
        let _ = writeln!(text, "\tfield:{name};\toffset:{at};\tsize:{size};\tsigned:{signed};");
    };
    field(&mut text, "unsigned short common_type", 2, 0);
    field(&mut text, "unsigned char common_flags", 1, 0);
    field(&mut text, "unsigned char common_preempt_count", 1, 0);
    field(&mut text, "int common_pid", 4, 1);
    text.push('\n');
    let (mut formats, mut values);
    if probe.place == Place::Entry {
        field(&mut text, "unsigned long __probe_ip", 8, 0);
        (formats, values) = (String::from("(%lx)"), String::from("REC->__probe_ip"));
    } else {
        field(&mut text, "unsigned long __probe_func", 8, 0);
        field(&mut text, "unsigned long __probe_ret_ip", 8, 0);
        formats = String::from("(%lx <- %lx)");
        values = String::from("REC->__probe_func, REC->__probe_ret_ip");
    }
    for arg in &probe.args {
        let name = &arg.name;
        let bits = usize::from(arg.kind.bytes()) * 8;
        let wide = if bits == 64 { "L" } else { "" };
        let (kind, signed, shown) = match arg.kind {
            Type::Unsigned(_) => (format!("u{bits} {name}"), 0, format!("%{wide}u")),
            Type::Signed(_) => (format!("s{bits} {name}"), 1, format!("%{wide}d")),
            Type::Hex(_) => (format!("u{bits} {name}"), 0, format!("0x%{wide}x")),
            Type::Symbol => (format!("u64 {name}"), 0, String::from("%pS")),
            Type::Text => (format!("__data_loc char[] {name}"), 1, String::from("\\\"%s\\\"")),
        };
        field(&mut text, &kind, if bits == 0 { 4 } else { bits / 8 }, signed);
        let _ = write!(formats, " {name}={shown}");
        match arg.kind {
            Type::Text => values += &format!(", __get_str({name})"),
            Type::Symbol => values += &format!(", (void *)REC->{name}"),
            _ => values += &format!(", REC->{name}"),
        }
    }
    text + &format!("\nprint fmt: \"{formats}\", {values}\n")
}
