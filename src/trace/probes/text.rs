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
    #[cfg_attr(target_os = "none", optimize(size))]
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
#[cfg_attr(target_os = "none", optimize(size))]
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
#[cfg_attr(target_os = "none", optimize(size))]
pub fn format_of(probe: &Probe, id: u32) -> String {
    let mut text = format!("name: {}\nID: {id}\nformat:\n", probe.event);
    let mut place = 0;
    let mut field = |text: &mut String, name: &str, size: usize, signed: u8| {
        let at = place;
        place += size; // packed, as Linux has them
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
            _ => values += &format!(", REC->{name}"),
        }
    }
    text + &format!("\nprint fmt: \"{formats}\", {values}\n")
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Line, line};
    use super::super::program::compile;
    use super::*;
    use alloc::vec::Vec;
    use std::string::ToString;

    struct Names2;

    impl Names for Names2 {
        fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
            match at.0 {
                0x1000..0x1050 => Some("sys_getppid".into()),
                0x2000..0x2250 => Some("system_call_exception".into()),
                _ => None,
            }
        }

        fn place(&self, at: Vaddr) -> Option<Cow<'_, str>> {
            let (start, size) = if at.0 < 0x2000 { (0x1000, 0x50) } else { (0x2000, 0x250) };
            let name = self.function_at(at)?;
            Some(format!("{name}+{:#x}/{size:#x}", at.0 - start).into())
        }

        fn kept_text(&self, kept: u64) -> Option<Vec<u8>> {
            (kept == 77).then(|| b"a\"b\n\xff".to_vec())
        }
    }

    fn probe(text: &str) -> Probe {
        match line(text).unwrap() {
            Some(Line::Add(probe)) => probe,
            other => panic!("{other:?}"),
        }
    }

    fn shown(text: &str, parent: u64, words: &[u64]) -> String {
        let (_, shape) = compile(&probe(text), &|_| Some(0x9000), false).unwrap();
        let mut payload = [0; PAYLOAD_WORDS];
        payload[..words.len()].copy_from_slice(words);
        // The hook leaves the address behind the site, which is at +0xc.
        let record =
            Record { time: 0, ip: Vaddr(0x1010 | 3 | 5 << 32), parent: Vaddr(parent), seq: 1 };
        let (payload, task, names) = (&payload, "init", &Names2);
        EventText { shape: &shape, record, payload, task, names }.to_string()
    }

    /// What Debian's 6.1 printed for the same values.
    #[test]
    fn lines_are_linuxs() {
        assert_eq!(shown("p:eight sys_getppid+0x0", 0, &[]), "eight: (sys_getppid+0xc/0x50)");
        assert_eq!(
            shown("r:mygrp/two sys_getppid $retval ret=$retval:s32", 0x2130, &[0]),
            "two: (system_call_exception+0x130/0x250 <- sys_getppid) arg1=0x0 ret=0"
        );
        assert_eq!(
            shown("p:x5 sys_getppid a=\\-5:s16 b=\\10 c=\\0x10", 0, &[]),
            "x5: (sys_getppid+0xc/0x50) a=-5 b=0xa c=0x10"
        );
        assert_eq!(
            shown(
                "p:two sys_getppid s=%nip:symbol c=$comm t=\\\"hey\" u=%gpr3:u8 v=%gpr3:x16 w=%gpr3:s64 x=%gpr3:u64 y=%gpr4",
                13_835_058_055_335_968_384,
                &[0x40]
            ),
            "two: (sys_getppid+0xc/0x50) s=sys_getppid+0xc/0x50 c=\"init\" t=\"hey\" u=128 v=0xfe80 \
             w=-4611686018373583232 x=13835058055335968384 y=0x40"
        );
        assert_eq!(
            shown("r:five sys_getppid $retval:u32 $retval:x16 %gpr3:s8 $comm", 0x2130, &[0]),
            "five: (system_call_exception+0x130/0x250 <- sys_getppid) arg1=0 arg2=0x0 arg3=0 arg4=\"init\""
        );
    }

    #[test]
    fn every_width_is_cut_to_its_bytes() {
        let value = 0x8899_aabb_ccdd_eeff;
        let line = "p:e sys_getppid $arg1:u8 $arg1:u16 $arg1:u32 $arg1:s8 $arg1:s16 $arg1:s32 $arg1:x32 $arg1:x64";
        assert_eq!(
            shown(line, value, &[]),
            "e: (sys_getppid+0xc/0x50) arg1=255 arg2=61183 arg3=3437096703 arg4=-1 arg5=-4353 \
             arg6=-857870593 arg7=0xccddeeff arg8=0x8899aabbccddeeff"
        );
    }

    /// Bit N of the last word says that word N could not be read.
    #[test]
    fn faults_texts_and_unknown_addresses_are_told() {
        let line = "p:e sys_getppid +0($arg1) b=+8($arg1):string c=+8($arg1):string d=$arg2:symbol";
        let mut words = [1, 77, 78, 0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(
            shown(line, 0, &words),
            "e: (sys_getppid+0xc/0x50) arg1=(fault) b=\"a\"b\\n\\xff\" c=(lost) d=0x00008000"
        );
        words[15] = 0b1010;
        assert_eq!(
            shown(line, 0, &words),
            "e: (sys_getppid+0xc/0x50) arg1=0x1 b=(fault) c=(lost) d=(fault)"
        );
    }

    /// The two files are Debian's 6.1's, but for the number.
    #[test]
    fn formats_are_linuxs() {
        let entry = probe(
            "p:two sys_getppid f=+0(%gpr1):string s=%nip:symbol c=$comm t=\\\"hey\" u=%gpr3:u8 v=%gpr3:x16 w=%gpr3:s64 x=%gpr3:u64 y=%gpr4",
        );
        let head = "name: two\nID: 1267\nformat:\n\
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
            \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
            \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";
        assert_eq!(
            format_of(&entry, 1267),
            head.to_string()
                + "\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n\
                \tfield:__data_loc char[] f;\toffset:16;\tsize:4;\tsigned:1;\n\
                \tfield:u64 s;\toffset:20;\tsize:8;\tsigned:0;\n\
                \tfield:__data_loc char[] c;\toffset:28;\tsize:4;\tsigned:1;\n\
                \tfield:__data_loc char[] t;\toffset:32;\tsize:4;\tsigned:1;\n\
                \tfield:u8 u;\toffset:36;\tsize:1;\tsigned:0;\n\
                \tfield:u16 v;\toffset:37;\tsize:2;\tsigned:0;\n\
                \tfield:s64 w;\toffset:39;\tsize:8;\tsigned:1;\n\
                \tfield:u64 x;\toffset:47;\tsize:8;\tsigned:0;\n\
                \tfield:u64 y;\toffset:55;\tsize:8;\tsigned:0;\n\n\
                print fmt: \"(%lx) f=\\\"%s\\\" s=%pS c=\\\"%s\\\" t=\\\"%s\\\" u=%u v=0x%x w=%Ld x=%Lu y=0x%Lx\", \
                REC->__probe_ip, __get_str(f), REC->s, __get_str(c), __get_str(t), REC->u, REC->v, REC->w, REC->x, REC->y\n"
        );
        let back = format_of(&probe("r:mygrp/two sys_getppid $retval ret=$retval:s32"), 1267);
        assert_eq!(
            back,
            head.to_string()
                + "\tfield:unsigned long __probe_func;\toffset:8;\tsize:8;\tsigned:0;\n\
                \tfield:unsigned long __probe_ret_ip;\toffset:16;\tsize:8;\tsigned:0;\n\
                \tfield:u64 arg1;\toffset:24;\tsize:8;\tsigned:0;\n\
                \tfield:s32 ret;\toffset:32;\tsize:4;\tsigned:1;\n\n\
                print fmt: \"(%lx <- %lx) arg1=0x%Lx ret=%d\", REC->__probe_func, REC->__probe_ret_ip, REC->arg1, REC->ret\n"
        );
    }
}
