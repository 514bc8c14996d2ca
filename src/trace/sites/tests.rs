//! The table with two modules: `scsi` with an early, a late and a patchable site
//! (and a function without one), `crc7` without any.
use super::*;
use crate::isa::Insn;
use crate::loader::Name;
use crate::patch::engine::{self, CodeMem};
use crate::patch::journal::Journal;
use crate::patch::model::Model;
use crate::trace::filter::Filter;
use std::string::ToString;

const BASE: Vaddr = Vaddr(0x1_0000);
const PROFILE: u32 = 0x400;
const OOL: u32 = 0x500;
const REDIRECT: Vaddr = Vaddr(0x1_0600);

pub(in crate::trace) struct Symbols {
    indexed: bool,
}

const SCSI: [(&str, Range<u64>); 4] = [
    ("scsi_add", 0x1_0000..0x1_0100),
    ("scsi_late", 0x1_0100..0x1_0200),
    ("scsi_patchable", 0x1_0200..0x1_0300),
    ("scsi_notrace", 0x1_0300..0x1_0380),
];

impl Symbols {
    pub(in crate::trace) fn name(&self, module: ModuleId, function: u32) -> &'static str {
        assert!(!self.indexed, "the index should have been asked");
        assert_eq!(module.0, 0, "only scsi has sites");
        SCSI[function as usize].0
    }
}

impl Functions for Symbols {
    fn names_of(
        &self,
        module: ModuleId,
        functions: &[u32],
        prefix: &[u8],
        visit: &mut dyn FnMut(usize, &str),
    ) {
        for (place, function) in functions.iter().enumerate() {
            let name = self.name(module, *function);
            if name.as_bytes().starts_with(prefix) {
                visit(place, name);
            }
        }
    }

    fn each(&self, module: ModuleId, prefix: &[u8], visit: &mut dyn FnMut(&str)) {
        let names: Vec<_> = match module.0 {
            0 => SCSI.iter().map(|(name, _)| *name).collect(),
            _ => ["crc7_be", "crc7_be_byte"].into(),
        };
        names.into_iter().filter(|it| it.as_bytes().starts_with(prefix)).for_each(visit);
    }

    fn ranges(
        &self,
        module: ModuleId,
        wanted: &Name<'_>,
        see: &mut dyn FnMut(Range<Vaddr>),
    ) -> bool {
        let found =
            SCSI.iter().filter(|(name, _)| module.0 == 0 && *name == wanted.text().unwrap());
        found.for_each(|(_, range)| see(Vaddr(range.start)..Vaddr(range.end)));
        self.indexed
    }
}

pub(in crate::trace) const PLAIN: Symbols = Symbols { indexed: false };

pub(in crate::trace) fn table() -> SiteTable {
    let mut table = SiteTable::new();
    let sites = [
        CallSite::new(0x00c, SiteKind::Profile, 0, PROFILE),
        CallSite::new(0x150, SiteKind::Late, 1, PROFILE),
        CallSite::new(0x208, SiteKind::Patchable, 2, OOL),
    ];
    for (name, base, sites) in [("scsi", BASE, &sites[..]), ("crc7", Vaddr(0x2_0000), &[])] {
        let profile = base.offset(PROFILE.into());
        table
            .add(NewModule { name: name.into(), base, sites: sites.into(), profile, own: false })
            .unwrap();
    }
    table
}

fn names(table: &SiteTable, words: &[&str]) -> (Vec<u32>, Vec<String>) {
    let filter = Filter::parse(words.iter().copied()).unwrap();
    let selection = table.select(&filter, &PLAIN);
    let offsets = selection.sites().map(|id| (table.row(id).unwrap().at.0 - BASE.0) as u32);
    (offsets.collect(), selection.misses.iter().map(ToString::to_string).collect())
}

#[test]
fn a_filter_selects_sites_in_ascending_order() {
    let table = table();
    assert_eq!(names(&table, &[]).0, [0x00c, 0x150, 0x208]);
    assert_eq!(names(&table, &["scsi_*", "!*late"]), ([0x00c, 0x208].into(), [].into()));
    assert_eq!(names(&table, &["scsi:scsi_add"]), ([0x00c].into(), [].into()));
}

/// Names that begin in no word's way are not even asked for.
#[test]
fn what_words_begin_with_leaves_nothing_out() {
    let table = table();
    let all = [0x00c, 0x150, 0x208];
    assert_eq!(names(&table, &["scsi_a*", "*_late", "scsi_p*"]).0, all);
    assert_eq!(names(&table, &["scsi_l*", "scsi_patch*"]).0, all[1..]);
    assert_eq!(names(&table, &["s*", "!scsi_l*", "scsi_add"]).0, [0x00c, 0x208]);
    assert_eq!(names(&table, &["!scsi_l*"]).0, [0x00c, 0x208]);
    // A word may be overruled everywhere, and still means something.
    assert_eq!(names(&table, &["scsi_l*", "!*"]), ([].into(), [].into()));
    assert_eq!(names(&table, &["scsi_x*", "s*"]).1.len(), 1);
}

#[test]
fn a_word_that_means_no_site_says_why() {
    let table = table();
    let why = |word| names(&table, &["scsi_add", word]).1.join("|");
    assert_eq!(
        why("crc7*"),
        "crc7*: crc7_be (and 1 more) has no call site: module crc7's file has none, compiled without \
         -mprofile-kernel or patchable entries (its vermagic tells of the kernel, not of it)"
    );
    assert_eq!(
        why("scsi_notrace"),
        "scsi_notrace: scsi_notrace has no call site: it is notrace, or assembly, in module scsi"
    );
    assert_eq!(why("nothing"), "nothing: no loaded function has such a name");
    assert_eq!(why("scsi:crc7*"), "scsi:crc7*: no loaded function has such a name");
    assert_eq!(why("ext4:*"), "ext4:*: no such module is loaded (see lsmod)");
    // What takes away need not match anything.
    assert_eq!(why("!nothing"), "");
}

#[test]
fn a_literal_name_is_found_through_the_index() {
    let table = table();
    let select = |words: &[&str]| {
        let filter = Filter::parse(words.iter().copied()).unwrap();
        table.select(&filter, &Symbols { indexed: true })
    };
    let found = select(&["scsi_late", "scsi_add", "scsi_late"]);
    let at: Vec<_> = found.sites().map(|id| table.row(id).unwrap().at).collect();
    assert_eq!(at, [BASE.offset(0x00c), BASE.offset(0x150)]);
    assert!(found.misses.is_empty());
    assert_eq!(select(&["scsi_notrace"]).misses.len(), 1);
}

#[test]
fn sites_are_found_by_address_and_by_range() {
    let table = table();
    assert!(table.find(BASE.offset(0x150)).is_some());
    for beside in [0x0, 0x008, 0x010, 0x14c, 0x154, 0x20c, 0x2_0000] {
        assert_eq!(table.find(BASE.offset(beside)), None);
    }
    let first = |from, to| table.first_in(BASE.offset(from)..BASE.offset(to));
    assert_eq!(first(0x0, 0x10), table.find(BASE.offset(0x00c)));
    assert_eq!(first(0xc, 0x10), table.find(BASE.offset(0x00c)));
    assert_eq!(first(0x0, 0xc), None);
    assert_eq!(first(0x10, 0x1000), table.find(BASE.offset(0x150)));
    assert_eq!(first(0x20c, 0x1000), None);
}

#[test]
fn a_record_is_traced_back_to_its_site() {
    let mut table = table();
    let early = table.find(BASE.offset(0x00c)).unwrap();
    let patchable = table.find(BASE.offset(0x208)).unwrap();
    assert_eq!(table.hooked_site(BASE.offset(0x010)), Some(early));
    assert_eq!(table.hooked_site(BASE.offset(i64::from(OOL) + 8)), Some(patchable));
    assert_eq!(table.hooked_site(REDIRECT.offset(4)), None);
    assert!(table.set_redirect_stub(early, REDIRECT));
    assert_eq!(table.hooked_site(REDIRECT.offset(4)), Some(early));
    assert_eq!(table.hooked_site(Vaddr(0)), None);
    assert!(!table.set_redirect_stub(early, REDIRECT.offset(64)), "a stub stays");
}

#[test]
fn a_redirect_stub_can_be_taken_back_only_while_no_call_goes_there() {
    let mut table = table();
    let early = table.find(BASE.offset(0x00c)).unwrap();
    assert!(!table.take_redirect_stub(early), "there is none");
    assert!(table.set_redirect_stub(early, REDIRECT));
    for on in [true, false] {
        let plan = table.plan("test", [early.into()].into(), Change::Redirect(on)).unwrap();
        assert_eq!(plan.changed.count(), 1);
        table.commit(&plan.changed);
        assert_eq!(table.take_redirect_stub(early), !on);
        assert!(table.set_redirect_stub(early, REDIRECT));
    }
    assert!(table.take_redirect_stub(early));
    assert_eq!(table.row(early).unwrap().plan.redirect, None);
}

#[test]
fn a_plan_changes_text_and_the_table_together() {
    let mut table = table();
    let early = table.find(BASE.offset(0x00c)).unwrap();
    assert!(table.set_redirect_stub(early, REDIRECT));
    // Memory as the loader leaves it: all nops, and an out-of-line call.
    let text = (0x1_0000..0x1_0700).step_by(4).map(|at| (Vaddr(at), Insn::NOP));
    let rest: Vec<_> = table.all().filter_map(|id| table.row(id)).collect();
    let rest = rest.iter().flat_map(|row| row.plan.words(SiteState::OFF).unwrap());
    let rest = rest.flatten().map(|word| (word.at, word.insn.insn()));
    let mut mem = Model::new(text.chain(rest));
    let mut journal = Journal::<8>::new();

    let mut run = |table: &mut SiteTable, sites: Vec<SiteId>, change| {
        let Plan { batch, changed } =
            table.plan("test", sites.into_iter().map(Run::from).collect(), change).unwrap();
        let words = if change == Change::Trace(true) {
            let more = table.switches::<true>(&changed);
            engine::apply_all(&mut mem, &mut journal, 0, batch, &more)
        } else {
            let more = table.switches::<false>(&changed);
            engine::apply_all(&mut mem, &mut journal, 0, batch, &more)
        };
        let words = words.unwrap();
        assert_eq!(words == 0, changed.count() == 0);
        table.commit(&changed);
        (words, table.counts(None))
    };
    let all: Vec<_> = table.all().collect();
    let counts = |traced, redirected| Counts { sites: 3, traced, redirected };
    let on = Change::Trace(true);
    assert_eq!(run(&mut table, all.clone(), on), (3, counts(3, 0)));
    assert_eq!(run(&mut table, all.clone(), on), (0, counts(3, 0)), "already so");
    let early_only = [early].to_vec();
    assert_eq!(run(&mut table, early_only.clone(), Change::Redirect(true)), (2, counts(3, 1)));
    assert_eq!(run(&mut table, all.clone(), Change::Trace(false)), (3, counts(0, 1)));
    assert_eq!(run(&mut table, early_only, Change::Redirect(false)), (1, counts(0, 0)));
    for row in table.all().filter_map(|id| table.row(id)) {
        assert_eq!(mem.read(row.at), Some(Insn::NOP));
    }
    assert_eq!(journal.written(), 4);
}

#[test]
fn a_late_site_refuses_the_whole_redirect() {
    let table = table();
    let late = table.find(BASE.offset(0x150)).unwrap();
    let error = table.plan("test", [late.into()].into(), Change::Redirect(true)).unwrap_err();
    assert!(matches!(error, PlanError::State(StateError::Late { .. })));
}

#[test]
fn modules_come_once_sorted_and_go_for_good() {
    let mut table = table();
    let module = |name: &str, sites: &[u32]| NewModule {
        name: name.into(),
        base: Vaddr(0x3_0000),
        sites: sites.iter().map(|at| CallSite::new(*at, SiteKind::Profile, 0, 0)).collect(),
        profile: Vaddr(0x3_0000),
        own: false,
    };
    assert_eq!(table.add(module("scsi", &[])), Err(AddError::Duplicate));
    for unsorted in [[8, 4], [8, 8]] {
        let at = Vaddr(0x3_0000 + u64::from(unsorted[1]));
        assert_eq!(table.add(module("new", &unsorted)), Err(AddError::Unsorted { at }));
    }
    let high = NewModule { base: Vaddr(0xffff_fffc), ..module("new", &[0, 4]) };
    assert_eq!(table.add(high), Err(AddError::TooHigh { at: Vaddr(0x1_0000_0000) }));
    let far = CallSite::new(4, SiteKind::Profile, 0, 0x200_0004);
    let far = NewModule { sites: [far].into(), ..module("new", &[]) };
    assert!(matches!(table.add(far), Err(AddError::OutOfReach { at: Vaddr(0x3_0004), .. })));
    let id = table.add(module("new", &[4, 8])).unwrap();
    let site = table.find(Vaddr(0x3_0004)).unwrap();
    assert!(table.remove(id));
    assert!(!table.remove(id));
    assert_eq!(table.find(Vaddr(0x3_0004)), None);
    let error = table.plan("test", [site.into()].into(), Change::Trace(true)).unwrap_err();
    assert_eq!(error, PlanError::Gone(site));
    let again = table.add(module("new", &[4])).unwrap();
    assert_ne!(again, id);
}
