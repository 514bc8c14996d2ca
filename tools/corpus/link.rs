//! Links modules on the host as a machine has linked them: the same library, to
//! run at the same addresses, against the same exports.
//!
//! ```text
//!  corpus-link FACTS        then, on stdin, a line for each module:  BASE PATH
//!                           on stdout:  a line for each section, as `sections`
//!                                       prints it but without a digest,
//!                                       `image LENGTH` and that many bytes,
//!                           or          `refused REASON`
//! ```
//!
//! FACTS is a file of lines that `corpus.py` has made from what the machine said:
//! `fact NAME NUMBER` (the fields of `StubAbi`, the two hooks) and `export NAME
//! ADDRESS`. A name that is not exported is bound to a trap, as `insmod
//! --link-only` does. What the bytes should be is not asked here: `model.py` does,
//! which shares nothing with this library.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use tocsin::addr::Vaddr;
use tocsin::loader::stubs::StubAbi;
use tocsin::loader::{self, KernelAbi, LinkOptions, Loaded, Owner, Resolved, Resolver};
use tocsin::memory::PAGE;

const USAGE: &str = "corpus-link FACTS, with lines `BASE PATH` on stdin";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [facts] = arguments.as_slice() else {
        eprintln!("corpus-link: one file of facts is needed (usage: {USAGE})");
        return ExitCode::FAILURE;
    };
    match run(facts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("corpus-link: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(facts: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(facts).map_err(|why| format!("{facts}: {why}"))?;
    let machine = Machine::parse(&text).map_err(|why| format!("{facts}: {why}"))?;
    let abi = machine.abi()?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|why| format!("stdin: {why}"))?;
        let (base, path) =
            line.split_once(' ').ok_or_else(|| format!("{line}: not a base and a path"))?;
        let base = Vaddr(number(base)?);
        let file = std::fs::read(path).map_err(|why| format!("{path}: {why}"))?;
        let options = LinkOptions { link_only: true, ..LinkOptions::default() };
        let written = match loader::load(&file, PAGE, |_| base, &machine, &abi, &options) {
            Ok(loaded) => write_image(&mut out, &loaded),
            Err(error) => writeln!(out, "refused {error}"),
        };
        written.and_then(|()| out.flush()).map_err(|why| format!("stdout: {why}"))?;
    }
    Ok(())
}

fn write_image(out: &mut impl Write, loaded: &Loaded) -> io::Result<()> {
    let (layout, base) = (&loaded.layout, loaded.linked.base);
    let mut row = |number: &str, offset: u64, size: u64, name: &str| {
        writeln!(out, "{number} {} {size} - {name}", base.offset(offset.cast_signed()))
    };
    for (index, section) in loaded.object.sections().iter().enumerate() {
        if let Some(offset) = layout.offset_of(index) {
            row(&index.to_string(), offset.into(), section.size(), section.name)?;
        }
    }
    row("-", layout.stubs.offset, layout.stubs.len, "(stubs)")?;
    row("-", layout.targets.offset, layout.targets.len, "(targets)")?;
    row("-", 0, layout.size, "(image)")?;
    row("-", layout.toc, 0, "(toc)")?;
    writeln!(out, "image {}", loaded.image.len())?;
    out.write_all(&loaded.image)
}

/// What a machine has said of itself.
#[derive(Default)]
struct Machine {
    facts: HashMap<String, u64>,
    exports: HashMap<String, u64>,
}

impl Machine {
    fn parse(text: &str) -> Result<Self, String> {
        let mut machine = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(kind), Some(name), Some(value), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(format!("{line}: not three words"));
            };
            let table = match kind {
                "fact" => &mut machine.facts,
                "export" => &mut machine.exports,
                _ => return Err(format!("{kind}: neither fact nor export")),
            };
            table.insert(name.into(), number(value)?);
        }
        Ok(machine)
    }

    fn fact(&self, name: &str) -> Result<u64, String> {
        self.facts.get(name).copied().ok_or_else(|| format!("the machine did not say its {name}"))
    }

    fn abi(&self) -> Result<KernelAbi, String> {
        let offset = |name: &str| {
            let found = self.fact(&format!("paca_{name}"))?;
            u16::try_from(found).map_err(|_| format!("paca_{name}: {found:#x} is no offset"))
        };
        Ok(KernelAbi {
            stubs: StubAbi {
                kernel_toc: Vaddr(self.fact("kernel_toc")?),
                module_toc: Vaddr(0),
                paca_toc: offset("kernel_toc")?,
                paca_sibling: offset("sibling")?,
                paca_shadow_sp: offset("shadow_sp")?,
                paca_shadow_limit: offset("shadow_limit")?,
                paca_shadow_return: offset("shadow_return")?,
            },
            mcount: Vaddr(self.fact("mcount")?),
            mcount_late: Vaddr(self.fact("mcount_late")?),
            prefixed: true,
        })
    }
}

impl Resolver for Machine {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let addr = Vaddr(*self.exports.get(name)?);
        Some(Resolved { addr, owner: Owner::Kernel, gpl_only: false })
    }
}

fn number(word: &str) -> Result<u64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("{word}: not a number"))
}
