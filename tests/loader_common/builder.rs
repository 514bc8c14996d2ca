//! Small ELF files made by hand, for what no compiler writes.
//!
//! Sections and symbols are numbered from 1, in the order they are added; the
//! symbol table and both string tables come last.

/// Section flags.
pub const WRITE: u64 = 1;
/// See [`WRITE`].
pub const ALLOC: u64 = 2;
/// See [`WRITE`].
pub const CODE: u64 = 4;

/// A file in the making.
#[derive(Clone, Default)]
pub struct Builder {
    sections: Vec<Section>,
    symbols: Vec<[u8; 24]>,
    names: Vec<u8>,
}

/// A section; every field can be set to nonsense.
#[derive(Clone, Default)]
pub struct Section {
    pub name: &'static str,
    pub kind: u32,
    pub flags: u64,
    pub data: Vec<u8>,
    pub link: u32,
    pub info: u32,
    pub align: u64,
    pub entry: u64,
    /// Size to state, if not that of the data.
    pub size: Option<u64>,
}

impl Builder {
    /// Adds a section with `words`.
    pub fn section(&mut self, name: &'static str, flags: u64, words: &[u32]) -> u16 {
        let data = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.raw(Section { name, kind: 1, flags, data, align: 4, ..Section::default() })
    }

    /// Adds a section as it is.
    pub fn raw(&mut self, section: Section) -> u16 {
        self.sections.push(section);
        self.sections.len() as u16
    }

    /// Adds a global symbol; section 0 makes it undefined.
    pub fn symbol(&mut self, name: &str, kind: u8, section: u16, value: u64, other: u8) -> u32 {
        if self.names.is_empty() {
            self.names.push(0);
        }
        let at = self.names.len() as u32;
        self.names.extend(name.bytes());
        self.names.push(0);
        let mut raw = [0; 24];
        raw[..4].copy_from_slice(&at.to_le_bytes());
        raw[4] = 0x10 | kind;
        raw[5] = other;
        raw[6..8].copy_from_slice(&section.to_le_bytes());
        raw[8..16].copy_from_slice(&value.to_le_bytes());
        self.symbols.push(raw);
        self.symbols.len() as u32
    }

    /// Makes a symbol local, global or weak (`STB_*`).
    pub fn bind(&mut self, symbol: u32, binding: u8) {
        let info = &mut self.symbols[symbol as usize - 1][4];
        *info = *info & 15 | binding << 4;
    }

    /// Adds relocations for section `target`: offset, type, symbol, addend.
    pub fn relocations(&mut self, target: u16, entries: &[(u64, u32, u32, i64)]) -> u16 {
        let mut data = Vec::new();
        for &(offset, kind, symbol, addend) in entries {
            data.extend(offset.to_le_bytes());
            data.extend((u64::from(symbol) << 32 | u64::from(kind)).to_le_bytes());
            data.extend(addend.to_le_bytes());
        }
        let info = target.into();
        self.raw(Section {
            name: ".rela",
            kind: 4,
            data,
            info,
            align: 8,
            entry: 24,
            ..Section::default()
        })
    }

    /// The section number `index`, to spoil it.
    pub fn at(&mut self, index: u16) -> &mut Section {
        &mut self.sections[usize::from(index) - 1]
    }

    /// The file.
    pub fn build(mut self) -> Vec<u8> {
        if self.names.is_empty() {
            self.names.push(0);
        }
        let count = self.sections.len() as u32;
        let (symtab, strtab) = (count + 1, count + 2);
        for section in &mut self.sections {
            if section.kind == 4 && section.link == 0 {
                section.link = symtab;
            }
        }
        let mut symbols = vec![0; 24];
        symbols.extend(self.symbols.concat());
        self.sections.push(Section {
            name: ".symtab",
            kind: 2,
            data: symbols,
            link: strtab,
            info: 1,
            align: 8,
            entry: 24,
            ..Section::default()
        });
        let names = std::mem::take(&mut self.names);
        self.sections.push(Section { name: ".strtab", kind: 3, data: names, ..Section::default() });
        self.sections.push(Section { name: ".shstrtab", kind: 3, ..Section::default() });
        let mut names = vec![0];
        let mut name_at = Vec::new();
        for section in &self.sections {
            name_at.push(names.len() as u32);
            names.extend(section.name.bytes());
            names.push(0);
        }
        self.sections.last_mut().expect("just pushed").data = names;

        let mut file = vec![0; 64];
        let mut headers = vec![0; 64];
        for (section, name) in self.sections.iter().zip(name_at) {
            let size = section.size.unwrap_or(section.data.len() as u64);
            for word in [name, section.kind] {
                headers.extend(word.to_le_bytes());
            }
            for double in [section.flags, 0, file.len() as u64, size] {
                headers.extend(double.to_le_bytes());
            }
            for word in [section.link, section.info] {
                headers.extend(word.to_le_bytes());
            }
            for double in [section.align, section.entry] {
                headers.extend(double.to_le_bytes());
            }
            file.extend(&section.data);
        }
        let table = file.len() as u64;
        file.extend(headers);
        file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        file[20] = 1;
        file[16..18].copy_from_slice(&1_u16.to_le_bytes());
        file[18..20].copy_from_slice(&21_u16.to_le_bytes());
        file[20] = 1;
        file[40..48].copy_from_slice(&table.to_le_bytes());
        file[48] = 2;
        file[52] = 64;
        file[58] = 64;
        file[60..62].copy_from_slice(&(self.sections.len() as u16 + 1).to_le_bytes());
        file[62..64].copy_from_slice(&(self.sections.len() as u16).to_le_bytes());
        file
    }
}
