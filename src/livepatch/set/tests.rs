//! A system with a kernel and two modules; each function's site is its entry + 8.
use super::super::desc::{Code, Site};
use super::*;
use std::string::ToString;
use std::vec;

struct System {
    loaded: Vec<&'static str>,
}

/// Module, name, entry, whether its site is early, late or missing.
const FUNCTIONS: [(Option<&str>, &str, u64, Option<bool>); 8] = [
    (None, "printk", 0x100, Some(false)),
    (Some("demo"), "answer", 0x1000, Some(false)),
    (Some("demo"), "late", 0x1100, Some(true)),
    (None, "<tocsin::machine::text::Engine>::parts", 0x5100, Some(false)),
    (Some("demo"), "notrace", 0x1200, None),
    (Some("demo"), "twin", 0x1300, Some(false)),
    (Some("demo"), "twin", 0x1400, Some(false)),
    (Some("crc7"), "crc7_be", 0x2000, None),
];

impl World for System {
    fn is_loaded(&self, module: &str) -> bool {
        self.loaded.contains(&module)
    }

    fn functions(&self, module: Option<&str>, name: &str) -> Vec<Vaddr> {
        assert!(module.is_none_or(|name| self.is_loaded(name)));
        let named = FUNCTIONS.iter().filter(|f| f.0 == module && f.1 == name);
        named.map(|f| Vaddr(f.2)).collect()
    }

    fn site_of(&self, entry: Vaddr) -> Option<Site> {
        let (_, _, entry, late) = *FUNCTIONS.iter().find(|f| f.2 == entry.0)?;
        Some(Site { at: Vaddr(entry + 8), late: late? })
    }

    fn code_at(&self, _patch: &str, at: Vaddr) -> Code {
        match at {
            Vaddr(0x1234) => Code::None,
            Vaddr(0x9004) => Code::Inside("fix".into()),
            _ => Code::Entry,
        }
    }

    fn has_sites(&self, module: Option<&str>) -> bool {
        FUNCTIONS.iter().any(|f| f.0 == module && f.3.is_some())
    }
}

fn system() -> System {
    System { loaded: vec!["demo", "crc7"] }
}

fn object(module: &str, funcs: &[(&str, u64, u32)]) -> ObjectDesc {
    let func = |(name, new, sympos): &(&str, u64, u32)| FuncDesc {
        old_name: (*name).into(),
        new_func: Vaddr(*new),
        sympos: *sympos,
    };
    let module = (!module.is_empty()).then(|| module.into());
    ObjectDesc { module, funcs: funcs.iter().map(func).collect() }
}

fn patch(name: &str, replace: bool, objects: Vec<ObjectDesc>) -> PatchDesc {
    PatchDesc { name: name.into(), replace, objects }
}

fn enable(set: &mut LivePatches, id: PatchId) -> Vec<String> {
    let plan = set.plan_enable(id, &system(), Missing::Refuse).unwrap();
    let steps = shown(&plan);
    set.commit(plan).unwrap();
    steps
}

fn disable(set: &mut LivePatches, id: PatchId) -> Vec<String> {
    let plan = set.plan_disable(id).unwrap();
    let steps = shown(&plan);
    set.commit(plan).unwrap();
    steps
}

/// The steps, one short text each.
fn shown(plan: &Plan) -> Vec<String> {
    let show = |step: &PlanStep| match step {
        PlanStep::Arrive { target, before, after } => {
            format!("{} {before:?}..{after:?}", target.name.name)
        }
        PlanStep::Redirect { target, to } => {
            assert_eq!(target.site, target.entry.offset(8));
            std::format!("{} to {to}", target.name)
        }
        PlanStep::Retarget { target, from, to } => std::format!("{} {from} to {to}", target.name),
        PlanStep::Restore { target, from } => std::format!("{} back from {from}", target.name),
    };
    plan.steps().iter().map(show).collect()
}

#[test]
fn the_patch_enabled_last_wins_and_gives_back_to_the_one_below() {
    let mut set = LivePatches::new();
    let fix = |name, new| patch(name, false, vec![object("demo", &[("answer", new, 0)])]);
    let one = set.register(fix("one", 0x9000)).unwrap();
    let two = set.register(fix("two", 0xa000)).unwrap();
    assert_eq!(enable(&mut set, one), ["demo:answer to 0x9000"]);
    assert_eq!(enable(&mut set, two), ["demo:answer 0x9000 to 0xa000"]);
    assert_eq!(set.replacement(Vaddr(0x1000)).unwrap().1, Vaddr(0xa000));
    let status: Vec<_> = set.status().map(|s| (s.name, s.functions, s.on_top)).collect();
    assert_eq!(status, [("one", 1, 0), ("two", 1, 1)]);
    assert_eq!(disable(&mut set, two), ["demo:answer 0xa000 to 0x9000"]);
    assert_eq!(disable(&mut set, one), ["demo:answer back from 0x9000"]);
    assert_eq!(set.replacement(Vaddr(0x1000)), None);
}

#[test]
fn a_patch_under_another_goes_without_a_change_in_text() {
    let mut set = LivePatches::new();
    let fix = |name, new| patch(name, false, vec![object("demo", &[("answer", new, 0)])]);
    let one = set.register(fix("one", 0x9000)).unwrap();
    let two = set.register(fix("two", 0xa000)).unwrap();
    enable(&mut set, one);
    enable(&mut set, two);
    assert!(disable(&mut set, one).is_empty());
    assert_eq!(disable(&mut set, two), ["demo:answer back from 0xa000"]);
    // And it may come again, now on top.
    assert_eq!(enable(&mut set, one), ["demo:answer to 0x9000"]);
}

#[test]
fn a_replacing_patch_takes_over_all_and_gives_back_the_rest() {
    let mut set = LivePatches::new();
    let old = vec![object("demo", &[("answer", 0x9000, 0)]), object("", &[("printk", 0x9100, 0)])];
    let old = set.register(patch("old", false, old)).unwrap();
    let new = vec![object("demo", &[("answer", 0xa000, 0), ("twin", 0xa100, 2)])];
    let new = set.register(patch("new", true, new)).unwrap();
    enable(&mut set, old);
    assert_eq!(
        enable(&mut set, new),
        ["demo:answer 0x9000 to 0xa000", "demo:twin to 0xa100", "kernel:printk back from 0x9100",]
    );
    assert!(!set.is_enabled(old) && set.is_enabled(new));
    assert_eq!(
        disable(&mut set, new),
        ["demo:answer back from 0xa000", "demo:twin back from 0xa100"]
    );
}

#[test]
fn functions_that_cannot_be_patched_are_refused_with_the_reason() {
    let refusal = |module: &str, funcs: &[(&str, u64, u32)]| {
        let mut set = LivePatches::new();
        let id = set.register(patch("fix", false, vec![object(module, funcs)])).unwrap();
        let refusal = set.plan_enable(id, &system(), Missing::Refuse).unwrap_err().to_string();
        assert_eq!(set.stacks.0.len() + set.enabled.len(), 0);
        refusal
    };
    assert_eq!(
        refusal("ext4", &[("f", 0x1234, 0)]),
        "ext4:f: its replacement 0x1234 is no code of fix (set new_func to one of its functions)"
    );
    assert_eq!(
        refusal("demo", &[("answer", 0x9004, 0)]),
        "demo:answer: its replacement 0x9004 is in the middle of fix (set new_func to fix itself)"
    );
    assert_eq!(
        refusal("", &[("schedule", 0x9000, 0)]),
        "kernel:schedule: no such function (misspelt, inlined, or Linux's: sites tocsin:* has the \
         kernel's)"
    );
    assert_eq!(refusal("ext4", &[("f", 0x9000, 0)]), "module ext4 is not loaded");
    assert_eq!(
        refusal("demo", &[("f", 0x9000, 0)]),
        "demo:f: no such function (misspelt, or inlined: see available_filter_functions)"
    );
    assert_eq!(
        refusal("demo", &[("twin", 0x9000, 0)]),
        "demo:twin: 2 functions have that name, say which by old_sympos"
    );
    assert_eq!(
        refusal("demo", &[("twin", 0x9000, 3)]),
        "demo:twin: old_sympos is 3, but of that name there are 1 to 2"
    );
    assert_eq!(
        refusal("demo", &[("notrace", 0x9000, 0)]),
        "demo:notrace: no call site: it is notrace, or assembly (patch its callers instead)"
    );
    assert_eq!(
        refusal("crc7", &[("crc7_be", 0x9000, 0)]),
        "crc7:crc7_be: no call site: the module was built without -mprofile-kernel or patchable \
         entries"
    );
    assert_eq!(
        refusal("", &[("<tocsin::machine::text::Engine>::parts", 0x9000, 0)]),
        "kernel:<tocsin::machine::text::Engine>::parts: runs while code is traced or changed, by \
         what a patch relies on (replace what calls it)"
    );
    assert_eq!(
        refusal("demo", &[("late", 0x9000, 0)]),
        "demo:late: its call site stands behind the prologue, too late to redirect; build it \
         with -mprofile-kernel"
    );
    assert_eq!(
        refusal("demo", &[("answer", 0x9000, 0), ("answer", 0x9100, 1)]),
        "demo:answer: replaced twice by the same patch (leave one out)"
    );
    assert_eq!(
        refusal("demo", &[("answer", 0x1000, 0)]),
        "demo:answer: replaced by itself (set new_func to another function)"
    );
}

#[test]
fn what_patching_relies_on_is_in_the_path_under_each_of_its_names_and_so_are_libraries() {
    for name in [
        "tocsin::kernel::tracing::redirect",
        "tocsin::kernel::modules::find",
        "tocsin::mmu::radix::index",
        "<tocsin::sorted::SortedMap<u32, tocsin::addr::Vaddr>>::get::<u32>",
        "<tocsin::machine::text::Engine as core::fmt::Debug>::fmt",
        "<&str as core::fmt::Display>::fmt",
        "alloc::raw_vec::finish_grow",
        // tocsin::patch::apply
        "_RNvNtCs9DzdQh44P4I_6tocsin5patch5apply",
    ] {
        assert!(is_in_the_path(name), "{name}");
    }
    for name in ["tocsin::kernel::compat::print::printk", "tocsin::kernel::tracing_x", "strlen"] {
        assert!(!is_in_the_path(name), "{name}");
    }
}

#[test]
fn the_nth_function_of_a_name_is_meant_in_the_order_of_addresses() {
    for (sympos, entry) in [(1, 0x1300), (2, 0x1400)] {
        let mut set = LivePatches::new();
        let funcs = object("demo", &[("twin", 0x9000, sympos)]);
        let id = set.register(patch("fix", false, vec![funcs])).unwrap();
        enable(&mut set, id);
        assert!(set.replacement(Vaddr(entry)).is_some());
    }
}

#[test]
fn a_patch_is_enabled_once_and_disabled_once() {
    let mut set = LivePatches::new();
    let fix = || patch("fix", false, vec![object("demo", &[("answer", 0x9000, 0)])]);
    let id = set.register(fix()).unwrap();
    assert_eq!(set.register(fix()), Err(Refusal::Duplicate));
    assert_eq!(set.plan_disable(id).unwrap_err(), Refusal::NotEnabled);
    enable(&mut set, id);
    let again = set.plan_enable(id, &system(), Missing::Refuse).unwrap_err();
    assert_eq!(again, Refusal::AlreadyEnabled);
    assert_eq!(set.unregister(id), Err(Refusal::Enabled));
    disable(&mut set, id);
    assert_eq!(set.plan_disable(id).unwrap_err(), Refusal::NotEnabled);
    assert_eq!(set.unregister(id), Ok(()));
    assert_eq!(set.unregister(id), Err(Refusal::UnknownPatch));
    assert_eq!(set.plan_disable(id).unwrap_err(), Refusal::UnknownPatch);
    assert_ne!(set.register(fix()).unwrap(), id);
}

#[test]
fn a_plan_made_before_another_was_committed_is_stale() {
    let mut set = LivePatches::new();
    let fix = |name, new| patch(name, false, vec![object("demo", &[("answer", new, 0)])]);
    let one = set.register(fix("one", 0x9000)).unwrap();
    let two = set.register(fix("two", 0xa000)).unwrap();
    let plan = set.plan_enable(one, &system(), Missing::Refuse).unwrap();
    enable(&mut set, two);
    assert_eq!(set.commit(plan), Err(Refusal::Stale));
    assert!(!set.is_enabled(one));
}

#[test]
fn a_module_that_comes_late_is_patched_by_all_in_their_order() {
    let mut set = LivePatches::new();
    let nothing = System { loaded: vec![] };
    for (name, new) in [("one", 0x9000), ("two", 0xa000)] {
        let fix = patch(name, false, vec![object("demo", &[("answer", new, 0)])]);
        let id = set.register(fix).unwrap();
        let plan = set.plan_enable(id, &nothing, Missing::Wait).unwrap();
        assert_eq!((plan.steps().len(), plan.waiting()), (0, &["demo".to_string()][..]));
        set.commit(plan).unwrap();
    }
    assert_eq!(set.patches_of("demo").collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(set.patches_of("crc7").count(), 0);
    for _ in 0..2 {
        let plan = set.plan_coming("demo", &system()).unwrap();
        assert_eq!(shown(&plan), ["demo:answer to 0xa000"]);
        set.commit(plan).unwrap();
        assert_eq!(set.replacement(Vaddr(0x1000)).unwrap().1, Vaddr(0xa000));
        set.module_gone("demo");
        assert_eq!(set.replacement(Vaddr(0x1000)), None);
    }
    let plan = set.plan_disable(set.find("two").unwrap()).unwrap();
    assert!(plan.steps().is_empty());
}

#[test]
fn descriptions_that_make_no_sense_are_not_taken() {
    let refuse = |desc| match LivePatches::new().register(desc) {
        Err(Refusal::Malformed(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let answer = || object("demo", &[("answer", 0x9000, 0)]);
    let named = |objects| patch("fix", false, objects);
    assert_eq!(refuse(patch("", false, vec![answer()])), Fault::NoName);
    assert_eq!(refuse(named(vec![])), Fault::NoObjects);
    let module = Some("demo".to_string());
    let bare = named(vec![object("demo", &[])]); // may be there for its callbacks
    assert!(LivePatches::new().register(bare).is_ok());
    assert_eq!(refuse(named(vec![answer(), answer()])), Fault::ObjectTwice { module });
    assert_eq!(refuse(named(vec![object("demo", &[("", 0x9000, 0)])])), Fault::NoName);
    for new in [0, 0x9002] {
        let fault = refuse(named(vec![object("demo", &[("answer", new, 0)])]));
        assert!(matches!(fault, Fault::BadReplacement(_)));
    }
}

/// What each CPU runs in between is in two states, which `reverse` exchanges.
#[test]
fn a_transition_can_be_turned_round_and_a_module_may_come_in_the_middle() {
    let mut set = LivePatches::new();
    let objects = || vec![object("demo", &[("answer", 0x9000, 0)])];
    let low = set.register(patch("low", false, objects())).unwrap();
    let objects = vec![object("demo", &[("answer", 0x9100, 0)]), object("crc7", &[])];
    let high = set.register(patch("high", true, objects)).unwrap();
    enable(&mut set, low);
    let plan = set.plan_enable(high, &system(), Missing::Wait).unwrap();
    set.begin(plan).unwrap();
    assert!(set.in_transition() && set.is_enabled(high) && set.was_enabled(low));
    assert_eq!(set.unregister(low), Err(Refusal::Enabled), "some CPUs run it");
    assert_eq!(set.plan_disable(high).map(|_| ()), Err(Refusal::Busy));
    let now = |set: &LivePatches| set.replacement(Vaddr(0x1000)).map(|(_, to)| to.0);
    assert_eq!(now(&set), Some(0x9100));

    set.module_gone("demo");
    let plan = set.plan_coming("demo", &system()).unwrap();
    let arrives = format!("answer {:?}..{:?}", Some(Vaddr(0x9000)), Some(Vaddr(0x9100)));
    assert_eq!(shown(&plan), [arrives]);
    set.begin(plan).unwrap();
    assert_eq!(now(&set), Some(0x9100));
    set.reverse();
    assert_eq!(now(&set), Some(0x9000));
    set.finish();
    assert!(set.is_enabled(low) && !set.is_enabled(high) && set.unregister(high).is_ok());
}
