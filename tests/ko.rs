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

/// Assembles a few lines to a file.
fn assembled(name: &str, source: &str) -> String {
    let (from, to) = (temporary(&format!("{name}.s")), temporary(name));
    std::fs::write(&from, source).expect("writable");
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

#[test]
fn an_export_in_a_namespace_is_for_those_that_import_it() {
    let sample = |name: &str| format!("{}/target/modules/{name}.ko", env!("CARGO_MANIFEST_DIR"));
    let newer = sample("newer");
    if !std::path::Path::new(&newer).exists() {
        println!("skipped: no modules in target/modules (make modules)");
        return;
    }
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
    // Debian's modules that the kernel's own tests load, and one that it cannot.
    assert_eq!((loads("/crc7.ko"), loads("/libarc4.ko")), (true.into(), true.into()));
    assert_eq!(loads("/kvm.ko"), false);
}
