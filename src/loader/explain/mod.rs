//! The relocation lens: one relocation with all that went into it, for people.
//!
//! ```text
//!  place    .text+0x4c
//!  type     R_PPC64_TOC16_HA (50)
//!  symbol   counter, in .data
//!  S        0x12a9a010
//!  A        +0x4
//!  P        0x12a9804c
//!  TOC      0x12aa2000
//!  formula  ha(S + A - TOC)
//!  value    S + A - TOC = -0x7fec
//!  field    low 16 bits of the instruction: ...
//!  before   3d420000 addis r10,r2,0
//!  after    3d42ffff addis r10,r2,-1
//! ```
//!
//! [`Lens`] binds a module's symbols as a load does, without an image; the field
//! goes through the loader's own code ([`super::relocate`]), so an explanation
//! cannot say anything else than what happens. Formulas: [`formula`]; reasons: [`why`].
//!
//! The shell (`relocs MOD N`) and the host tool (`ko relocs FILE N`) show the same.

pub mod formula;
pub mod why;

use alloc::vec::Vec;
use core::fmt::{self, Display, Write as _};

use goblin::elf64::{
    section_header::{SHN_ABS, SHN_UNDEF},
    sym::Sym,
};

use self::formula::{Field, Value};
use super::{
    bind::{self, Bound, Class, KernelAbi, Linker},
    callsites::HOOK,
    elf::Object,
    error::LoadError,
    layout::{Counted, Layout},
    reloc_names::RelocName,
    relocate,
    stubs::table::{Entry, StubTable},
    symbols::{LinkOptions, Owner, Resolver},
};
use crate::{
    addr::Vaddr,
    isa::{
        Insn, branch,
        disasm::{Namer, disassemble},
    },
};

/// A module whose symbols are bound, to look at its relocations with.
pub struct Lens<'l, 'a> {
    linker: Linker<'l, 'a>,
    bounds: Vec<Bound>,
    stubs: StubTable,
}

/// Where a relocation's symbol comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// No symbol: S is 0.
    None,
    /// A number.
    Absolute,
    /// The module's TOC pointer.
    Toc,
    /// A section of the module, which is in memory or not.
    Section {
        /// Its name.
        name: &'a str,
        /// True if it is in memory.
        kept: bool,
    },
    /// The profiling hook.
    Hook,
    /// The kernel or another module.
    Outside(Owner),
    /// Nobody, and the module can do without: S is 0.
    Weak,
    /// Nobody: S is that of a stub that traps.
    Missing,
}

/// One relocation.
#[derive(Clone, Debug)]
pub struct Explained<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// The section that it changes.
    pub section: &'a str,
    /// Its place in that.
    pub offset: u64,
    /// False if that section is not in memory: nothing is done then.
    pub kept: bool,
    /// Its type.
    pub kind: RelocName,
    /// Its symbol's name, as the file has it.
    pub symbol: &'a str,
    /// Where the symbol comes from.
    pub origin: Origin<'a>,
    /// S.
    pub s: u64,
    /// A.
    pub a: i64,
    /// P.
    pub p: Vaddr,
    /// TOC.
    pub toc: Vaddr,
    /// Bytes from S to the local entry point, where a branch inside the module goes.
    pub local_entry: u8,
    /// The stub that a branch goes to instead.
    pub stub: Option<Entry>,
    /// What the type computes and stores; `None` for one that is not applied.
    pub formula: Option<(Value, Field)>,
    /// The eight bytes from its place on, or as many as there are, in the file.
    pub before: Vec<u8>,
    /// The same with the relocation applied, or why it is not.
    pub after: Result<Vec<u8>, LoadError>,
}

impl<'l, 'a> Lens<'l, 'a> {
    /// Binds the symbols of `object`, laid out at `base`.
    ///
    /// # Errors
    /// As [`relocate::link`], for symbols and stubs.
    pub fn new(
        object: &'l Object<'a>,
        layout: &'l Layout,
        base: Vaddr,
        resolver: &'l dyn Resolver,
        abi: &KernelAbi,
        options: &'l LinkOptions,
    ) -> Result<Self, LoadError> {
        let mut linker = Linker::without_image(object, layout, base, resolver, abi, options);
        let mut bindings = bind::bind(&mut linker)?;
        if layout.reckoned {
            // A link has asked the relocations of code which stubs they use.
            let counted = Counted::of(object, options)?;
            for &index in object.outside() {
                let (index, bounds) = (index as usize, &mut bindings.bounds);
                if let (Some(bound), Some(needs)) =
                    (bounds.get_mut(index), counted.needs.get(index))
                {
                    bound.uses(needs.stubs());
                }
            }
            bindings.write_stubs(&mut linker, object.outside())?;
        }
        Ok(Self { linker, bounds: bindings.bounds, stubs: bindings.stubs })
    }

    /// How many relocations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.linker.object.relocations().iter().map(|list| list.len()).sum()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stubs of the module.
    #[must_use]
    pub fn stubs(&self) -> &StubTable {
        &self.stubs
    }

    /// The relocation with this number, counted from 1 over all sections in the
    /// file's order.
    #[must_use]
    pub fn explain(&self, number: usize) -> Option<Explained<'a>> {
        let Linker { object, layout, base, .. } = self.linker;
        let mut index = number.checked_sub(1)?;
        let mut lists = object.relocations().iter();
        let list = lists.find(|list| match index.checked_sub(list.len()) {
            None => true,
            Some(rest) => {
                index = rest;
                false
            }
        })?;
        let entry = list.get(index)?;
        let section = &object.sections()[list.target];
        let start = layout.offset_of(list.target);
        let p = base.offset(i64::from(start.unwrap_or(0))).offset(entry.r_offset.cast_signed());

        let symbol_index = (entry.r_info >> 32) as u32;
        let symbol = object.symbol(symbol_index);
        let bound = self.bounds.get(symbol_index as usize);
        let place = usize::try_from(entry.r_offset).ok().and_then(|at| section.data.get(at..));
        let before: Vec<u8> = place.unwrap_or_default().iter().take(8).copied().collect();
        let after = match start {
            Some(_) => relocate::apply_one(&self.linker, &self.bounds, list, index),
            None => Ok(before.clone()),
        };
        let kind = entry.r_info as u32;
        let formula = formula::of(kind);
        let is_branch = formula.is_some_and(|(value, _)| value == Value::Branch);
        let stub = bound.filter(|_| is_branch).and_then(|_| {
            let to = branch::target_of(insn(after.as_ref().ok()?)?, p)?;
            self.stubs.find(to)
        });
        Some(Explained {
            number,
            section: section.name,
            offset: entry.r_offset,
            kept: start.is_some(),
            kind: RelocName(kind),
            symbol: symbol.map_or("?", |symbol| object.name(&symbol)),
            origin: symbol.map_or(Origin::None, |symbol| self.origin(&symbol, bound)),
            s: bound.map_or(0, Bound::address),
            a: entry.r_addend,
            p,
            toc: self.linker.abi.stubs.module_toc,
            local_entry: bound.map_or(0, Bound::local_entry),
            stub,
            formula,
            before,
            after,
        })
    }

    fn origin(&self, symbol: &Sym, bound: Option<&Bound>) -> Origin<'a> {
        let object = self.linker.object;
        let name = object.name(symbol);
        match u32::from(symbol.st_shndx) {
            SHN_ABS => Origin::Absolute,
            SHN_UNDEF if name.is_empty() => Origin::None,
            SHN_UNDEF if name == ".TOC." => Origin::Toc,
            SHN_UNDEF if name == HOOK => Origin::Hook,
            SHN_UNDEF => match self.linker.resolver.resolve(name) {
                // What is weak does without an export that its licence closes.
                Some(found) if bound.is_none_or(|bound| bound.value == found.addr.0) => {
                    Origin::Outside(found.owner)
                }
                _ if bound.is_some_and(|bound| bound.value != 0) => Origin::Missing,
                _ if bind::is_weak(symbol) => Origin::Weak,
                _ => Origin::Missing,
            },
            index => Origin::Section {
                name: object.sections().get(index as usize).map_or("?", |section| section.name),
                kept: bound.is_some_and(|bound| bound.class != Class::NotKept),
            },
        }
    }
}

/// The instruction at the front of some bytes.
fn insn(bytes: &[u8]) -> Option<Insn> {
    bytes.first_chunk().map(|bytes| Insn(u32::from_le_bytes(*bytes)))
}

impl Explained<'_> {
    /// What the formula gives, before a half of it is taken; `None` if the type has
    /// no formula, or the relocation switches a profiling call off.
    #[must_use]
    pub fn value(&self) -> Option<i64> {
        let sum = self.s.wrapping_add_signed(self.a);
        let (value, _) = self.formula?;
        let value = match value {
            Value::Sum => sum,
            Value::FromPlace => sum.wrapping_sub(self.p.0),
            Value::FromToc => sum.wrapping_sub(self.toc.0),
            Value::Toc => self.toc.0,
            Value::TocFromPlace => self.toc.0.wrapping_sub(self.p.0),
            Value::Branch if self.is_site() => return None,
            Value::Branch => self.branch_target().wrapping_sub(self.p.0),
            Value::Word => return self.distance_34(),
            Value::Nothing => return None,
        };
        Some(value.cast_signed())
    }

    /// The formula in letters; L is the distance to the local entry point, T the
    /// address of a stub.
    #[must_use]
    pub fn formula_text(&self) -> &'static str {
        match self.formula {
            None => "none: this type is not applied",
            Some((Value::Branch, _)) if self.is_site() => {
                "none: a call site, which is off at first"
            }
            Some((Value::Branch, _)) if self.stub.is_some() => "T - P",
            Some((Value::Branch, _)) if self.local_entry != 0 => "S + L + A - P",
            Some((value, _)) => value.text(),
        }
    }

    /// True for a call of the profiling hook.
    #[must_use]
    pub fn is_site(&self) -> bool {
        let calls = |bytes: &[u8]| insn(bytes).is_some_and(branch::is_call);
        matches!(self.origin, Origin::Hook) && self.stub.is_none() && calls(&self.before)
    }

    /// The distance in a prefixed instruction, as applied.
    fn distance_34(&self) -> Option<i64> {
        let after = self.after.as_ref().ok()?;
        let (prefix, suffix) = (insn(after)?.0, insn(after.get(4..)?)?.0);
        let bits = i64::from(prefix & 0x3_ffff) << 16 | i64::from(suffix & 0xffff);
        Some(bits << 30 >> 30)
    }

    fn branch_target(&self) -> u64 {
        match self.stub {
            Some(stub) => stub.at.0,
            None => self.s.wrapping_add_signed(self.a).wrapping_add(self.local_entry.into()),
        }
    }

    /// Bytes that the relocation may change.
    #[must_use]
    pub fn width(&self) -> usize {
        match self.formula {
            Some((_, Field::Doubleword | Field::Prefixed)) => 8,
            Some((_, Field::Nothing)) | None => 0,
            Some(_) => 4,
        }
    }

    /// The field, out of eight bytes or fewer from the place on: an instruction
    /// with its text, or a number. `name` names the addresses in it.
    pub fn field<'e>(&'e self, bytes: &'e [u8], name: &'e Namer) -> impl Display + 'e {
        fmt::from_fn(move |f| {
            let prefixed = matches!(self.formula, Some((_, Field::Prefixed)));
            if let (true, Some(first)) = (prefixed, insn(bytes)) {
                let next = bytes.get(4..).and_then(insn);
                let text = disassemble(self.p, first, next);
                return write!(
                    f,
                    "{:08x} {:08x} {}",
                    first.0,
                    next.unwrap_or_default().0,
                    text.named(name)
                );
            }
            if self.width() == 8 || bytes.len() < 4 {
                f.write_str("0x")?;
                return bytes.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"));
            }
            let Some(word) = insn(bytes) else { return Ok(()) };
            write!(f, "{:08x}", word.0)?;
            if self.formula.is_some_and(|(_, field)| field.is_code()) {
                write!(f, " {}", disassemble(self.p, word, None).named(name))?;
            }
            Ok(())
        })
    }

    /// The word behind the field's, before and after, if it changed.
    #[must_use]
    pub fn also(&self) -> Option<(Insn, Insn)> {
        let after = self.after.as_ref().ok().filter(|_| self.width() == 4)?;
        let (before, after) = (insn(self.before.get(4..)?)?, insn(after.get(4..)?)?);
        (before != after).then_some((before, after))
    }

    /// The whole explanation, a fact a line; `name` names addresses, `owner` the
    /// modules that export symbols.
    pub fn lines<'e>(
        &'e self,
        name: &'e Namer,
        owner: &'e dyn Fn(u32) -> alloc::string::String,
    ) -> impl Display + 'e {
        fmt::from_fn(move |f| self.write_lines(f, name, owner))
    }

    fn write_lines(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &Namer,
        owner: &dyn Fn(u32) -> alloc::string::String,
    ) -> fmt::Result {
        writeln!(f, "place    {}+{:#x}", self.section, self.offset)?;
        writeln!(f, "type     {}", self.kind)?;
        write!(f, "symbol   ")?;
        match self.origin {
            Origin::None => f.write_str("none")?,
            Origin::Absolute => write!(f, "{}, a number", self.symbol)?,
            Origin::Toc => write!(f, "{}, this module's r2", self.symbol)?,
            Origin::Section { name, kept: true } if name == self.symbol => {
                write!(f, "{name}, a section")?;
            }
            Origin::Section { name, kept: true } => write!(f, "{}, in {name}", self.symbol)?,
            Origin::Section { name, kept: false } => {
                write!(f, "{}, in {name}, which is not in memory", self.symbol)?;
            }
            Origin::Hook => write!(f, "{}, the profiling hook", self.symbol)?,
            Origin::Outside(Owner::Kernel) => write!(f, "{}, of the kernel", self.symbol)?,
            Origin::Outside(Owner::Module(number)) => {
                write!(f, "{}, of module {}", self.symbol, owner(number))?;
            }
            Origin::Weak => write!(f, "{}, weak and nobody's", self.symbol)?,
            Origin::Missing => write!(f, "{}, which nobody exports", self.symbol)?,
        }
        f.write_char('\n')?;
        writeln!(f, "S        {:#x}", self.s)?;
        writeln!(f, "A        {}", Signed(self.a))?;
        if !self.kept {
            return write!(f, "after    nothing: {} is not in memory", self.section);
        }
        writeln!(f, "P        {}", self.p)?;
        if let Some((Value::FromToc | Value::Toc | Value::TocFromPlace, _)) = self.formula {
            writeln!(f, "TOC      {}", self.toc)?;
        }
        if let (Some((Value::Word, _)), Some(value)) = (self.formula, self.value()) {
            writeln!(
                f,
                "G        {}, which holds S{}",
                self.p.offset(value),
                if self.a == 0 { "" } else { " + A" }
            )?;
        }
        if let Some((Value::Branch, _)) = self.formula {
            if let Some(stub) = self.stub {
                writeln!(f, "T        {}, {} stub", stub.at, stub.kind)?;
            } else if self.local_entry != 0 {
                writeln!(f, "L        {:#x}, to the local entry", self.local_entry)?;
            }
        }
        let text = self.formula_text();
        match self.formula.map(|(_, field)| field.part()).filter(|part| !part.is_empty()) {
            Some(part) => writeln!(f, "formula  {part}({text})")?,
            None => writeln!(f, "formula  {text}")?,
        }
        if let Some(value) = self.value() {
            write!(f, "value    {text} = {}", Signed(value))?;
            let part = self.formula.and_then(|(_, field)| Some((field.part(), field.take(value)?)));
            match part {
                Some((part, bits)) => writeln!(f, ", {part} of it {bits:#x}")?,
                None => writeln!(f)?,
            }
        }
        if let Some((_, field)) = self.formula {
            writeln!(f, "field    {}", field.text())?;
        }
        if self.width() != 0 {
            writeln!(f, "before   {}", self.field(&self.before, name))?;
        }
        match &self.after {
            Err(error) => write!(f, "after    refused: {error}")?,
            Ok(_) if self.width() == 0 => f.write_str("after    as before: a mark for tools")?,
            Ok(after) => write!(f, "after    {}", self.field(after, name))?,
        }
        if let Some((before, after)) = self.also() {
            let at = self.p.offset(4);
            let (before_text, after_text) =
                (disassemble(at, before, None), disassemble(at, after, None));
            write!(
                f,
                "\nalso     {at}: {:08x} {before_text} -> {:08x} {after_text}",
                before.0, after.0
            )?;
        }
        Ok(())
    }
}

/// A number with its sign, in hexadecimal.
struct Signed(i64);

impl Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "+" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}
