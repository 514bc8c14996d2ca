//! What there is to see in a module: a [`Table`] for each subject.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use tocsin::addr::Vaddr;
use tocsin::ksyms::readable::readable;
use tocsin::loader::explain::formula::Value;
use tocsin::loader::explain::{Explained, Lens, Origin};
use tocsin::loader::stubs::StubKind;
use tocsin::loader::{
    Group, Layout, Loaded, Modinfo, Need, Object, Owner, RelocName, SiteKind, versions,
};

use crate::file::LOOK;
use crate::table::{Cell, Table};
use crate::world::{MODULE_BASE, World, abi};

/// A module, linked to be looked at.
pub struct View<'v, 'f> {
    /// It.
    pub module: &'v Loaded<'f>,
    /// What it was linked against.
    pub world: &'v World,
}

/// What each subject is called, and what it shows.
type Subject = fn(&View) -> Table;
/// All of them, in the order of the output.
pub const SUBJECTS: [(&str, Subject); 8] = [
    ("info", |view| view.info()),
    ("sections", |view| view.sections()),
    ("relocs", |view| view.relocs()),
    ("stubs", |view| view.stubs()),
    ("sites", |view| view.sites()),
    ("imports", |view| view.imports()),
    ("missing", |view| view.missing()),
    ("exports", |view| view.exports()),
];

fn hex(at: Vaddr) -> Cell {
    Cell::Hex(at.0)
}

impl View<'_, '_> {
    fn object(&self) -> &Object<'_> {
        &self.module.object
    }

    fn symbol(&self, index: u32) -> String {
        let name = self.object().symbol(index).map_or("?", |symbol| self.object().name(&symbol));
        readable(name).into_owned()
    }

    /// What the module says of itself, and whether that fits here: the machine's `modinfo`.
    fn info(&self) -> Table {
        let mut table = Table::new("info", &["key", "value"]);
        for (key, value) in Modinfo::of(self.object()).iter() {
            table.row([key.into(), value.into()]);
        }
        let mismatch = self.world.mismatch(self.object(), |_| true);
        let mismatch = mismatch.as_ref().map(|(found, owner)| (*found, owner.as_str()));
        for (key, text) in versions::explain(self.object(), mismatch) {
            table.row([key.into(), text.into()]);
        }
        table
    }

    fn sections(&self) -> Table {
        let columns = &["number", "name", "group", "address", "size", "align", "rights"];
        let mut table = Table::new("sections", columns);
        for (index, section) in self.object().sections().iter().enumerate().skip(1) {
            let offset = self.module.layout.offset_of(index);
            let group = offset.map(|_| group_name(Layout::group_of(section)));
            let rights = match (section.is_code(), section.is_writable()) {
                (true, _) => "r-x",
                (false, true) => "rw-",
                (false, false) => "r--",
            };
            table.row([
                index.into(),
                section.name.into(),
                group.into(),
                offset.map(|offset| hex(MODULE_BASE.offset(offset.into()))).into(),
                Cell::Number(section.size()),
                Cell::Number(section.header.sh_addralign),
                offset.map(|_| rights).into(),
            ]);
        }
        table
    }

    fn relocs(&self) -> Table {
        let columns =
            &["number", "place", "type", "symbol", "addend", "formula", "value", "before", "after"];
        let mut table = Table::new("relocs", columns);
        self.each_reloc(|it| {
            let plain = |_: Vaddr, _: &mut fmt::Formatter<'_>| Ok(());
            let part = it.formula.map_or("", |(_, field)| field.part());
            let formula = match part {
                "" => it.formula_text().to_string(),
                part => format!("{part}({})", it.formula_text()),
            };
            let after = match &it.after {
                _ if !it.kept => "not in memory".into(),
                Err(error) => error.to_string(),
                Ok(after) => it.field(after, &plain).to_string(),
            };
            table.row([
                it.number.into(),
                format!("{}+{:#x}", it.section, it.offset).into(),
                it.kind.to_string().into(),
                readable(it.symbol).into_owned().into(),
                Cell::Signed(it.a),
                formula.into(),
                it.value().filter(|_| it.kept).map(Cell::Signed).into(),
                it.field(&it.before, &plain).to_string().into(),
                after.into(),
            ]);
        });
        table
    }

    fn each_reloc(&self, mut see: impl FnMut(&Explained)) {
        let Some(lens) = self.lens() else { return };
        for number in 1..=lens.len() {
            if let Some(explained) = lens.explain(number) {
                see(&explained);
            }
        }
    }

    fn lens(&self) -> Option<Lens<'_, '_>> {
        let Loaded { object, layout, .. } = self.module;
        // What was linked can be bound again.
        Lens::new(object, layout, MODULE_BASE, self.world, &abi(), &LOOK).ok()
    }

    /// One relocation, explained: as text and as a table of one row.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn reloc(&self, number: usize) -> Result<(String, Table), String> {
        let lens = self.lens().ok_or("its symbols cannot be bound")?;
        let it = lens.explain(number);
        let it = it.ok_or_else(|| format!("relocation {number}: there are {}", lens.len()))?;
        let names = self.names();
        let name = move |to: Vaddr, f: &mut fmt::Formatter<'_>| match names.get(&to.0) {
            Some(name) => write!(f, " <{name}>"),
            None => Ok(()),
        };
        let text = it.lines(&name, &|number| self.world.module(number)).to_string();
        let columns = &[
            "number", "place", "type", "symbol", "from", "S", "A", "P", "TOC", "L", "T", "formula",
            "part", "value", "field", "before", "after", "also", "refused",
        ];
        let mut table = Table::new("reloc", columns);
        let from = match it.origin {
            Origin::Section { name, .. } => name.to_string(),
            Origin::Outside(Owner::Kernel) => "the kernel".into(),
            Origin::Outside(Owner::Module(number)) => self.world.module(number),
            Origin::Hook => "the kernel".into(),
            Origin::Weak | Origin::Missing => "nobody".into(),
            Origin::None | Origin::Absolute | Origin::Toc => "-".into(),
        };
        let is_branch = it.formula.is_some_and(|(value, _)| value == Value::Branch);
        let also = it.also().map(|(before, after)| format!("{:08x} -> {:08x}", before.0, after.0));
        let after = it.after.as_ref().ok();
        table.row([
            it.number.into(),
            format!("{}+{:#x}", it.section, it.offset).into(),
            it.kind.to_string().into(),
            it.symbol.into(),
            from.into(),
            Cell::Hex(it.s),
            Cell::Signed(it.a),
            hex(it.p),
            hex(it.toc),
            Some(Cell::Hex(it.local_entry.into())).filter(|_| is_branch).into(),
            it.stub.map(|stub| hex(stub.at)).into(),
            it.formula_text().into(),
            it.formula.map(|(_, field)| field.part()).filter(|part| !part.is_empty()).into(),
            it.value().map(Cell::Signed).into(),
            it.formula.map(|(_, field)| field.text()).into(),
            it.field(&it.before, &name).to_string().into(),
            after.map(|after| it.field(after, &name).to_string()).into(),
            also.into(),
            it.after.as_ref().err().map(ToString::to_string).into(),
        ]);
        Ok((text, table))
    }

    /// Functions and stubs by address, at their entries.
    fn names(&self) -> HashMap<u64, String> {
        let mut names = HashMap::new();
        for function in self.module.linked.functions.iter() {
            let (at, local) = (function.at, function.local_entry(self.object()));
            let name = self.symbol(function.symbol);
            if local != at {
                let at = MODULE_BASE.offset(local.into()).0;
                names.entry(at).or_insert_with(|| format!("{name}+{:#x}", local - function.at));
            }
            names.entry(MODULE_BASE.offset(at.into()).0).or_insert(name);
        }
        for stub in self.module.linked.stubs.iter() {
            names.insert(stub.at.0, format!("stub to {}", self.stub_owner(stub.kind, stub.owner)));
        }
        names
    }

    fn stub_owner(&self, kind: StubKind, owner: u32) -> String {
        if kind == StubKind::OutOfLine {
            let site = self.module.linked.sites.get(owner as usize);
            return site.map_or_else(|| "?".into(), |site| self.symbol(site.function()));
        }
        self.symbol(owner)
    }

    fn stubs(&self) -> Table {
        let mut calls: HashMap<u64, u64> = HashMap::new();
        self.each_reloc(|it| {
            if let Some(stub) = it.stub {
                *calls.entry(stub.at.0).or_default() += 1;
            }
        });
        for site in &self.module.linked.sites {
            *calls.entry(site.stub(MODULE_BASE).0).or_default() += 1;
        }
        let mut table = Table::new("stubs", &["address", "kind", "calls", "from", "symbol"]);
        for stub in self.module.linked.stubs.iter() {
            let symbol = self.stub_owner(stub.kind, stub.owner);
            let inside =
                self.object().symbol(stub.owner).is_some_and(|symbol| symbol.st_shndx != 0);
            let from = match stub.kind {
                StubKind::OutOfLine => Some("this module".into()),
                _ if inside => Some("this module".into()),
                _ => self.world.owner(&symbol),
            };
            table.row([
                hex(stub.at),
                stub.kind.to_string().into(),
                Cell::Number(calls.get(&stub.at.0).copied().unwrap_or(0)),
                from.into(),
                symbol.into(),
            ]);
        }
        table
    }

    fn sites(&self) -> Table {
        let mut table = Table::new("sites", &["address", "kind", "function", "not used because"]);
        for site in &self.module.linked.sites {
            let kind = site_kind(site.kind());
            let function = self.symbol(site.function());
            table.row([hex(site.at(MODULE_BASE)), kind.into(), function.into(), Cell::None]);
        }
        for refused in &self.module.linked.refused {
            let function = self.module.linked.functions.at(refused.at);
            table.row([
                hex(MODULE_BASE.offset(refused.at.into())),
                "refused".into(),
                function.map(|function| self.symbol(function.symbol)).into(),
                refused.fault.to_string().into(),
            ]);
        }
        table
    }

    fn imports(&self) -> Table {
        self.undefined("imports", |_| true)
    }

    fn missing(&self) -> Table {
        self.undefined("missing", |owner| owner.is_none())
    }

    fn undefined(&self, name: &'static str, wanted: impl Fn(Option<&str>) -> bool) -> Table {
        let mut uses: HashMap<u32, u64> = HashMap::new();
        for list in self.object().relocations() {
            for entry in list.iter() {
                *uses.entry((entry.r_info >> 32) as u32).or_default() += 1;
            }
        }
        let mut table = Table::new(name, &["name", "uses", "weak", "from"]);
        for (index, symbol, name) in imports(self.object()) {
            let owner = self.world.owner(name);
            if wanted(owner.as_deref()) {
                let uses = uses.get(&index).copied().unwrap_or(0);
                let weak = Cell::Flag(symbol.st_info >> 4 == 2);
                table.row([name.into(), Cell::Number(uses), weak, owner.into()]);
            }
        }
        table
    }

    fn exports(&self) -> Table {
        let mut table = Table::new("exports", &["address", "gpl only", "name", "namespace"]);
        for export in &self.module.linked.exports {
            let namespace = Some(export.namespace).filter(|it| !it.is_empty());
            let gpl_only = Cell::Flag(export.gpl_only);
            table.row([hex(export.addr), gpl_only, export.name.into(), namespace.into()]);
        }
        table
    }

    /// Everything in a few lines.
    pub fn overview(&self) -> Table {
        let Loaded { object, layout, linked, image } = self.module;
        let info = Modinfo::of(object);
        let mut table = Table::new("overview", &["subject", "value"]);
        let mut fact = |subject: &str, value: Cell| table.row([subject.into(), value]);
        for key in ["license", "description", "depends", "vermagic"] {
            if let Some(value) = info.get(key).filter(|value| !value.is_empty()) {
                fact(key, value.into());
            }
        }
        let groups = Group::ALL.map(|group| (group_name(group), layout.group(group).len));
        let groups = groups.iter().filter(|(_, len)| *len != 0);
        let groups: Vec<_> = groups.map(|(name, len)| format!("{name} {len}")).collect();
        fact("memory", format!("{} bytes: {}", image.len(), groups.join(", ")).into());
        let need = Need::of(object).with(layout).bytes();
        fact("heap", format!("at most {need} bytes while it is loaded").into());
        let kinds = object.relocations().iter().flat_map(|list| list.iter());
        fact("relocations", counts(kinds.map(|entry| RelocName(entry.r_info as u32).to_string())));
        fact("functions", linked.functions.len().into());
        fact("stubs", counts(linked.stubs.iter().map(|stub| stub.kind.to_string())));
        let sites = linked.sites.iter().map(|site| site_kind(site.kind()).to_string());
        let refused = linked.refused.iter().map(|_| "refused".to_string());
        fact("call sites", counts(sites.chain(refused)));
        let owners = imports(object).map(|(_, _, name)| {
            self.world.owner(name).map_or_else(|| "missing".into(), |owner| format!("of {owner}"))
        });
        fact("imports", counts(owners));
        fact("exports", linked.exports.len().into());
        table
    }
}

/// Names that the module wants from others, with their symbols.
pub fn imports<'f>(
    object: &Object<'f>,
) -> impl Iterator<Item = (u32, goblin::elf64::sym::Sym, &'f str)> {
    let named = (0..).zip(object.symbols()).skip(1).filter(|(_, symbol)| symbol.st_shndx == 0);
    let named: Vec<_> =
        named.map(|(index, symbol)| (index, symbol, object.name(&symbol))).collect();
    named.into_iter().filter(|(_, _, name)| !matches!(*name, "" | ".TOC."))
}

/// How many there are, and how many of each.
fn counts(words: impl Iterator<Item = String>) -> Cell {
    let mut each: BTreeMap<String, usize> = BTreeMap::new();
    words.for_each(|word| *each.entry(word).or_default() += 1);
    let all: usize = each.values().sum();
    if all == 0 {
        return all.into();
    }
    let each: Vec<_> = each.iter().map(|(word, count)| format!("{word} {count}")).collect();
    format!("{all}: {}", each.join(", ")).into()
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::InitData => "init data",
        Group::InitText => "init text",
        Group::Text => "text",
        Group::Rodata => "rodata",
        Group::Data => "data",
    }
}

fn site_kind(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Profile => "profile",
        SiteKind::ProfileStd => "profile-std",
        SiteKind::Late => "late",
        SiteKind::Patchable => "patchable",
    }
}
