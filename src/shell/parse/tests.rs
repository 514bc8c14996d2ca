//! Lines as a person types them, and what becomes of them.

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
    assert_eq!(refusal("insmo crc7"), "insmo: unknown command (did you mean insmod? see help)");
    assert_eq!(refusal("frobnicate"), "frobnicate: unknown command (see help)");
}

#[test]
fn missing_and_surplus_words_come_with_the_usage_line() {
    assert_eq!(refusal("rmmod"), "rmmod: MOD is missing (usage: rmmod MOD)");
    assert_eq!(refusal("mem now"), "mem: now: one word too many (usage: mem)");
    assert_eq!(refusal("help frobnicate"), "help: frobnicate: no such command (help lists them)");
    assert_eq!(refusal("help insmo"), "help: insmo: no such command (did you mean insmod?)");
    assert_eq!(refusal("rmmod -f x"), "rmmod: -f: not an option here (usage: rmmod MOD)");
    assert_eq!(refusal("lsmod -q"), "lsmod: -q: not an option here (usage: lsmod [-v])");
    assert_eq!(refusal("lsmod \"-q\""), "lsmod: -q: one word too many (usage: lsmod [-v])");
    assert!(refusal("audit --bogus").starts_with("audit: --bogus: not an option here"));
    assert_eq!(ok("audit --rewrite -v"), Command::Audit { verbose: true, rewrite: true });
    let all =
        "audit: demo: takes no name, all modules are looked at (usage: audit [-v] [--rewrite])";
    assert_eq!(refusal("audit demo"), all);
}

#[test]
fn what_other_shells_have_between_commands_is_no_argument_here() {
    for line in ["lsmod && mem", "echo a || echo b", "! call f &&", "time lsmod && mem"] {
        let why = refusal(line);
        assert!(why.contains(": there is no such operator: ; separates commands"), "{why}");
    }
    assert!(refusal("&& mem").contains("unknown command"));
    for line in ["echo \"&&\"", "echo a & b", "echo &&b", "echo | c"] {
        assert!(matches!(ok(line), Command::Echo { .. }), "{line}");
    }
}

#[test]
fn an_address_cannot_be_called_but_a_quoted_word_is_a_name() {
    let why = "0x1234: an address; functions go by name (sym 0x1234 says whose it is)";
    assert_eq!(refusal("call 0x1234 1"), format!("call: {why}"));
    assert_eq!(refusal("step -a 0x1234"), format!("step: {why}"));
    assert!(refusal("call -5").contains("not an option here"));
    assert!(matches!(ok("call 0xfunction"), Command::Call(_)));
    assert!(matches!(ok("call \"12\""), Command::Call(_)));
}

#[test]
fn insmod_takes_options_in_any_place_and_parameters_after_the_name() {
    let param = |name: &str, value: &str| Param { name: name.into(), value: Some(value.into()) };
    let expected = Command::Insmod {
        module: "a-b".into(),
        link_only: true,
        force: true,
        stubs: StubChoice::Seed,
        params: vec![param("p", "1=2"), param("q", ""), param("r", "x y")],
    };
    assert_eq!(ok(r#"insmod --stubs=seed a-b p=1=2 --link-only --force q= r="x y""#), expected);
    let Command::Insmod { params, .. } = ok("insmod a p q=") else { panic!() };
    assert_eq!(params, [Param { name: "p".into(), value: None }, param("q", "")]);
    assert_eq!(
        ok("modprobe a p"),
        Command::Modprobe { module: "a".into(), params: params[..1].into() }
    );
    assert!(refusal("modprobe a --force").starts_with("modprobe: --force: not an option here"));
    assert!(refusal("insmod a =1").contains("write name=value"));
    assert!(refusal("insmod a --stubs=best").contains("--stubs=default|seed|linux|wrong"));
    assert!(refusal("insmod --link-only").starts_with("insmod: NAME is missing"));
}

#[test]
fn step_has_options_of_its_own_and_the_arguments_of_call() {
    let Command::Step(StepRequest { all, watch: false, seconds, lines, symbol, args }) =
        ok("step -n 1 -a -t 86400 m:f -1 @4")
    else {
        panic!()
    };
    assert_eq!((all, seconds, lines), (true, Some(86_400), Some(1)));
    assert_eq!((symbol.to_string().as_str(), args.len()), ("m:f", 2));
    assert!(matches!(ok("step f"), Command::Step(StepRequest { all: false, lines: None, .. })));
    assert!(refusal("step -n 0 f").starts_with("step: COUNT"));
    assert!(refusal("step -t 86401 f").starts_with("step: SECONDS"));
    assert!(refusal("step -c 1 f").starts_with("step: -c: not an option here"));
    assert!(refusal("step -a").starts_with("step: NAME is missing"));
}

#[test]
fn watch_is_step_with_only_what_changes_r2_and_call_may_stand_in_it() {
    for line in ["watch r2 call -n 7 demo:f 1", "watch r2 -n 7 demo:f 1"] {
        let Command::Step(StepRequest { all: false, watch: true, lines, args, .. }) = ok(line)
        else {
            panic!("{line}");
        };
        assert_eq!((lines, args.len()), (Some(7), 1));
    }
    assert!(refusal("watch r3 f").starts_with("watch: r3: not an option here (did you mean r2? "));
    assert!(refusal("watch r2").contains("NAME is missing"));
}

#[test]
fn explain_takes_what_each_topic_needs_and_no_more() {
    let Command::Explain { topic: Topic::Reloc, target, number: 7 } = ok("explain reloc demo 7")
    else {
        panic!();
    };
    assert_eq!(target, Some(Target::Symbol(SymbolName { module: None, name: "demo".into() })));
    let addr = Some(Target::Addr(Vaddr(16)));
    assert_eq!(
        ok("explain stub 16"),
        Command::Explain { topic: Topic::Stub, target: addr, number: 0 }
    );
    assert_eq!(
        ok("explain oops"),
        Command::Explain { topic: Topic::Oops, target: None, number: 0 }
    );
    assert!(refusal("explain reloc demo").contains("N is missing"));
    assert!(refusal("explain frame 1").contains("1"));
    assert!(refusal("explain").contains("call is missing"));
    assert!(refusal("explain calls f").contains("calls: not an option here (did you mean call? "));
    assert!(refusal("explain frames").contains("did you mean frame? "));
}

#[test]
fn call_tells_its_options_from_arguments_that_begin_with_a_minus() {
    let Command::Call(CallRequest { cpu, count, symbol, args, .. }) =
        ok("call -n 3 -c 1 m:f -1 \"-n\" &k @4")
    else {
        panic!()
    };
    assert_eq!((cpu, count), (Some(1), 3));
    assert_eq!(symbol.to_string(), "m:f");
    assert_eq!(
        args,
        [Arg::Int(u64::MAX), Arg::Text(b"-n".to_vec()), Arg::Named("k".into()), Arg::Zeroed(4)]
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
    let Command::Sym(Target::Symbol(symbol)) = ok("sym \"0x10\"") else { panic!() };
    assert_eq!(symbol.name, "0x10");
    assert!(refusal("sym 0xg").starts_with("sym: ADDR 0xg: not an integer"));
    assert!(refusal("x name").starts_with("x: ADDR name: not an integer"));
    let (target, count) = (Target::Addr(Vaddr(0x4000)), Some(8));
    assert_eq!(ok("dis 0x4000 8"), Command::Dis { target, count });
    assert_eq!(ok("x &key"), Command::Examine { place: Place::Buffer("key".into()), len: None });
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
    assert_eq!(echo("echo 1 > /x"), (b"1".to_vec(), Some(("/x".into(), false))));
    assert_eq!(echo("echo > /x"), (vec![], Some(("/x".into(), false))));
    assert_eq!(echo("echo 1 >> /x"), (b"1".to_vec(), Some(("/x".into(), true))));
    assert_eq!(echo("echo 1 \">\" /x"), (b"1 > /x".to_vec(), None));
    for bad in ["echo 1 >", "echo 1 >/x", "echo 1 > /x y", "echo > > x", "echo >>> x"] {
        assert!(refusal(bad).contains("exactly one file"), "{bad}");
    }
}

#[test]
fn trace_and_livepatch_have_their_own_words() {
    let globs = vec!["crc7*".into(), "a?".into()];
    assert_eq!(ok("trace on crc7* a?"), Command::Trace(TraceAction::On(globs)));
    assert_eq!(ok("trace on"), Command::Trace(TraceAction::On(vec![])));
    assert_eq!(ok("livepatch show"), Command::Livepatch(LivepatchAction::Show(None)));
    assert!(refusal("trace of").contains("of: not an option"));
    assert!(refusal("trace off x").contains("x: one word too many"));
    assert!(refusal("livepatch enable").contains("MOD is missing"));
    assert_eq!(ok("livepatch burn off"), Command::Livepatch(LivepatchAction::Burn(false)));
    assert!(refusal("livepatch burn").contains("on or off is missing"));
    assert!(refusal("livepatch burn out").contains("out: not an option"));
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
    assert_eq!(refusal("paca 4096"), "paca: CPU 4096: out of range (use 0 to 4095)");
}

proptest! {
    #[test]
    fn every_refusal_is_one_line_that_begins_with_the_commands_name(
        pick in 0..table::TABLE.len(),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let name = table::TABLE[pick].name();
        let text = [name.as_bytes(), b" ", &tail].concat();
        for statement in statements(&text).take(1).flatten() {
            if let (false, Err(refusal)) = parse(&statement.words) {
                let line = refusal.to_string();
                prop_assert!(line.starts_with(name) && !line.contains('\n'), "{}", line);
            }
        }
    }
}

#[test]
fn audit_has_one_option() {
    assert_eq!(ok("audit"), Command::Audit { verbose: false, rewrite: false });
    assert_eq!(ok("audit --rewrite"), Command::Audit { verbose: false, rewrite: true });
    assert!(refusal("audit -v all").contains("all: takes no name"));
    assert!(refusal("audit -v -x").contains("-x: not an option here"));
}

#[test]
fn repeat_takes_one_quoted_script_or_the_words_of_one_command() {
    let repeat = |until, quiet, script: &str| {
        Command::Repeat(Repeat { until, quiet, script: script.as_bytes().to_vec() })
    };
    assert_eq!(ok("repeat 3 \"a; b\""), repeat(Until::Rounds(3), false, "a; b"));
    let words = r#"call f "a \"b\";" -1 """#;
    let line = format!("repeat -q -t 60 {words}");
    assert_eq!(ok(&line), repeat(Until::Seconds(60), true, words));
    assert_eq!(refusal("repeat 0 mem"), "repeat: COUNT 0: out of range (use 1 or more)");
    assert!(refusal("repeat -t 0 mem").contains("SECONDS 0: out of range"));
    assert!(refusal("repeat -z 1 mem").contains("-z: not an option"));
    assert_eq!(ok("repeat -t 60 -q mem"), repeat(Until::Seconds(60), true, "mem"));
    assert!(refusal("repeat 5 -z mem").contains("-z: not an option"));
    assert!(refusal("repeat 3").contains("COMMAND is missing"));
}

#[test]
fn nls_reads_characters_as_it_prints_them() {
    let Command::Use(UseRequest { args, .. }) = ok("nls cp437 U+00C7 0xc7 U+00e7") else {
        panic!()
    };
    assert_eq!(args, [Arg::Int(0xc7), Arg::Int(0xc7), Arg::Int(0xe7)]);
    assert!(refusal("nls cp437 U+").starts_with("nls: U+: not an argument"));
    let Command::Use(UseRequest { args, .. }) = ok("nls cp437 \"U+00C7\"") else { panic!() };
    assert_eq!(args, [Arg::Text(b"U+00C7".to_vec())]);
}
