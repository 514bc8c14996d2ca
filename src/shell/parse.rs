//! Words to a [`Command`].
//!
//! One small function a command, named in `table`. Each takes words from the
//! front of `Words`; what is left over afterwards is one word too many.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::args::{Arg, MAX_ARGS, SymbolName, parse_int, parse_ranged, parse_size};
use super::command::{
    BatchFlag, CallRequest, Command, LivepatchAction, Param, Place, Redirect, Repeat, StepRequest,
    StubChoice, Target, Topic, TraceAction, Until, UseRequest, Verb,
};
use super::error::{self, Problem, Refusal};
use super::lex::{self, Word};
use super::table;
use crate::addr::Vaddr;

/// Reads the words that follow a command's name.
pub(super) type Parser = fn(&mut Words<'_>) -> Result<Command, Problem>;

/// Longest time limit, in seconds: a day.
const MAX_SECONDS: u64 = 86_400;

/// Highest CPU number that a word can name.
const MAX_CPU: u64 = 4095;

/// Reads a statement's words; the flag says that `!` stood before the command.
pub fn parse(words: &[Word]) -> (bool, Result<Command, Refusal>) {
    let is_bang = |word: &Word| !word.quoted && word.bytes == b"!";
    match words {
        [bang, rest @ ..] if is_bang(bang) => match command(rest, true) {
            // Were this turned round too, a lone `!` would succeed.
            Err(refusal) if refusal.problem == Problem::CannotNegate => (false, Err(refusal)),
            result => (true, result),
        },
        _ => (false, command(words, false)),
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn command(words: &[Word], negated: bool) -> Result<Command, Refusal> {
    let (name, rest) = match words {
        [first, rest @ ..] => (first.bytes.as_slice(), rest),
        [] => (&b"!"[..], words),
    };
    let refuse = |problem| Refusal { command: name.to_vec(), problem };
    if words.is_empty() {
        return Err(refuse(Problem::CannotNegate));
    }
    let Some(entry) = table::find(name) else {
        return Err(refuse(Problem::Unknown { near: table::suggest(name) }));
    };
    let operator = |word: &&Word| !word.quoted && matches!(&*word.bytes, b"&&" | b"||");
    if let Some(word) = rest.iter().find(operator) {
        return Err(refuse(Problem::Operator { word: word.bytes.clone() }));
    }
    let mut rest = Words { words: rest.iter(), usage: entry.usage() };
    let command = (entry.parse)(&mut rest).map_err(refuse)?;
    if let Some(word) = rest.words.next() {
        return Err(refuse(rest.extra(word)));
    }
    if negated && matches!(command, Command::Reboot | Command::Poweroff) {
        return Err(refuse(Problem::CannotNegate));
    }
    Ok(command)
}

/// The words not read yet.
pub(super) struct Words<'a> {
    words: core::slice::Iter<'a, Word>,
    usage: &'static str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        self.words.next().map(|word| word.bytes.as_slice())
    }

    fn peek(&self) -> Option<&'a Word> {
        self.words.as_slice().first()
    }

    /// Takes the next word if it is this option.
    fn option(&mut self, option: &str) -> bool {
        let found = self.peek().is_some_and(|word| !word.quoted && word.bytes == option.as_bytes());
        if found {
            self.words.next();
        }
        found
    }

    #[inline(never)]
    fn need(&mut self, what: &'static str) -> Result<&'a [u8], Problem> {
        let usage = self.usage;
        self.next().ok_or(Problem::Missing { what, usage })
    }

    fn name(&mut self, what: &'static str) -> Result<String, Problem> {
        error::name(what, self.need(what)?)
    }

    fn optional_name(&mut self, what: &'static str) -> Result<Option<String>, Problem> {
        self.next().map(|word| error::name(what, word)).transpose()
    }

    /// A module's name where an option has no business: `rmmod -f x` is refused
    /// for the `-f`, not for the `x`.
    fn module(&mut self, what: &'static str) -> Result<String, Problem> {
        match self.peek() {
            Some(word) if !word.quoted && word.bytes.starts_with(b"-") => {
                Err(self.no_option(&word.bytes))
            }
            _ => self.name(what),
        }
    }

    fn ranged(&mut self, what: &'static str, low: u64, high: u64) -> Result<u64, Problem> {
        parse_ranged(what, self.need(what)?, low, high)
    }

    /// A count of 1 or more, if there is another word.
    fn optional_count(&mut self, what: &'static str) -> Result<Option<u64>, Problem> {
        let word = self.next();
        word.map(|word| parse_ranged(what, word, 1, u64::MAX)).transpose()
    }

    fn cpu(&mut self) -> Result<u32, Problem> {
        // Bounded by `MAX_CPU`.
        self.ranged("CPU", 0, MAX_CPU).map(|cpu| cpu as u32)
    }

    /// A word that is digits is an address; a quoted one never is.
    fn target(&mut self) -> Result<Target, Problem> {
        let first = self.peek();
        let quoted = first.is_some_and(|word| word.quoted);
        let word = self.need("NAME")?;
        let looks_numeric = matches!(word, [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..]);
        if quoted || !looks_numeric {
            return SymbolName::parse(word).map(Target::Symbol);
        }
        address(word).map(Target::Addr)
    }

    /// Every word left, as `name=value` or `name`.
    fn params(&mut self) -> Result<Vec<Param>, Problem> {
        let mut params = Vec::new();
        while let Some(word) = self.next() {
            params.push(match word {
                [b'-', ..] => return Err(self.no_option(word)),
                _ => param(word)?,
            });
        }
        Ok(params)
    }

    /// Behind the options: a function's name, and every word left as its arguments.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn function(&mut self) -> Result<(SymbolName, Vec<Arg>), Problem> {
        match self.peek() {
            Some(word) if word.bytes.starts_with(b"-") => {
                return Err(self.no_option(&word.bytes));
            }
            Some(word) if !word.quoted && parse_int(&word.bytes).is_ok() => {
                return Err(Problem::AddressCalled { word: word.bytes.clone() });
            }
            _ => {}
        }
        let symbol = SymbolName::parse(self.need("NAME")?)?;
        let args: Vec<Arg> = self.words.by_ref().map(Arg::parse).collect::<Result<_, _>>()?;
        if args.len() > MAX_ARGS {
            return Err(Problem::TooManyArguments { limit: MAX_ARGS });
        }
        Ok((symbol, args))
    }

    #[inline(never)]
    fn no_option(&self, word: &[u8]) -> Problem {
        Problem::NoSuchOption { word: word.to_vec(), usage: self.usage }
    }

    fn extra(&self, word: &Word) -> Problem {
        if !word.quoted && word.bytes.starts_with(b"-") {
            return self.no_option(&word.bytes);
        }
        Problem::Extra { word: word.bytes.clone(), usage: self.usage }
    }
}

fn address(word: &[u8]) -> Result<Vaddr, Problem> {
    parse_int(word).map(Vaddr).map_err(|why| Problem::BadInt {
        what: "ADDR",
        word: word.to_vec(),
        why,
    })
}

fn param(word: &[u8]) -> Result<Param, Problem> {
    let (name, value) = word.split_at(word.iter().position(|&b| b == b'=').unwrap_or(word.len()));
    let bad = |_| Problem::BadParam { word: word.to_vec() };
    Ok(Param {
        name: error::name("param", name).map_err(bad)?,
        value: value.strip_prefix(b"=").map(<[u8]>::to_vec),
    })
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn insmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut module = None;
    let (mut link_only, mut force) = (false, false);
    let mut stubs = StubChoice::Default;
    let mut params = Vec::new();
    while let Some(word) = words.next() {
        match word {
            b"--link-only" => link_only = true,
            b"--force" => force = true,
            b"--stubs=default" => stubs = StubChoice::Default,
            b"--stubs=seed" => stubs = StubChoice::Seed,
            b"--stubs=linux" => stubs = StubChoice::Linux,
            b"--stubs=wrong" => stubs = StubChoice::Wrong,
            [b'-', ..] => return Err(words.no_option(word)),
            _ if module.is_none() => module = Some(error::name("NAME", word)?),
            _ => params.push(param(word)?),
        }
    }
    let usage = words.usage;
    Ok(Command::Insmod {
        module: module.ok_or(Problem::Missing { what: "NAME", usage })?,
        link_only,
        force,
        stubs,
        params,
    })
}

pub(super) fn rmmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.module("MOD").map(|module| Command::Rmmod { module })
}

pub(super) fn lsmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Lsmod { verbose: words.option("-v") })
}

pub(super) fn modinfo(words: &mut Words<'_>) -> Result<Command, Problem> {
    let module = words.module("NAME")?;
    Ok(Command::Modinfo { module })
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn modprobe(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Modprobe { module: words.module("NAME")?, params: words.params()? })
}

pub(super) fn sym(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.target().map(Command::Sym)
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn call(words: &mut Words<'_>) -> Result<Command, Problem> {
    let (mut cpu, mut background, mut seconds) = (None, false, None);
    let mut count = 1;
    loop {
        if words.option("-c") {
            cpu = Some(words.cpu()?);
        } else if words.option("-b") {
            background = true;
        } else if words.option("-t") {
            seconds = Some(words.ranged("SECONDS", 1, MAX_SECONDS)? as u32);
        } else if words.option("-n") {
            count = words.ranged("COUNT", 1, u64::MAX)?;
        } else {
            break;
        }
    }
    let (symbol, args) = words.function()?;
    Ok(Command::Call(CallRequest { cpu, background, seconds, count, symbol, args }))
}

#[cfg_attr(target_os = "none", optimize(size))]
fn stepped(words: &mut Words<'_>, watch: bool) -> Result<Command, Problem> {
    let (mut all, mut seconds, mut lines) = (false, None, None);
    if watch {
        // The only one that there is.
        if !words.option("r2") {
            let word = words.need("r2")?;
            return Err(words.no_option(word));
        }
        words.option("call");
    }
    loop {
        if words.option("-a") {
            all = true;
        } else if words.option("-t") {
            seconds = Some(words.ranged("SECONDS", 1, MAX_SECONDS)? as u32);
        } else if words.option("-n") {
            lines = Some(words.ranged("COUNT", 1, u64::MAX)?);
        } else {
            break;
        }
    }
    let (symbol, args) = words.function()?;
    Ok(Command::Step(StepRequest { all, watch, seconds, lines, symbol, args }))
}

pub(super) fn step(words: &mut Words<'_>) -> Result<Command, Problem> {
    stepped(words, false)
}

/// `step`, but only what changes r2 is shown; the word `call` reads well.
pub(super) fn watch(words: &mut Words<'_>) -> Result<Command, Problem> {
    stepped(words, true)
}

/// What `explain` can tell of.
const TOPICS: [(&str, Topic); 5] = [
    ("call", Topic::Call),
    ("stub", Topic::Stub),
    ("reloc", Topic::Reloc),
    ("frame", Topic::Frame),
    ("oops", Topic::Oops),
];

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn explain(words: &mut Words<'_>) -> Result<Command, Problem> {
    let Some((_, topic)) = TOPICS.iter().find(|(name, _)| words.option(name)) else {
        let word = words.need("call")?;
        return Err(words.no_option(word));
    };
    let about = !matches!(topic, Topic::Frame | Topic::Oops);
    let target = if about { Some(words.target()?) } else { None };
    let number = if *topic == Topic::Reloc { words.ranged("N", 1, u64::MAX)? } else { 0 };
    Ok(Command::Explain { topic: *topic, target, number })
}

pub(super) fn jobs(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Jobs)
}

pub(super) fn wait(words: &mut Words<'_>) -> Result<Command, Problem> {
    let job = match words.peek() {
        Some(_) => Some(words.ranged("JOB", 1, u64::from(u32::MAX))? as u32),
        None => None,
    };
    Ok(Command::Wait { job })
}

pub(super) fn stop(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Stop { job: words.ranged("JOB", 1, u64::from(u32::MAX))? as u32 })
}

pub(super) fn buf(words: &mut Words<'_>) -> Result<Command, Problem> {
    let name = words.name("NAME")?;
    let usage = words.usage;
    let Some(word) = words.words.next() else {
        return Err(Problem::Missing { what: "SIZE", usage });
    };
    let content = match Arg::parse(word)? {
        Arg::Int(_) => Arg::Zeroed(parse_size("SIZE", &word.bytes)?),
        Arg::Named(_) => {
            return Err(Problem::BadArgument { word: word.bytes.clone() });
        }
        content => content,
    };
    Ok(Command::Buf { name, content })
}

pub(super) fn examine(words: &mut Words<'_>) -> Result<Command, Problem> {
    let place = match words.need("ADDR")? {
        [b'&', name @ ..] => Place::Buffer(error::name("&NAME", name)?),
        word => Place::Addr(address(word)?),
    };
    let len = words.optional_count("LEN")?;
    Ok(Command::Examine { place, len })
}

pub(super) fn dis(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Dis { target: words.target()?, count: words.optional_count("COUNT")? })
}

pub(super) fn stubs(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.module("MOD").map(|module| Command::Stubs { module })
}

pub(super) fn sections(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.module("MOD").map(|module| Command::Sections { module })
}

pub(super) fn relocs(words: &mut Words<'_>) -> Result<Command, Problem> {
    let module = words.module("MOD")?;
    let (first, last) = (words.optional_count("N")?, words.optional_count("LAST")?);
    Ok(Command::Relocs { module, first, last })
}

pub(super) fn sites(words: &mut Words<'_>) -> Result<Command, Problem> {
    let glob = words.optional_name("GLOB")?;
    Ok(Command::Sites { glob })
}

pub(super) fn audit(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut verbose = words.option("-v");
    let rewrite = words.option("--rewrite");
    verbose |= words.option("-v");
    match words.peek() {
        Some(word) if word.quoted || !word.bytes.starts_with(b"-") => {
            return Err(Problem::AllModules { word: word.bytes.clone(), usage: words.usage });
        }
        _ => {}
    }
    Ok(Command::Audit { verbose, rewrite })
}

pub(super) fn journal(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Journal)
}

fn globs(words: &mut Words<'_>) -> Result<Vec<String>, Problem> {
    let globs = words.words.by_ref();
    globs.map(|word| error::name("GLOB", &word.bytes)).collect()
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn trace(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Trace(match words.need("what to do")? {
        b"on" => TraceAction::On(globs(words)?),
        b"graph" => {
            let mut globs = globs(words)?;
            if globs.first().is_some_and(|word| word == "on") {
                globs.remove(0); // as people say it
            }
            TraceAction::Graph(globs)
        }
        b"probe" => TraceAction::Probe(globs(words)?),
        b"return" => TraceAction::Return(globs(words)?),
        b"unprobe" => TraceAction::Unprobe(words.name("EVENT")?),
        b"set" => TraceAction::Set(globs(words)?),
        b"off" => TraceAction::Off,
        b"show" => TraceAction::Show,
        b"clear" => TraceAction::Clear,
        b"status" => TraceAction::Status,
        word => return Err(words.no_option(word)),
    }))
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn livepatch(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Livepatch(match words.need("what to do")? {
        word @ (b"enable" | b"disable" | b"force") => {
            let module = words.module("MOD")?;
            match word {
                b"enable" => LivepatchAction::Enable(module),
                b"disable" => LivepatchAction::Disable(module),
                _ => LivepatchAction::Force(module),
            }
        }
        b"burn" => LivepatchAction::Burn(match words.need("on or off")? {
            b"on" => true,
            b"off" => false,
            word => return Err(words.no_option(word)),
        }),
        b"transition" => LivepatchAction::Transition,
        b"list" => LivepatchAction::List,
        b"show" => LivepatchAction::Show(words.optional_name("MOD")?),
        word => return Err(words.no_option(word)),
    }))
}

pub(super) fn registered(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Registered { what: words.optional_name("NAME")? })
}

/// `VERB [-d] NAME ARG...`, with `required` arguments and up to `most`.
#[cfg_attr(target_os = "none", optimize(size))]
fn verb(
    words: &mut Words<'_>,
    verb: Verb,
    required: &[&'static str],
    most: usize,
) -> Result<Command, Problem> {
    let turns = matches!(verb, Verb::Cipher | Verb::Compress);
    let back = turns && words.option("-d");
    let name = words.module("NAME")?;
    let mut args = Vec::new();
    while args.len() < most {
        match words.words.next() {
            Some(word) => args.push(Arg::parse(word)?),
            None => break,
        }
    }
    match required.get(args.len()) {
        Some(what) => Err(Problem::Missing { what, usage: words.usage }),
        None => Ok(Command::Use(UseRequest { verb, back, name, args })),
    }
}

pub(super) fn hash(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Hash, &["DATA"], 2)
}

pub(super) fn cipher(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Cipher, &["KEY", "DATA"], 2)
}

pub(super) fn compress(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Compress, &["DATA"], 1)
}

pub(super) fn nls(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Nls, &["DATA"], usize::MAX)
}

pub(super) fn keymap(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Keymap, &[], 0)
}

pub(super) fn search(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Search, &["PATTERN", "DATA"], 2)
}

pub(super) fn matches(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Match, &["INFO", "PACKET"], 2)
}

pub(super) fn target(words: &mut Words<'_>) -> Result<Command, Problem> {
    verb(words, Verb::Target, &["INFO", "PACKET"], 2)
}

pub(super) fn cpus(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Cpus)
}

pub(super) fn paca(words: &mut Words<'_>) -> Result<Command, Problem> {
    let cpu = words.peek().is_some().then(|| words.cpu()).transpose()?;
    Ok(Command::Paca { cpu })
}

pub(super) fn maps(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Maps)
}

pub(super) fn mem(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Mem)
}

pub(super) fn time(words: &mut Words<'_>) -> Result<Command, Problem> {
    let timed = core::mem::take(&mut words.words).as_slice();
    let Some(first) = timed.first() else {
        return Ok(Command::Time(None));
    };
    match command(timed, false) {
        // Changing how the run goes on takes no time.
        Ok(
            Command::Time(_)
            | Command::Set(_)
            | Command::Repeat(_)
            | Command::Reboot
            | Command::Poweroff,
        ) => Err(words.no_option(&first.bytes)),
        Ok(command) => Ok(Command::Time(Some(Box::new(command)))),
        Err(refusal) => Err(Problem::Of(Box::new(refusal))),
    }
}

pub(super) fn selftest(words: &mut Words<'_>) -> Result<Command, Problem> {
    let name = words.optional_name("NAME")?;
    let kind = match name.as_deref() {
        Some("fault") => words.optional_name("KIND")?,
        _ => None,
    };
    Ok(Command::Selftest { name, kind })
}

pub(super) fn dmesg(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Dmesg)
}

pub(super) fn ls(words: &mut Words<'_>) -> Result<Command, Problem> {
    let dir = words.optional_name("DIR")?;
    Ok(Command::Ls { dir })
}

pub(super) fn cat(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.name("FILE").map(|file| Command::Cat { file })
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn echo(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut text = Vec::new();
    let mut to = None;
    for word in words.words.by_ref() {
        let redirects = !word.quoted && word.bytes.starts_with(b">");
        match (&mut to, word.bytes.as_slice()) {
            (None, b">") if redirects => to = Some((false, None)),
            (None, b">>") if redirects => to = Some((true, None)),
            // `>FILE` would otherwise print, and nobody would notice.
            _ if redirects => return Err(Problem::BadRedirect),
            (Some((_, file @ None)), name) => *file = Some(error::name("FILE", name)?),
            (Some(_), _) => return Err(Problem::BadRedirect),
            (None, bytes) => {
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend_from_slice(bytes);
            }
        }
    }
    let to = match to {
        None => None,
        Some((append, Some(file))) => Some(Redirect { file, append }),
        Some((_, None)) => return Err(Problem::BadRedirect),
    };
    Ok(Command::Echo { text, to })
}

#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn repeat(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut quiet = words.option("-q");
    let until = if words.option("-t") {
        Until::Seconds(words.ranged("SECONDS", 1, MAX_SECONDS)? as u32)
    } else {
        match words.peek() {
            Some(word) if word.bytes.starts_with(b"-") => return Err(words.no_option(&word.bytes)),
            _ => Until::Rounds(words.ranged("COUNT", 1, u64::MAX)?),
        }
    };
    quiet |= words.option("-q");
    if let Some(word) = words.peek().filter(|word| word.bytes.starts_with(b"-")) {
        return Err(words.no_option(&word.bytes));
    }
    let usage = words.usage;
    let script = match words.words.as_slice() {
        [] => return Err(Problem::Missing { what: "COMMAND", usage }),
        [one] => one.bytes.clone(),
        several => lex::source(several),
    };
    words.words = [].iter();
    Ok(Command::Repeat(Repeat { until, quiet, script }))
}

pub(super) fn set(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Set(match words.need("-e")? {
        b"-e" => BatchFlag::StopAtFailure(true),
        b"+e" => BatchFlag::StopAtFailure(false),
        b"-x" => BatchFlag::PrintCommands(true),
        b"+x" => BatchFlag::PrintCommands(false),
        word => return Err(words.no_option(word)),
    }))
}

pub(super) fn help(words: &mut Words<'_>) -> Result<Command, Problem> {
    let Some(word) = words.next() else {
        return Ok(Command::Help(None));
    };
    match table::find(word) {
        Some(entry) => Ok(Command::Help(Some(entry))),
        None => Err(Problem::NoSuchCommand { word: word.to_vec(), near: table::suggest(word) }),
    }
}

pub(super) fn reboot(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Reboot)
}

pub(super) fn poweroff(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Poweroff)
}

#[cfg(test)]
mod tests;
