//! Every module of a real kernel package goes through parse, layout and link.
//!
//! `TOCSIN_MODULES_DIR` names a directory of unpacked modules (`make test` sets
//! it); without it these tests say that they are skipped. Nothing of the package
//! is in this repository.

mod loader_common;

use loader_common::{FakeKernel, Module, modules_dir, walk_modules};
use tocsin::loader::{LinkOptions, Loaded, SiteFault, SiteKind};

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
