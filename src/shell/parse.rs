//! Words to a [`Command`].
//!
//! One small function a command, named in `table`. Each takes words from the
//! front of [`Words`]; what is left over afterwards is one word too many.

use alloc::string::String;
use alloc::vec::Vec;

use super::args::{Arg, MAX_ARGS, SymbolName, parse_int, parse_ranged, parse_size};
use super::command::{
    BatchFlag, Command, LivepatchAction, Param, Place, Redirect, StubChoice, Target, TraceAction,
};
use super::error::{self, Problem, Refusal};
use super::lex::Word;
use super::table;
use crate::addr::Vaddr;

/// Reads the words that follow a command's name.
pub(super) type Parser = fn(&mut Words<'_>) -> Result<Command, Problem>;

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

fn command(words: &[Word], negated: bool) -> Result<Command, Refusal> {
    let (name, rest) = match words {
        [first, rest @ ..] => (first.bytes.as_slice(), rest),
        [] => (&b"!"[..], words),
    };
    let refuse = |problem| Refusal {
        command: name.to_vec(),
        problem,
    };
    if words.is_empty() {
        return Err(refuse(Problem::CannotNegate));
    }
    let Some(entry) = table::find(name) else {
        return Err(refuse(Problem::Unknown {
            near: table::suggest(name),
        }));
    };
    let mut rest = Words {
        words: rest.iter(),
        usage: entry.usage,
    };
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
        let found = self
            .peek()
            .is_some_and(|word| !word.quoted && word.bytes == option.as_bytes());
        if found {
            self.words.next();
        }
        found
    }

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
        word.map(|word| parse_ranged(what, word, 1, u64::MAX))
            .transpose()
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

    /// Every word left, as `name=value`.
    fn params(&mut self) -> Result<Vec<Param>, Problem> {
        self.words.by_ref().map(|word| param(&word.bytes)).collect()
    }

    fn no_option(&self, word: &[u8]) -> Problem {
        Problem::NoSuchOption {
            word: word.to_vec(),
            usage: self.usage,
        }
    }

    fn extra(&self, word: &Word) -> Problem {
        Problem::Extra {
            word: word.bytes.clone(),
            usage: self.usage,
        }
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
    let bad = || Problem::BadParam {
        word: word.to_vec(),
    };
    let at = word.iter().position(|&b| b == b'=').ok_or_else(bad)?;
    let (name, value) = word.split_at(at);
    Ok(Param {
        name: error::name("param", name).map_err(|_| bad())?,
        value: value.strip_prefix(b"=").unwrap_or_default().to_vec(),
    })
}

pub(super) fn insmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut module = None;
    let mut link_only = false;
    let mut stubs = StubChoice::Default;
    let mut params = Vec::new();
    while let Some(word) = words.next() {
        match word {
            b"--link-only" => link_only = true,
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
        module: module.ok_or(Problem::Missing {
            what: "NAME",
            usage,
        })?,
        link_only,
        stubs,
        params,
    })
}

pub(super) fn rmmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.module("MOD").map(|module| Command::Rmmod { module })
}

pub(super) fn lsmod(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Lsmod {
        verbose: words.option("-v"),
    })
}

pub(super) fn modinfo(words: &mut Words<'_>) -> Result<Command, Problem> {
    let module = words.module("NAME")?;
    Ok(Command::Modinfo { module })
}

pub(super) fn modprobe(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Modprobe {
        module: words.module("NAME")?,
        params: words.params()?,
    })
}

pub(super) fn sym(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.target().map(Command::Sym)
}

pub(super) fn call(words: &mut Words<'_>) -> Result<Command, Problem> {
    let mut cpu = None;
    let mut count = 1;
    loop {
        if words.option("-c") {
            cpu = Some(words.cpu()?);
        } else if words.option("-n") {
            count = words.ranged("COUNT", 1, u64::MAX)?;
        } else {
            break;
        }
    }
    match words.peek() {
        Some(word) if word.bytes.starts_with(b"-") => return Err(words.no_option(&word.bytes)),
        _ => {}
    }
    let symbol = SymbolName::parse(words.need("NAME")?)?;
    let args: Vec<Arg> = words
        .words
        .by_ref()
        .map(Arg::parse)
        .collect::<Result<_, _>>()?;
    if args.len() > MAX_ARGS {
        return Err(Problem::TooManyArguments { limit: MAX_ARGS });
    }
    Ok(Command::Call {
        cpu,
        count,
        symbol,
        args,
    })
}

pub(super) fn buf(words: &mut Words<'_>) -> Result<Command, Problem> {
    let name = words.name("NAME")?;
    let usage = words.usage;
    let Some(word) = words.words.next() else {
        return Err(Problem::Missing {
            what: "SIZE",
            usage,
        });
    };
    let content = match Arg::parse(word)? {
        Arg::Int(_) => Arg::Zeroed(parse_size("SIZE", &word.bytes)?),
        Arg::Named(_) => {
            return Err(Problem::BadArgument {
                word: word.bytes.clone(),
            });
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
    Ok(Command::Dis {
        target: words.target()?,
        count: words.optional_count("COUNT")?,
    })
}

pub(super) fn stubs(words: &mut Words<'_>) -> Result<Command, Problem> {
    words.module("MOD").map(|module| Command::Stubs { module })
}

pub(super) fn relocs(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Relocs {
        module: words.module("MOD")?,
        count: words.optional_count("COUNT")?,
    })
}

pub(super) fn sites(words: &mut Words<'_>) -> Result<Command, Problem> {
    let glob = words.optional_name("GLOB")?;
    Ok(Command::Sites { glob })
}

pub(super) fn audit(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Audit)
}

pub(super) fn journal(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Journal)
}

pub(super) fn trace(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Trace(match words.need("on")? {
        b"on" => {
            let globs = words.words.by_ref();
            let globs = globs.map(|word| error::name("GLOB", &word.bytes));
            TraceAction::On(globs.collect::<Result<_, _>>()?)
        }
        b"off" => TraceAction::Off,
        b"show" => TraceAction::Show,
        b"clear" => TraceAction::Clear,
        b"status" => TraceAction::Status,
        word => return Err(words.no_option(word)),
    }))
}

pub(super) fn livepatch(words: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Livepatch(match words.need("enable")? {
        b"enable" => LivepatchAction::Enable(words.module("MOD")?),
        b"disable" => LivepatchAction::Disable(words.module("MOD")?),
        b"list" => LivepatchAction::List,
        b"show" => LivepatchAction::Show(words.optional_name("MOD")?),
        word => return Err(words.no_option(word)),
    }))
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

pub(super) fn selftest(words: &mut Words<'_>) -> Result<Command, Problem> {
    let name = words.optional_name("NAME")?;
    Ok(Command::Selftest { name })
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
        None => Err(words.no_option(word)),
    }
}

pub(super) fn reboot(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Reboot)
}

pub(super) fn poweroff(_: &mut Words<'_>) -> Result<Command, Problem> {
    Ok(Command::Poweroff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::lex::statements;
    use proptest::prelude::*;

    fn run(text: &str) -> (bool, Result<Command, Refusal>) {
        parse(&statements(text.as_bytes()).next().unwrap().unwrap().words)
    }

    fn ok(text: &str) -> Command {
        run(text).1.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    fn refusal(text: &str) -> String {
        run(text).1.unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_command_is_named_with_what_was_perhaps_meant() {
        assert_eq!(
            refusal("insmo crc7"),
            "insmo: unknown command (did you mean insmod? see help)"
        );
        assert_eq!(
            refusal("frobnicate"),
            "frobnicate: unknown command (see help)"
        );
    }

    #[test]
    fn missing_and_surplus_words_come_with_the_usage_line() {
        assert_eq!(refusal("rmmod"), "rmmod: MOD is missing (usage: rmmod MOD)");
        assert_eq!(
            refusal("mem now"),
            "mem: now: one word too many (usage: mem)"
        );
        assert_eq!(
            refusal("rmmod -f x"),
            "rmmod: -f: not an option here (usage: rmmod MOD)"
        );
        assert_eq!(
            refusal("lsmod -q"),
            "lsmod: -q: one word too many (usage: lsmod [-v])"
        );
    }

    #[test]
    fn insmod_takes_options_in_any_place_and_parameters_after_the_name() {
        let param = |name: &str, value: &str| Param {
            name: name.into(),
            value: value.into(),
        };
        let expected = Command::Insmod {
            module: "a-b".into(),
            link_only: true,
            stubs: StubChoice::Seed,
            params: vec![param("p", "1=2"), param("q", ""), param("r", "x y")],
        };
        assert_eq!(
            ok(r#"insmod --stubs=seed a-b p=1=2 --link-only q= r="x y""#),
            expected
        );
        assert!(refusal("insmod a p").contains("write name=value"));
        assert!(refusal("insmod a =1").contains("write name=value"));
        assert!(refusal("insmod a --stubs=best").contains("--stubs=default|seed|linux|wrong"));
        assert!(refusal("insmod --link-only").starts_with("insmod: NAME is missing"));
    }

    #[test]
    fn call_tells_its_options_from_arguments_that_begin_with_a_minus() {
        let Command::Call {
            cpu,
            count,
            symbol,
            args,
        } = ok("call -n 3 -c 1 m:f -1 \"-n\" &k @4")
        else {
            panic!()
        };
        assert_eq!((cpu, count), (Some(1), 3));
        assert_eq!(symbol.to_string(), "m:f");
        assert_eq!(
            args,
            [
                Arg::Int(u64::MAX),
                Arg::Text(b"-n".to_vec()),
                Arg::Named("k".into()),
                Arg::Zeroed(4)
            ]
        );
        assert!(refusal("call -n 0 f").contains("COUNT 0: out of range"));
        assert!(refusal("call -z f").contains("-z: not an option"));
        assert!(refusal("call f bare").contains("bare: not an argument"));
        let many = |n: usize| format!("call f{}", " 1".repeat(n));
        ok(&many(MAX_ARGS));
        assert!(refusal(&many(MAX_ARGS + 1)).contains("too many arguments"));
    }

    #[test]
    fn digits_are_an_address_and_anything_else_a_symbol() {
        assert_eq!(ok("sym 0x10"), Command::Sym(Target::Addr(Vaddr(16))));
        let Command::Sym(Target::Symbol(symbol)) = ok("sym \"0x10\"") else {
            panic!()
        };
        assert_eq!(symbol.name, "0x10");
        assert!(refusal("sym 0xg").starts_with("sym: ADDR 0xg: not an integer"));
        assert!(refusal("x name").starts_with("x: ADDR name: not an integer"));
        assert_eq!(
            ok("x &key"),
            Command::Examine {
                place: Place::Buffer("key".into()),
                len: None
            }
        );
    }

    #[test]
    fn a_buffer_has_a_size_or_a_content() {
        let content = |text: &str| match ok(text) {
            Command::Buf { content, .. } => content,
            other => panic!("{other:?}"),
        };
        assert_eq!(content("buf k 16"), Arg::Zeroed(16));
        assert_eq!(content("buf k \"16\""), Arg::Text(b"16".to_vec()));
        assert_eq!(content("buf k hex:16"), Arg::Hex(vec![0x16]));
        assert!(refusal("buf k 0").contains("out of range"));
        assert!(refusal("buf k -1").contains("out of range"));
        assert!(refusal("buf k &j").contains("&j: not an argument"));
        assert!(refusal("buf k").contains("SIZE is missing"));
    }

    #[test]
    fn echo_redirects_only_at_an_unquoted_arrow_with_a_file_after_it() {
        let echo = |text: &str| match ok(text) {
            Command::Echo { text, to } => (text, to.map(|to| (to.file, to.append))),
            other => panic!("{other:?}"),
        };
        assert_eq!(echo("echo a  b"), (b"a b".to_vec(), None));
        assert_eq!(echo("echo"), (vec![], None));
        assert_eq!(
            echo("echo 1 > /x"),
            (b"1".to_vec(), Some(("/x".into(), false)))
        );
        assert_eq!(echo("echo > /x"), (vec![], Some(("/x".into(), false))));
        assert_eq!(
            echo("echo 1 >> /x"),
            (b"1".to_vec(), Some(("/x".into(), true)))
        );
        assert_eq!(echo("echo 1 \">\" /x"), (b"1 > /x".to_vec(), None));
        for bad in [
            "echo 1 >",
            "echo 1 >/x",
            "echo 1 > /x y",
            "echo > > x",
            "echo >>> x",
        ] {
            assert!(refusal(bad).contains("exactly one file"), "{bad}");
        }
    }

    #[test]
    fn trace_and_livepatch_have_their_own_words() {
        let globs = vec!["crc7*".into(), "a?".into()];
        assert_eq!(
            ok("trace on crc7* a?"),
            Command::Trace(TraceAction::On(globs))
        );
        assert_eq!(ok("trace on"), Command::Trace(TraceAction::On(vec![])));
        assert_eq!(
            ok("livepatch show"),
            Command::Livepatch(LivepatchAction::Show(None))
        );
        assert!(refusal("trace of").contains("of: not an option"));
        assert!(refusal("trace off x").contains("x: one word too many"));
        assert!(refusal("livepatch enable").contains("MOD is missing"));
    }

    #[test]
    fn a_bang_negates_but_not_the_end_of_the_run() {
        assert_eq!(run("! mem"), (true, Ok(Command::Mem)));
        assert!(run("! insmo").1.is_err());
        assert!(!run("!").0 && !run("! reboot").0);
        assert!(refusal("!").starts_with("!: nothing here that can fail"));
        assert!(refusal("! poweroff").starts_with("poweroff: nothing here"));
        assert!(refusal("\"!\" mem").starts_with("!: unknown command"));
        assert!(refusal("! ! mem").starts_with("!: unknown command"));
    }

    #[test]
    fn a_cpu_number_has_two_ends() {
        assert_eq!(ok("paca 4095"), Command::Paca { cpu: Some(4095) });
        assert_eq!(
            refusal("paca 4096"),
            "paca: CPU 4096: out of range (use 0 to 4095)"
        );
    }

    proptest! {
        #[test]
        fn every_refusal_is_one_line_that_begins_with_the_commands_name(
            pick in 0..table::TABLE.len(),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let name = table::TABLE[pick].name;
            let text = [name.as_bytes(), b" ", &tail].concat();
            for statement in statements(&text).take(1).flatten() {
                if let (false, Err(refusal)) = parse(&statement.words) {
                    let line = refusal.to_string();
                    prop_assert!(line.starts_with(name) && !line.contains('\n'), "{}", line);
                }
            }
        }
    }
}
