//! The host tool `tocsin-ko`, run as a person would.

mod loader_common;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use loader_common::{compile, modules_dir, run as run_tool, temporary, walk_modules};
use serde_json::Value;

fn ko(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tocsin-ko"));
    command.args(words).stdin(Stdio::null()).output().expect("it was built")
}

fn text(words: &[&str]) -> (Option<i32>, String) {
    let output = ko(words);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

fn json(words: &[&str]) -> (Option<i32>, Value) {
    let (status, text) = text(&[words, &["--json"]].concat());
    (status, serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}")))
}

/// A module file of a compiled fixture, which imports names of nobody.
fn module(name: &str) -> String {
    compile("module.c", &["-mcmodel=medium", "-pg", "-mprofile-kernel"], name);
    temporary(name).into_os_string().into_string().expect("a plain path")
}

/// Assembles a few lines to a file, with a licence.
fn assembled(name: &str, source: &str) -> String {
    let (from, to) = (temporary(&format!("{name}.s")), temporary(name));
    let licence = ".section .modinfo,\"a\"\n.asciz \"license=GPL\"\n";
    std::fs::write(&from, format!("{source}{licence}")).expect("writable");
    run_tool("as", &["-o", to.to_str().unwrap(), from.to_str().unwrap()]);
    to.into_os_string().into_string().expect("a plain path")
}

/// Calls a name that the kernel exports, and `name`.
fn caller(file: &str, name: &str) -> String {
    let code = format!(
        ".abiversion 2\n.text\n.globl f\n.type f,@function\nf: bl strlen\n nop\n bl {name}\n nop\n blr\n"
    );
    assembled(file, &code)
}

/// Exports `name`, as Linux's macros do.
fn exporter(file: &str, name: &str) -> String {
    let code = format!(
        ".abiversion 2\n.text\n.globl {name}\n.type {name},@function\n{name}: blr\n\
         .section .strings,\"a\"\nn: .asciz \"{name}\"\n\
         .section __ksymtab,\"a\"\n.balign 8\n.quad {name}, n, 0\n"
    );
    assembled(file, &code)
}

#[test]
fn the_overview_says_what_is_in_a_module_and_why_it_would_not_load() {
    let file = caller("ko-overview.ko", "nobody_has_this");
    let (status, text) = text(&[&file]);
    assert_eq!(status, Some(1));
    assert!(text.contains("imports      2: missing 1, of kernel 1"), "{text}");
    assert!(text.contains("relocations  2: R_PPC64_REL24 (10) 2"), "{text}");
    assert!(text.contains("\nwould not load: unresolved: nobody_has_this;"), "{text}");
    let (status, json) = json(&[&file]);
    assert_eq!((status, &json["loads"]), (Some(1), &Value::Bool(false)));
    assert_eq!(json["name"], "ko_overview");
    assert_eq!(json["missing"][0]["name"], "nobody_has_this");
    assert_eq!(json["stubs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_module_that_needs_nothing_but_the_kernel_would_load() {
    let file = caller("ko-loads.ko", "memcpy");
    let (status, text) = text(&[&file]);
    assert_eq!(status, Some(0));
    assert!(text.ends_with("\nwould load\n"), "{text}");
    assert_eq!(json(&[&file]).1["loads"], true);
    assert_eq!(ko(&["check", &file]).status.code(), Some(0));
}

#[test]
fn others_that_are_loaded_first_have_what_it_wants() {
    let (user, other) = (caller("ko-user.ko", "ko_other"), exporter("ko-other.ko", "ko_other"));
    assert_eq!(text(&[&user]).0, Some(1));
    let (status, imports) = json(&["imports", &user, "--with", &other]);
    assert_eq!(status, Some(0));
    assert_eq!(imports["imports"][1]["from"], "ko_other");
    assert_eq!(text(&[&user, "--with", &other]).0, Some(0));
    // Together, in whatever order.
    let (status, checked) = json(&["check", &user, &other]);
    assert_eq!((status, &checked["files"][0]["why"]), (Some(0), &"after others".into()));
}

#[test]
fn every_relocation_of_the_list_can_be_explained() {
    let file = module("ko-relocs.ko");
    let (status, list) = json(&["relocs", &file]);
    assert_eq!(status, Some(0));
    let list = list["relocs"].as_array().expect("rows");
    assert!(list.len() > 20);
    for row in list.iter().step_by(5) {
        let number = row["number"].to_string();
        let one = json(&["relocs", &file, &number]).1;
        for column in ["place", "type", "value"] {
            assert_eq!(one["reloc"][0][column], row[column], "{number} {column}");
        }
        let text = text(&["relocs", &file, &number]).1;
        assert!(
            text.starts_with(&format!("place    {}", row["place"].as_str().unwrap())),
            "{text}"
        );
    }
    let past = (list.len() + 1).to_string();
    let output = ko(&["relocs", &file, &past]);
    assert_eq!(output.status.code(), Some(2));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.ends_with(&format!("relocation {past}: there are {}\n", list.len())), "{why}");
}

/// One of our modules as `make modules` builds it, if it has.
fn sample(name: &str) -> Option<String> {
    let path = format!("{}/target/modules/{name}.ko", env!("CARGO_MANIFEST_DIR"));
    let built = std::path::Path::new(&path).exists();
    if !built {
        println!("skipped: no modules in target/modules (make modules)");
    }
    built.then_some(path)
}

#[test]
fn an_export_in_a_namespace_is_for_those_that_import_it() {
    let Some(newer) = sample("newer") else { return };
    let sample = |name| sample(name).expect("built with newer");
    assert_eq!(text(&["check", "--with", &newer, &sample("newer_user")]).0, Some(0));
    let (status, refused) = text(&["check", "--with", &newer, &sample("outsider")]);
    let why = "newer_kept is in the namespace NEWER, which it does not import; add MODULE_IMPORT_NS(NEWER), or use --force";
    assert_eq!(status, Some(1));
    assert!(refused.contains(why), "{refused}");
    let (_, refused) = text(&[&sample("outsider"), "--with", &newer]);
    assert!(refused.contains(why), "{refused}");
    assert!(text(&["exports", &newer]).1.lines().any(|line| line.ends_with("newer_kept   NEWER")));
}

#[test]
fn an_export_of_another_version_is_refused_as_on_the_machine() {
    let (Some(newer), Some(stale)) = (sample("newer"), sample("newer_stale")) else { return };
    // As qemu/cases/versions.case has it.
    let why = "built with version 0x33333333 of newer_open, but newer has 0x22222222; build both for one kernel, or use --force";
    for words in [&["check", "--with", &newer, &stale][..], &[&stale, "--with", &newer]] {
        let (status, refused) = text(words);
        assert_eq!(status, Some(1), "{words:?}");
        assert!(refused.contains(why), "{refused}");
    }
    // In one folder, too, in whatever order.
    let (status, checked) = json(&["check", &stale, &newer]);
    assert_eq!((status, &checked["files"][0]["why"]), (Some(1), &why.into()));
    let info = text(&["info", &stale, "--with", &newer]).1;
    assert!(
        info.contains("2 imports with checksums; newer_open is another than newer's"),
        "{info}"
    );
}

#[test]
fn what_a_live_patch_borrows_may_come_later() {
    let Some(demo) = sample("demo") else { return };
    for patch in ["klp_made", "klp_late"] {
        let patch = sample(patch).expect("built with demo");
        let (status, shown) = text(&[&patch]);
        assert_eq!(status, Some(0));
        assert!(shown.ends_with("\nnote: waits for module demo\nwould load\n"), "{shown}");
        assert!(shown.contains("of demo 2"), "{shown}");
        let (status, checked) = json(&["check", &patch]);
        let why = &checked["files"][0]["why"];
        assert_eq!((status, why), (Some(0), &"waits for module demo".into()));
        assert_eq!(json(&["missing", &patch]).1["missing"], Value::Array(Vec::new()));
        let (_, checked) = json(&["check", "--with", &demo, &patch]);
        assert_eq!(checked["files"][0]["why"], Value::Null);
    }
}

#[test]
fn what_a_module_was_built_for_is_told_and_may_be_a_reason() {
    let built_for = |name: &str, vermagic: &str| {
        let code = format!(
            ".abiversion 2\n.text\n.globl f\nf: blr\n\
             .section .modinfo,\"a\"\n.asciz \"vermagic={vermagic}\"\n"
        );
        assembled(name, &code)
    };
    let other = built_for("ko-other-release.ko", "5.10.0-8-powerpc64le SMP mod_unload ");
    let fit = "built for Linux 5.10.0-8-powerpc64le, but structures are laid out here as in 6.1";
    let note = format!("{fit}; loaded all the same (should it fault, build it for 6.1)");
    let (status, shown) = text(&[&other]);
    assert_eq!(status, Some(0));
    assert!(shown.ends_with(&format!("\nnote: {note}\nwould load\n")), "{shown}");
    assert_eq!(json(&["check", &other]).1["files"][0]["why"], note.as_str());
    let fits = |file: &str| {
        let info = json(&["info", file]).1;
        let rows = info["info"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["key"] == "fits").map(|row| row["value"].clone())
    };
    assert_eq!(fits(&other), Some(fit.into()));
    let same = built_for("ko-same-release.ko", "6.1.0-50-powerpc64le SMP mod_unload ");
    assert_eq!(fits(&same), Some("built for Linux 6.1, whose layouts are used here".into()));
    assert!(!text(&[&same]).1.contains("note:"));
    assert_eq!(fits(&caller("ko-no-release.ko", "memcpy")), None);
    let unlicensed = temporary("ko-unlicensed.ko");
    let licensed = std::fs::read(&same).expect("readable");
    let at = licensed.windows(8).position(|bytes| bytes == b"license=").expect("there");
    let mut without = licensed.clone();
    without[at] = b'L';
    std::fs::write(&unlicensed, without).expect("writable");
    let note = "note: no MODULE_LICENSE, so no exports for GPL-compatible modules\nwould load\n";
    let shown = text(&[unlicensed.to_str().expect("a plain path")]).1;
    assert!(shown.ends_with(note), "{shown}");
    let random = built_for("ko-random.ko", "6.1.9 SMP mod_unload RANDSTRUCT_0123");
    let (status, refused) = text(&["check", &random]);
    assert_eq!(status, Some(1));
    assert!(
        refused.contains("in random order; build it without CONFIG_RANDSTRUCT, or use --force")
    );
}

#[test]
fn an_import_is_counted_and_the_layout_of_struct_module_is_none() {
    let versions = |file: &str, names: &[&str]| {
        let mut code = ".abiversion 2\n.text\nf: blr\n.section __versions,\"a\"\n".to_string();
        for name in names {
            code += &format!(".quad 1\n0: .asciz \"{name}\"\n.org 0b+56\n");
        }
        let info = json(&["info", &assembled(file, &code)]).1;
        let rows = info["info"].as_array().expect("rows").clone();
        rows.iter().find(|row| row["key"] == "versions").map(|row| row["value"].to_string())
    };
    assert_eq!(versions("ko-versions-0.ko", &["module_layout"]), None);
    let one = "\"1 import with a checksum, which does not differ from a loaded module's\"";
    assert_eq!(versions("ko-versions-1.ko", &["module_layout", "a"]).as_deref(), Some(one));
    let two = "\"2 imports with checksums, none differs from a loaded module's\"";
    assert_eq!(versions("ko-versions-2.ko", &["a", "module_layout", "b"]).as_deref(), Some(two));
}

#[test]
fn code_for_power10_alone_is_told() {
    let code = |insn| {
        format!(".abiversion 2\n.machine power10\n.text\nf: {insn}\n blr\n.data\nd: .quad 0\n")
    };
    let newer = assembled("ko-power10.ko", &code("pla 3, d@pcrel"));
    let (status, shown) = text(&[&newer]);
    assert_eq!(status, Some(0));
    let note = "only for POWER10 and later (CPU=power10): a prefixed instruction at .text+0x0";
    assert!(shown.ends_with(&format!("\nnote: {note}\nwould load\n")), "{shown}");
    assert_eq!(json(&["check", &newer]).1["files"][0]["why"], note);
    let older = assembled("ko-power8.ko", &code("addis 3, 2, d@toc@ha"));
    assert!(!text(&[&older]).1.contains("POWER10"));
}

#[test]
fn who_has_an_export_already_is_named() {
    let (first, second) = (exporter("ko-first.ko", "ko_both"), exporter("ko-second.ko", "ko_both"));
    let why = "exports ko_both, which module ko_first already does; remove the other or rename it";
    for words in [&["check", &second, "--with", &first][..], &[&second, "--with", &first]] {
        let (status, refused) = text(words);
        assert_eq!(status, Some(1));
        assert!(refused.contains(why), "{refused}");
    }
    // Either may be loaded.
    assert_eq!(text(&["check", &second, &first]).0, Some(0));
}

#[test]
fn what_comes_first_and_would_not_load_is_told() {
    let (fine, lacking) = (caller("ko-fine.ko", "memcpy"), caller("ko-lacking.ko", "nobody_has"));
    for command in ["check", "overview", "imports"] {
        let output = ko(&[command, &fine, "--with", &lacking]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let start = format!(
            "tocsin-ko: --with {lacking}: would not load: unresolved: nobody_has; \
             load the module that exports it first; insmod --link-only takes this one to be looked at, but never run"
        );
        assert_eq!(told.trim_end(), start);
    }
    // Two that cannot both be there.
    let (first, second) = (exporter("ko-1st.ko", "ko_two"), exporter("ko-2nd.ko", "ko_two"));
    let output = ko(&["check", &fine, "--with", &first, "--with", &second]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("which module ko_1st already does"));
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = temporary(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("writable");
    folder
}

#[test]
fn a_folder_is_counted_by_what_is_wrong_with_each_file_and_without_drafts() {
    let dir = folder("ko-reasons");
    let whole = std::fs::read(caller("ko-whole.ko", "memcpy")).expect("readable");
    let mut damaged = whole.clone();
    damaged[58] ^= 1; // e_shentsize
    let mut foreign = whole.clone();
    foreign[18] = 62; // e_machine
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let files: [(&str, &[u8]); 8] = [
        ("whole.ko", &whole),
        ("empty.ko", b""),
        ("cut.ko", &whole[..60]),
        ("damaged.ko", &damaged),
        ("foreign.ko", &foreign),
        ("text.ko", b"text"),
        ("packed.ko.gz", &gzip),
        ("build/whole.ko", &whole),
    ];
    std::fs::create_dir_all(dir.join("build")).expect("writable");
    files.iter().for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes).expect("writable"));
    let (status, checked) = json(&["check", dir.to_str().expect("a plain path")]);
    assert_eq!(status, Some(1));
    let rows: Vec<_> = checked["summary"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            (row["modules"].as_u64().expect("a number"), row["verdict"].as_str().expect("text"))
        })
        .collect();
    assert_eq!(
        rows,
        [
            (7, "in all"),
            (1, "would load"),
            (0, "would load after others of them"),
            (1, "would not: compression"),
            (1, "would not: damaged files"),
            (1, "would not: empty files"),
            (1, "would not: files that end too early"),
            (1, "would not: for another machine or ABI"),
            (1, "would not: not ELF files"),
        ]
    );
    let gzipped = dir.join("packed.ko.gz");
    let refused = text(&[gzipped.to_str().expect("a plain path")]).1;
    assert_eq!(
        refused,
        "would not load: compressed with gzip, which is not supported; gunzip it\n"
    );
    let empty = dir.join("empty.ko");
    let refused = text(&[empty.to_str().expect("a plain path")]).1;
    assert_eq!(refused, "would not load: the file is empty; copy it again, or build it\n");
}

#[test]
fn a_word_that_is_nothing_gets_the_nearest_that_is() {
    let file = caller("ko-words.ko", "memcpy");
    assert_eq!(text(&["modinfo", &file]), text(&["info", &file]));
    for (words, why) in [
        (&["modinof", &file][..], "modinof: neither a command nor a file (did you mean modinfo?)"),
        (&["reloc", &file], "reloc: neither a command nor a file (did you mean relocs?)"),
        (&["zzzzzz", &file], "zzzzzz: neither a command nor a file (--help lists them)"),
        (
            &["relocs", "foo", &file],
            "foo: neither a file nor a number (usage: relocs FILE [NUMBER])",
        ),
        (&["info", &file, "foo"], "foo: no such file or folder"),
        (&["no.ko"], "no.ko: no such file or folder"),
        (&[&file, "--wiht"], "--wiht: no such option (did you mean --with?)"),
    ] {
        let output = ko(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.trim_end(), format!("tocsin-ko: {why}"), "{words:?}");
    }
}

#[test]
fn every_view_is_text_and_json_alike() {
    let file = module("ko-views.ko");
    for view in ["info", "sections", "relocs", "stubs", "sites", "imports", "missing", "exports"] {
        let (status, table) = json(&[view, &file]);
        let rows = table[view].as_array().unwrap_or_else(|| panic!("{view}")).len();
        assert_eq!(status, Some(0), "{view}");
        assert_eq!(text(&[view, &file]).1.lines().count(), rows + 1, "{view}");
    }
}

#[test]
fn a_compressed_module_is_seen_as_it_is_unpacked_and_a_spoiled_one_is_refused() {
    let file = caller("ko-packed.ko", "memcpy");
    let status = Command::new("xz").args(["-kf", "--check=crc32", &file]).status();
    assert!(status.expect("install xz-utils").success());
    let packed = format!("{file}.xz");
    let (plain, unpacked) = (json(&[&file]).1, json(&[&packed]).1);
    assert_eq!(unpacked["compression"], "xz");
    for view in ["name", "loads", "sections", "stubs", "imports"] {
        assert_eq!(plain[view], unpacked[view], "{view}");
    }
    let bytes = std::fs::read(&packed).expect("readable");
    std::fs::write(&packed, &bytes[..bytes.len() - 9]).expect("writable");
    let (status, text) = text(&[&packed]);
    assert_eq!(status, Some(1));
    assert!(text.contains("would not load: the compressed file ends too early"), "{text}");
}

#[test]
fn what_is_no_module_has_a_reason_and_what_is_no_file_another_status() {
    let file = temporary("ko-text.ko").into_os_string().into_string().unwrap();
    std::fs::write(&file, "no module\n").expect("writable");
    let (status, text) = text(&[&file]);
    assert_eq!(status, Some(1));
    assert!(text.starts_with("would not load: not an ELF file"), "{text}");
    for words in [&["/no/such/file.ko"][..], &[], &["--what"], &["relocs", "--with"]] {
        let output = ko(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"tocsin-ko: "), "{words:?}");
    }
    assert_eq!(ko(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_folder_of_real_modules_is_counted_by_reason() {
    let Some(dir) = modules_dir() else { return };
    let files = walk_modules(&dir);
    let dir: PathBuf = dir;
    let (status, checked) = json(&["check", dir.to_str().expect("a plain path")]);
    assert_eq!(status, Some(1));
    let rows = checked["summary"].as_array().expect("rows");
    let count = |row: &Value| row["modules"].as_u64().expect("a number");
    assert_eq!(count(&rows[0]), files.len() as u64);
    assert_eq!(rows[1..].iter().map(count).sum::<u64>(), files.len() as u64);
    let loads = |name: &str| {
        let mut rows = checked["files"].as_array().expect("rows").iter();
        let row = rows.find(|row| row["file"].as_str().is_some_and(|file| file.ends_with(name)));
        row.expect("in the package")["loads"].clone()
    };
    // Those that qemu/test_registered.py runs on the machine, as the README counts them.
    let listed = include_str!("../qemu/debian-runs.list").lines();
    let listed: Vec<_> = listed.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let all = checked["files"].as_array().expect("rows").iter();
    let mut loading: Vec<_> = all
        .filter(|row| row["loads"] == true)
        .filter_map(|row| row["file"].as_str()?.rsplit('/').next()?.strip_suffix(".ko"))
        .collect();
    loading.sort_unstable();
    assert_eq!(loading, listed);
    let counted = format!("{} find everything\nthat they import", listed.len());
    assert!(include_str!("../README.md").contains(&counted), "{counted}");
    // Debian's modules that the kernel's own tests load, and one that it cannot.
    assert_eq!((loads("/crc7.ko"), loads("/libarc4.ko")), (true.into(), true.into()));
    assert_eq!(loads("/kvm.ko"), false);
}
