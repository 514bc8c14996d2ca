//! Boot arguments and the shell's loop.
//!
//! ```text
//!  bootargs:  [interactive|unattended] [reboot] [audit] [console=...] [mmu=...] [cas]
//!             [-- COMMANDS]
//! ```
//!
//! They come from the firmware, and from a file on the boot medium (`media`).
//!
//! With the word `audit`, whatever modules there are at the end are audited: every
//! test does it. What has drifted is a failure, also of commands that went well.
//!
//! With commands the kernel runs them and powers off; without, or with the word
//! `interactive`, it then gives the prompt. The word `unattended`
//! means never, whatever the medium says. With `reboot` the machine starts again where
//! it would have powered off, also after a failure. `mmu=` and `cas`:
//! `mmu::negotiate`; `console=`: `machine::platform`, each in its own way.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::commands::Kernel;
use super::compat::seq;
use super::{audit, console, exports, initrd, jobs, livepatch, own, records, tab};
use crate::kprintln;
use crate::machine::lock::pause;
use crate::machine::platform::{self, MachineFacts, Platform};
use crate::machine::{smp, tick};
use crate::media;
use crate::shell::batch::{Batch, Ending, Outcome, Verdict};
use crate::shell::edit::{Editor, Event};
use crate::shell::error::Shown;
use crate::shell::screen;

const PROMPT: &[u8] = b"tocsin> ";
/// The same for a person: bold.
const BOLD_PROMPT: &[u8] = b"\x1b[1mtocsin>\x1b[0m ";

/// Runs what the boot arguments ask for; ends the machine with the verdict.
#[optimize(size)]
pub extern "C" fn run(facts: &MachineFacts) -> ! {
    let platform = platform::get().expect("the platform was found before the shell starts");
    let trouble = look_at_archive(facts);
    seq::set_cmdline(&facts.bootargs);
    records::init(facts.timebase_hz);
    tick::init(facts.timebase_hz);
    own::init();
    livepatch::init();
    tick::start();
    if let Some(lack) = facts.lack {
        kprintln!("boot: {lack}");
    }
    for hardware in smp::start_all(facts, jobs::secondary) {
        kprintln!("cpu: hardware number {hardware} did not come up");
    }
    exports::table(); // made now: `mem` shows no difference after the first insmod
    let (words, commands) = media::split(&facts.bootargs);
    words.split(u8::is_ascii_whitespace).for_each(look_at_word);
    let asked = |word: &str| media::find(words, word.as_bytes()).is_some();
    let unattended = asked("unattended");
    let interactive = asked("interactive") && !unattended;
    AUDITS.store(asked("audit"), Ordering::Relaxed);
    console::set_interactive(interactive);

    let mut kernel = Kernel { timebase_hz: facts.timebase_hz };
    let mut batch = Batch::new();
    let mut ending = Ending::Stopped;
    match &trouble {
        // What the commands count on is not there.
        Some(why) => {
            kprintln!("boot: {why}");
            batch.settle(b"boot", b"", false, Outcome::Failed(why.clone()));
        }
        None => {
            ending = commands.map_or(Ending::Finished, |script| batch.run(script, &mut kernel));
        }
    }
    let nothing_to_do = commands.is_none() && trouble.is_none();
    let ask = interactive || nothing_to_do && !unattended;
    let off = if asked("reboot") { Ending::Reboot } else { Ending::Poweroff };
    match ending {
        Ending::Poweroff | Ending::Reboot => finish(platform, batch.verdict(), ending),
        Ending::Finished | Ending::Stopped if ask => prompt(platform, &mut kernel, batch.verdict()),
        Ending::Finished | Ending::Stopped => finish(platform, batch.verdict(), off),
    }
}

/// Says if there is no such boot word; if it is like none of them, in the log alone.
#[optimize(size)]
fn look_at_word(word: &[u8]) {
    if let Some(remedy) = media::no_word(word) {
        console::set_quiet(remedy.is_empty());
        kprintln!("boot: {}: {remedy}there is no such word", Shown(word));
        console::set_quiet(false);
    }
}

/// Notes in the log what the machine was booted with; why that cannot be used.
fn look_at_archive(facts: &MachineFacts) -> Option<String> {
    let note = |line: String| console::log_bytes(format!("boot: {line}\n").as_bytes());
    let archive = initrd::init(facts.initrd);
    if !facts.bootpath.is_empty() {
        note(format!("from {}", facts.bootpath));
    }
    let (start, len) = facts.memory;
    note(format!("memory {:#x} to {:#x}, console {}", start.0, start.0 + len, facts.console));
    match facts.initrd {
        Some((start, len)) => {
            let from = &facts.archive_from;
            note(format!("archive {:#x}, {len} bytes, from {from}", start.0));
        }
        None => note(String::from("no archive of modules")),
    }
    let damage = archive.err().map(|damage| format!("{}: {damage}", facts.archive_from));
    facts.trouble.clone().or(damage)
}

/// The boot arguments want an audit before the end.
static AUDITS: AtomicBool = AtomicBool::new(false);

/// Prints the verdict and ends the machine as it says.
fn finish(platform: &dyn Platform, verdict: &Verdict, ending: Ending) -> ! {
    let mut faults = Vec::new();
    if AUDITS.load(Ordering::Relaxed) {
        faults = audit::all(None, &mut |line| kprintln!("audit: {line}"));
    }
    let drifted = Verdict::Failed(format!("audit at the end: {}", faults.join("; ")));
    let verdict = if faults.is_empty() || *verdict != Verdict::Ok { verdict } else { &drifted };
    crate::machine::ending::claim(); // one verdict, and nothing behind it
    console::fresh_line();
    kprintln!("{verdict}");
    match (verdict, ending) {
        (_, Ending::Reboot) => platform.reboot(),
        (Verdict::Ok, _) => platform.power_off(),
        (failed, _) => platform.fail(&failed.to_string()),
    }
}

/// Reads lines from the console and runs each, until `poweroff` or `reboot`. What a person
/// mistypes is no failure of the machine's: the verdict stays that of what came before.
#[optimize(size)]
fn prompt(platform: &dyn Platform, kernel: &mut Kernel, verdict: &Verdict) -> ! {
    let mut editor = Editor::new();
    let mut batch = Batch::new();
    let mut echo = |bytes: &[u8]| platform.console_write(bytes);
    let person = console::interactive();
    let prompt = if person { BOLD_PROMPT } else { PROMPT };
    let mut asked = false; // the key before was a Tab that left a choice
    if person {
        editor.set_window(console::columns() - PROMPT.len());
        echo(screen::ASK);
    }
    echo(prompt);
    loop {
        let mut typed = [0; 16];
        let len = console::read(&mut typed);
        if len == 0 {
            livepatch::settle();
            pause();
        }
        for byte in &typed[..len] {
            let event = editor.key(*byte, &mut echo);
            let again = core::mem::take(&mut asked);
            match event {
                Event::Complete if person => {
                    asked = tab::pressed(&mut editor, again, prompt, &mut echo);
                    continue;
                }
                Event::Clear if person => {
                    echo(screen::CLEAR);
                    echo(prompt);
                    editor.redraw(&mut echo);
                    continue;
                }
                Event::Size(rows, columns) if person => {
                    console::set_size(rows, columns);
                    editor.set_window(console::columns() - PROMPT.len());
                    continue;
                }
                Event::None | Event::Complete | Event::Clear | Event::Size(..) => continue,
                Event::Line => {
                    let line = editor.line().to_vec();
                    console::set_waiting(platform, person);
                    let ending = batch.run(&line, kernel);
                    console::set_waiting(platform, false);
                    if matches!(ending, Ending::Poweroff | Ending::Reboot) {
                        finish(platform, verdict, ending);
                    }
                }
                Event::Interrupt => {}
                Event::EndOfInput => finish(platform, verdict, Ending::Poweroff),
            }
            echo(prompt);
        }
    }
}
