//! Every module of a real kernel package goes through parse, layout and link.
//!
//! `TOCSIN_MODULES_DIR` names a directory of unpacked modules (`make test` sets
//! it); without it these tests say that they are skipped. Nothing of the package
//! is in this repository.

mod loader_common;

use loader_common::{FakeKernel, Module, modules_dir, walk_modules};
use tocsin::addr::Vaddr;
use tocsin::loader::paca_use;
use tocsin::loader::params::{self, ParamType, Store, Stored};
use tocsin::loader::{LinkOptions, Loaded, Modinfo, Object, SiteFault, SiteKind};

#[test]
fn every_module_of_the_package_links_near_and_far() {
    let Some(dir) = modules_dir() else { return };
    let (mut modules, mut relocations, mut sites, mut overridden, mut kept_nops) = (0, 0, 0, 0, 0);
    let mut refusals = Vec::new();
    for path in walk_modules(&dir) {
        let file = std::fs::read(&path).expect("readable");
        modules += 1;
        for exports_at in [0x1000_0000, 0xc008_0000_0000_0000] {
            let kernel = FakeKernel { exports_at };
            let loaded = match Module::load(&file, &kernel, &LinkOptions::default()) {
                Ok(loaded) => loaded,
                Err(error) => {
                    refusals.push(format!("{}: {error}", path.display()));
                    break;
                }
            };
            if exports_at != 0x1000_0000 {
                continue;
            }
            relocations += loaded.object.relocations().iter().map(|list| list.len()).sum::<usize>();
            sites += loaded.linked.sites.len();
            for refused in &loaded.linked.refused {
                assert_eq!(refused.fault, SiteFault::NotAtEntry, "{}", path.display());
            }
            overridden += loaded.linked.refused.len();
            assert_eq!(found_sites(&loaded), listed_sites(&loaded), "{}", path.display());
            let nop_behind = |offset: u32| {
                let at = offset as usize + 4;
                loaded.image[at..at + 4] == 0x6000_0000_u32.to_le_bytes()
            };
            for site in &loaded.linked.sites {
                assert_eq!(site.kind(), SiteKind::Profile, "{}", path.display());
                kept_nops += usize::from(nop_behind(site.offset()));
            }
        }
    }
    println!(
        "{modules} modules, {relocations} relocations, {sites} sites, {overridden} of overridden functions, {kept_nops} with a nop behind"
    );
    assert_eq!(refusals, Vec::<String>::new());
    assert_ne!(modules, 0, "no modules in {}", dir.display());
}

/// What the loader found, refused ones too: offsets from the base.
fn found_sites(loaded: &Loaded) -> Vec<u32> {
    let linked = &loaded.linked;
    let mut found: Vec<u32> = linked.sites.iter().map(|site| site.offset()).collect();
    found.extend(linked.refused.iter().map(|refused| refused.at));
    found.sort_unstable();
    found
}

/// What Linux's own tool (`recordmcount`) wrote down when the module was built.
fn listed_sites(loaded: &Loaded) -> Vec<u32> {
    let object = &loaded.object;
    let Some((index, _)) = object.section("__mcount_loc") else {
        return Vec::new();
    };
    let mut listed = Vec::new();
    for entry in object.relocations_of(index).expect("relocated").iter() {
        let symbol = object.symbol((entry.r_info >> 32) as u32).expect("in range");
        let section = loaded.layout.offset_of(symbol.st_shndx.into()).expect("kept");
        listed.push(section + (symbol.st_value as i64 + entry.r_addend) as u32);
    }
    listed.sort_unstable();
    listed
}

/// The file of module `name`, if the package is there.
fn module(name: &str) -> Option<Vec<u8>> {
    let path = walk_modules(&modules_dir()?).into_iter().find(|path| path.ends_with(name));
    Some(std::fs::read(path.expect("in the package")).expect("readable"))
}

const KERNEL: FakeKernel = FakeKernel { exports_at: 0x1000_0000 };

#[test]
fn crc7_takes_three_pages_and_offers_its_names() {
    let Some(file) = module("crc7.ko") else {
        return;
    };
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    assert!(loaded.layout.size <= 24 << 10);
    assert_eq!(loaded.layout.size, 3 << 12); // text, rodata, data
    let linked = &loaded.linked;
    let function = linked.functions.named(&loaded.object, "crc7_be").first().copied().unwrap();
    let exported = linked.exports.iter().find(|export| export.name == "crc7_be").unwrap();
    assert_eq!(exported.addr, function_addr(linked, function.at));
    assert_eq!(function.local_entry(&loaded.object), function.at + 8);
    let names: Vec<_> =
        linked.exports.iter().map(|export| (export.name, export.gpl_only)).collect();
    assert_eq!(names, [("crc7_be", false), ("crc7_be_syndrome_table", false)]);
    assert_eq!((linked.init, linked.sites.len()), (None, 0));
    assert!(linked.this_module.is_some());
    let info = Modinfo::of(&loaded.object);
    assert_eq!((info.licence(), info.name()), ("GPL", Some("crc7")));
    assert_eq!(info.depends().count(), 0);
}

fn function_addr(linked: &tocsin::loader::Linked, at: u32) -> Vaddr {
    linked.base.offset(at.into())
}

#[test]
fn the_largest_module_takes_its_sections_its_stubs_and_little_more() {
    let Some(file) = module("amdgpu.ko") else {
        return;
    };
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let allocated = loaded.object.sections().iter().filter(|section| section.is_alloc());
    let sections: u64 = allocated.map(|section| section.size()).sum();
    let stubs = loaded.layout.stubs.len + loaded.layout.targets.len;
    let tables = loaded.linked.sites.len() * size_of_val(&loaded.linked.sites[0])
        + loaded.linked.functions.len() * 8
        + loaded.linked.stubs.len() * 12;
    let all = loaded.layout.size + tables as u64;
    println!("sections {sections}, stubs {stubs}, image {}, tables {tables}", loaded.layout.size);
    assert!(all <= (sections + stubs) * 105 / 100, "{all}");
}

#[test]
fn a_parameter_of_a_real_module_is_stored_where_its_code_reads_it() {
    let Some(file) = module("dummy.ko") else {
        return;
    };
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let memory = params::Memory::Image { base: loaded.linked.base, image: &loaded.image };
    let list = params::list_params(&loaded.object, &loaded.layout, memory).unwrap();
    let param = params::find_param(&list, "numdummies").unwrap();
    assert_eq!(param.ops, KERNEL.address_of("param_ops_int"));
    let kind = |ops| (ops == param.ops).then(|| ParamType::of_export("param_ops_int")).flatten();
    let stores = params::plan_param(param, Some("5"), &kind, memory).unwrap();
    let (index, _) = loaded.object.section(".data").unwrap();
    let variable = loaded.linked.base.offset(loaded.layout.offset_of(index).unwrap().into());
    assert_eq!(stores, [Store { at: variable, what: Stored::Bytes(vec![5, 0, 0, 0]) }]);
    let types: Vec<_> = Modinfo::of(&loaded.object).parameter_types().collect();
    assert_eq!(types, [("numdummies", "int")]);
}

#[test]
fn every_table_of_parameters_and_exports_is_read() {
    let Some(dir) = modules_dir() else { return };
    let (mut exports, mut params) = (0, 0);
    for path in walk_modules(&dir) {
        let file = std::fs::read(&path).expect("readable");
        let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
        let memory = params::Memory::Image { base: loaded.linked.base, image: &loaded.image };
        let list = params::list_params(&loaded.object, &loaded.layout, memory);
        params += list.unwrap_or_else(|error| panic!("{}: {error}", path.display())).len();
        exports += loaded.linked.exports.len();
    }
    println!("{exports} exports, {params} parameters");
}

#[test]
fn only_kvm_reaches_into_other_places_of_the_per_cpu_block() {
    let Some(dir) = modules_dir() else { return };
    let mut names = Vec::new();
    let mut looked_at = 0;
    for path in walk_modules(&dir) {
        let file = std::fs::read(&path).expect("readable");
        let object = Object::parse(&file).expect("a module");
        let short = paca_use::code_len(&object) <= paca_use::LOOKED_AT_MAX;
        if !paca_use::other_places(&object).is_empty() {
            assert!(short, "insmod tells of it");
            names.push(path.file_stem().unwrap().to_str().unwrap().to_string());
        }
        looked_at += u32::from(short);
    }
    assert_eq!(names, ["kvm-hv", "kvm"]);
    assert!(looked_at > 3000, "insmod looks at nearly all: {looked_at}");
}
