//! One body for each command of the shell.
//!
//! `shell::command` says what can be asked for; a body here does it, prints one
//! fact a line, and answers how it ended. A body never prints why it failed: the
//! batch rules do, with the command's name in front.

pub mod call;
mod dis;
mod explain;
mod faults;
mod look;
mod modules;
mod patch;
mod registered;
mod relocs;
mod sections;
mod step;

use alloc::string::String;

use super::modules::Failure;
use super::{files, graph, livepatch, probes, records, tracefs, tracing};
use crate::addr::Vaddr;
use crate::kprint;
use crate::kprintln;
use crate::machine::spr::timebase;
use crate::machine::{boot, tick};
use crate::shell::batch::{Host, Outcome};
use crate::shell::command::{Command, LivepatchAction, TraceAction};
use crate::shell::table;

/// The host that the batch rules run commands on: this kernel.
pub struct Kernel {
    /// Ticks of the time base in a second.
    pub timebase_hz: u64,
}

/// What most bodies answer.
type Done = Result<(), Failure>;

fn outcome(done: Done) -> Outcome {
    match done {
        Ok(()) => Outcome::Done,
        Err(Failure::Refused(why)) => Outcome::Failed(why),
        Err(Failure::Oops(why)) => Outcome::Oops(why),
    }
}

impl Host for Kernel {
    fn print_line(&mut self, line: &str) {
        kprintln!("{line}");
    }

    fn complain(&mut self, line: &str) {
        super::console::complain(line);
    }

    fn run(&mut self, command: &Command) -> Outcome {
        super::compat::kernel::update_jiffies();
        tick::forget_asked(); // a Ctrl-C was for the command before
        let before = livepatch::settle();
        let done = self.carry_out(command);
        // A callback that came late is no part of the command, but a fault all the same.
        match before.or(livepatch::settle()) {
            Some(cause) if !matches!(done, Err(Failure::Oops(_))) => Outcome::Oops(cause),
            _ => outcome(done),
        }
    }

    fn quiet(&mut self, on: bool) {
        super::console::set_quiet(on);
    }

    fn micros(&self) -> u64 {
        let micros = u128::from(timebase()) * 1_000_000 / u128::from(self.timebase_hz.max(1));
        micros as u64
    }

    fn rounds(&mut self, done: u64, of: u64) {
        super::console::count(done, of);
    }

    fn interrupted(&mut self) -> bool {
        super::console::look_for_interrupt();
        tick::end_was_asked()
    }
}

impl Kernel {
    #[optimize(size)]
    fn carry_out(&self, command: &Command) -> Done {
        match command {
            Command::Insmod { module, link_only, force, stubs, params } => {
                modules::insmod(module, *link_only, *force, *stubs, params)
            }
            Command::Rmmod { module } => super::modules::rmmod(module),
            Command::Lsmod { verbose } => modules::lsmod(*verbose),
            Command::Modinfo { module } => modules::modinfo(module),
            Command::Modprobe { module, params } => modules::modprobe(module, params),
            Command::Sym(target) => look::sym(target),
            Command::Call(request) => call::call(request, self.timebase_hz),
            Command::Step(request) => step::step(request, self.timebase_hz),
            Command::Explain { topic, target, number } => {
                explain::explain(*topic, target.as_ref(), *number)
            }
            Command::Jobs => call::jobs(),
            Command::Wait { job } => call::wait(*job),
            Command::Stop { job } => call::stop(*job),
            Command::Buf { name, content } => call::buf(name, content),
            Command::Examine { place, len } => look::examine(place, *len),
            Command::Dis { target, count } => dis::dis(target, *count),
            Command::Stubs { module } => look::stubs(module),
            Command::Sections { module } => sections::sections(module),
            Command::Relocs { module, first: Some(number), last: None } => {
                relocs::explain(module, *number, false)
            }
            Command::Relocs { module, first, last } => relocs::list(module, *first, *last),
            Command::Sites { glob } => look::sites(glob.as_deref()),
            Command::Audit { verbose, rewrite } => patch::audit(*verbose, *rewrite),
            Command::Journal => patch::journal(self.timebase_hz),
            Command::Trace(action) => trace(action),
            Command::Livepatch(action) => livepatch(action),
            Command::Registered { what } => registered::list(what.as_deref()),
            Command::Use(request) => registered::put_to_use(request),
            Command::Cpus => look::cpus(),
            Command::Paca { cpu } => look::paca(*cpu),
            Command::Maps => look::maps(),
            Command::Mem => look::mem(),
            Command::Time(command) => self.time(command.as_deref()),
            Command::Selftest { name: Some(name), kind } if name == "fault" => {
                faults::fault(kind.as_deref())
            }
            Command::Selftest { name, .. } => patch::selftest(name.as_deref()),
            Command::Dmesg => {
                super::console::write_plain(&super::console::log());
                Ok(())
            }
            Command::Ls { dir } => Ok(files::list(dir.as_deref().unwrap_or("/"))?),
            Command::Cat { file } => Ok(files::print(file)?),
            Command::Echo { text, to: None } => {
                super::console::write_bytes(text);
                kprintln!();
                Ok(())
            }
            Command::Echo { text, to: Some(to) } => files::write(&to.file, text, to.append),
            Command::Help(None) => {
                for entry in table::TABLE {
                    let line = entry.help().lines().next();
                    kprintln!("{:<12} {}", entry.name(), line.unwrap_or_default());
                }
                Ok(())
            }
            Command::Help(Some(entry)) => {
                kprintln!("{}: {}", entry.name(), entry.help());
                kprintln!("usage: {}", entry.usage());
                kprintln!("example: {}", entry.example());
                Ok(())
            }
            // The batch rules keep these to themselves.
            Command::Set(_) | Command::Repeat(_) | Command::Reboot | Command::Poweroff => Ok(()),
        }
    }
}

impl Kernel {
    /// Runs a command and says how long it took; it ends as the command does.
    fn time(&self, command: Option<&Command>) -> Done {
        let ns = |ticks: u64| {
            (u128::from(ticks) * 1_000_000_000 / u128::from(self.timebase_hz.max(1))) as u64
        };
        let start = timebase();
        let Some(command) = command else {
            let ticks = start - boot::entered();
            kprintln!("up: {} ns, {ticks} ticks", ns(ticks));
            return Ok(());
        };
        let done = self.carry_out(command);
        let ticks = timebase() - start;
        kprintln!("time: {} ns, {ticks} ticks", ns(ticks));
        done
    }
}

fn trace(action: &TraceAction) -> Done {
    match action {
        TraceAction::On(words) | TraceAction::Graph(words) => {
            let graph = matches!(action, TraceAction::Graph(_));
            // For the tests: what happens when a return believes r2.
            let wrong = words.first().is_some_and(|word| graph && word == "--return=seed");
            graph::choose(graph)?;
            let sites = tracing::on(words.get(usize::from(wrong)..).unwrap_or_default())?;
            if wrong {
                graph::set_seed_return()?;
            }
            kprintln!("{sites} sites traced");
        }
        TraceAction::Probe(words) if words.is_empty() => kprint!("{}", probes::listed()),
        TraceAction::Probe(words) => kprintln!("{}", probes::add(&probe_line("p", words))?),
        TraceAction::Return(words) => {
            let mut words = words.clone();
            let named = words.first().is_some_and(|word| word.starts_with(':'));
            if words.len() == 1 + usize::from(named) {
                words.push("ret=$retval".into());
            }
            kprintln!("{}", probes::add(&probe_line("r", &words))?);
        }
        TraceAction::Unprobe(word) => {
            let count = probes::remove(word)?;
            kprintln!("{count} probes taken away");
        }
        TraceAction::Set(words) if words.is_empty() => kprint!("{}", records::options().listed()),
        TraceAction::Set(words) => tracefs::set_option(&words.join(" "), false)?,
        TraceAction::Off => tracing::off(false)?,
        TraceAction::Show => {
            let mut recorded = false;
            tracing::show(None, &mut |text| {
                recorded |= !text.starts_with('#');
                kprint!("{text}");
            });
            if !recorded {
                kprintln!("# nothing was recorded (see trace status, help trace)");
            }
        }
        TraceAction::Clear => records::clear(None),
        TraceAction::Status => kprint!("{}", tracing::status()),
    }
    Ok(())
}

/// A line of `kprobe_events`: the event may stand before the function, as `:EVENT`.
fn probe_line(letter: &str, words: &[String]) -> String {
    let named = words.first().is_some_and(|word| word.starts_with(':'));
    alloc::format!("{letter}{}{}", if named { "" } else { " " }, words.join(" "))
}

fn livepatch(action: &LivepatchAction) -> Done {
    match action {
        LivepatchAction::Enable(module) => livepatch::enable_command(module)?,
        LivepatchAction::Disable(module) => livepatch::disable_command(module)?,
        LivepatchAction::Force(module) => livepatch::force_command(module)?,
        LivepatchAction::Burn(on) => livepatch::burn::allow(*on)?,
        LivepatchAction::Transition => {
            livepatch::transition().iter().for_each(|line| kprintln!("{line}"));
        }
        LivepatchAction::List => livepatch::list().iter().for_each(|line| kprintln!("{line}")),
        LivepatchAction::Show(module) => {
            livepatch::show(module.as_deref())?.iter().for_each(|line| kprintln!("{line}"));
        }
    }
    Ok(())
}

/// Bytes of memory from any address, or why not.
fn read_memory(at: Vaddr, len: u64) -> Result<alloc::vec::Vec<u8>, String> {
    let mut bytes = alloc::vec![0; usize::try_from(len).unwrap_or(0)];
    if crate::machine::memory::read(at, &mut bytes) {
        Ok(bytes)
    } else {
        Err(alloc::format!("{at}: {len} bytes from there cannot all be read (see maps)"))
    }
}
