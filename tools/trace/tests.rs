//! Whole traces. The files are what Debian's Linux 6.1 printed (tests/fixtures/trace);
//! our own text comes from the library that the kernel prints it with.

use std::borrow::Cow;
use std::num::NonZeroU64;

use serde_json::Value;
use tocsin::addr::Vaddr;
use tocsin::trace::decode::{Clock, Flags, FunctionLine, Header, Names, Task};
use tocsin::trace::options::Options;
use tocsin::trace::record::Record;

use crate::calls::{Seen, Trace};
use crate::{chrome, flame};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/trace/", $name))
    };
}

fn read(text: &str) -> Trace {
    Trace::read(text).unwrap()
}

fn events(trace: &Trace, phase: &str) -> Vec<Value> {
    let json = chrome::json(trace);
    let events = json["traceEvents"].as_array().unwrap();
    events.iter().filter(|event| event["ph"] == phase).cloned().collect()
}

/// Each line's own `<-` says what its stack ends in.
#[test]
fn stacks_are_rebuilt_from_entries_of_linux() {
    let trace = read(fixture!("linux-function.txt"));
    let stacks = flame::folded(&trace);
    assert_eq!(trace.records, 17);
    // A sibling call leaves its own caller behind: the helper's is bench_text.
    let last = "bench_text;crypto_nhpoly1305_final_helper";
    for expected in [
        "bench_text;LZ4_compress_default 2".to_string(),
        "bench_text;crypto_nhpoly1305_setkey;poly1305_core_setkey 1".to_string(),
        format!("{last};nhpoly1305_units;nh_generic 1"),
        format!("{last};poly1305_core_blocks 1"),
    ] {
        assert!(stacks.contains(&expected), "{expected} in {stacks:#?}");
    }
    assert!(!stacks.iter().any(|stack| stack.starts_with("bench_text ")), "it was not traced");
    let sum: i64 = trace.weights().iter().sum();
    assert_eq!(sum, 17);
}

/// Linux's text says 5.462 us for the first call and 3.750 us for the one in it.
#[test]
fn durations_of_linux_are_kept_to_the_nanosecond() {
    let trace = read(fixture!("linux-graph.txt"));
    let [first, inner] = [&trace.calls[0], &trace.calls[1]];
    assert_eq!(first.name.as_deref(), Some("LZ4_compress_default [lz4_compress]"));
    assert_eq!((first.start, first.end), (0, Some(5_462)));
    assert_eq!((inner.parent, inner.end), (Some(0), Some(3_750)));
    let slices = events(&trace, "X");
    assert_eq!(slices.len(), 17);
    assert_eq!(slices[0]["name"], "LZ4_compress_default");
    assert_eq!((&slices[0]["cat"], &slices[0]["dur"]), (&"lz4_compress".into(), &5.462.into()));
    let stacks = flame::folded(&trace);
    // Two calls: 5.462 - 3.750 and the second's.
    let own = stacks.iter().find(|s| s.starts_with("LZ4_compress_default [lz4_compress] "));
    let own: i64 = own.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(own > 1_712, "{own}");
}

#[test]
fn all_columns_give_the_same_calls_with_times_and_tasks() {
    let (plain, full) = (fixture!("linux-graph.txt"), fixture!("linux-graph-columns.txt"));
    let (plain, full) = (read(plain), read(full));
    let names = |trace: &Trace| -> Vec<_> {
        trace.calls.iter().map(|call| (call.name.clone(), call.parent, call.seen)).collect()
    };
    assert_eq!(names(&plain), names(&full));
    assert_eq!(full.calls[0].start, 1_706_279_000);
    assert_eq!(full.tracks[0].task, Some(("init".into(), 1)));
    let ours = read(fixture!("linux-function-tgid.txt"));
    assert_eq!(ours.records, 10);
}

/// The piece begins in the middle of calls, and another task's begin elsewhere.
#[test]
fn tasks_have_stacks_of_their_own_and_calls_may_have_begun_before() {
    let trace = read(fixture!("linux-graph-switch.txt"));
    let names: Vec<_> = trace.tracks.iter().map(|t| t.task.clone().unwrap().0).collect();
    assert_eq!(names, ["init", "khvcd"]);
    let called = |name: &str| trace.calls.iter().position(|c| c.name.as_deref() == Some(name));
    let switched = |from: usize| {
        trace.calls.iter().skip(from).position(|c| c.name.as_deref() == Some("__switch_to"))
    };
    // init's __switch_to ends after khvcd has run, and has the duration that is printed.
    let first = &trace.calls[switched(0).unwrap()];
    assert_eq!((first.track, first.seen), (0, Seen::Recorded));
    assert!(first.end.unwrap() - first.start >= 145_762);
    // khvcd's began before; what is printed is when it ended.
    let implied = trace.calls.iter().find(|c| {
        c.track == 1 && c.name.as_deref() == Some("__switch_to") && c.seen == Seen::Implied
    });
    let implied = implied.unwrap();
    assert_eq!(implied.end.unwrap() - implied.start, 21_244_460);
    let schedule = called("schedule").unwrap();
    assert_eq!(trace.calls[schedule].track, 1);
    assert!(events(&trace, "X").iter().all(|event| event["ts"].as_f64() >= Some(0.0)));
    assert!(events(&trace, "X").iter().all(|event| event["dur"].as_f64() >= Some(0.0)));
    assert_nested(&trace);
}

/// Slices of one track as `(track, start, end)` in nanoseconds, checked.
fn assert_nested(trace: &Trace) {
    let nanos = |value: &Value| (value.as_f64().unwrap() * 1000.0).round() as i64;
    let mut slices: Vec<_> = events(trace, "X")
        .iter()
        .map(|it| {
            let start = nanos(&it["ts"]);
            let track = (it["pid"].as_u64(), it["tid"].as_u64());
            (track, start, -(start + nanos(&it["dur"])))
        })
        .collect();
    slices.sort_unstable();
    let mut open = Vec::new();
    for (track, start, end) in slices {
        while open.pop_if(|(other, until)| *other != track || *until <= start).is_some() {}
        assert!(open.last().is_none_or(|(_, until)| -end <= *until), "{start} to {}", -end);
        open.push((track, -end));
    }
}

#[test]
fn slices_never_cross_even_if_times_are_rounded() {
    // The inner call seems to end at 2.5 us, the outer at 1.9.
    let text = "    0.000000 |   0)               |  f() {\n    \
                0.000001 |   0)   1.500 us    |    g();\n    \
                0.000002 |   0)   1.900 us    |  }\n    \
                0.000001 |   0)   0.500 us    |  h();\n";
    let trace = read(text);
    let slices: Vec<_> =
        events(&trace, "X").iter().map(|it| (it["ts"].clone(), it["dur"].clone())).collect();
    let expected = [(0.0, 1.9), (1.0, 0.9), (1.9, 0.5)];
    for ((ts, dur), (expected_ts, expected_dur)) in slices.iter().zip(expected) {
        assert_eq!((ts.as_f64(), dur.as_f64()), (Some(expected_ts), Some(expected_dur)));
    }
    assert_nested(&trace);
    // What is counted is what was printed.
    assert_eq!(flame::folded(&trace), ["f 400", "f;g 1500", "h 500"]);
}

#[test]
fn a_console_around_and_between_does_no_harm() {
    let trace = fixture!("linux-function.txt");
    let (head, tail) = trace.split_at(trace.find("            init").unwrap());
    let (first, tail) = tail.split_at(tail.find('\n').unwrap() + 1);
    let text = format!(
        "SLOF ****\r\ntocsin 0.1.0\n> trace show\n{head}{first}[    1.0] hello: a | b\n\n{tail}\
         = 0x1\ntocsin: ok\n"
    );
    let noisy = read(&text.replace('\n', "\r\n"));
    assert_eq!((noisy.records, noisy.noise), (17, 1));
    assert_eq!(noisy.calls, read(trace).calls);
}

#[test]
fn of_several_traces_the_last_with_records_is_taken() {
    let (one, two) = (fixture!("linux-graph.txt"), fixture!("linux-function.txt"));
    let trace = read(&format!("{one}{two}# tracer: nop\n#\n"));
    assert_eq!((trace.traces, trace.tracer.as_deref()), (2, Some("function")));
}

#[test]
fn without_a_trace_the_reason_is_said() {
    assert!(Trace::read("hello\n").unwrap_err().starts_with("no trace in it: "));
    assert!(Trace::read("").unwrap_err().starts_with("no trace in it: "));
    let empty = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 0/0   #P:1\n";
    assert!(Trace::read(empty).unwrap_err().starts_with("the trace in it is empty: "));
}

/// `a` calls `b` twice; then somebody who is not traced, `x`, calls `b`.
#[test]
fn a_caller_that_is_not_on_the_stack_begins_another() {
    let line = |at: u32, cpu: u32, what: &str| format!("sh-1 [{cpu:03}] ..... {at}.0: {what}\n");
    let text = [
        line(1, 0, "a <-m"),
        line(2, 0, "b <-a"),
        line(3, 1, "b <-y"),
        line(4, 0, "c <-b"),
        line(5, 0, "b <-a"),
        line(6, 0, "b <-x"),
        line(7, 0, "r <-b"),
        line(8, 0, "r <-r"),
        line(9, 0, "r <-r"),
    ];
    let stacks =
        ["m;a 1", "m;a;b 2", "m;a;b;c 1", "x;b 1", "x;b;r 1", "x;b;r;r 1", "x;b;r;r;r 1", "y;b 1"];
    assert_eq!(flame::folded(&read(&text.concat())), stacks);
    // What is lost in between makes the stack unknown.
    let lost =
        [line(1, 0, "a <-m"), "##### CPU 0 buffer started ####\n".into(), line(2, 0, "b <-a")];
    assert_eq!(flame::folded(&read(&lost.concat())), ["a;b 1", "m;a 1"]);
}

#[test]
fn a_call_that_the_trace_cuts_off_is_marked() {
    let text =
        " 1)   2.000 us    |    }\n 1)   9.000 us    |  } /* f */\n 1)               |  g() {\n";
    let trace = read(text);
    let slices = events(&trace, "X");
    // The inner one's name is never told.
    assert_eq!(slices.len(), 2);
    assert_eq!((&slices[0]["ts"], &slices[0]["dur"]), (&0.into(), &9.into()));
    assert_eq!(slices[0]["args"]["note"], "began before the trace");
    assert_eq!((&slices[1]["pid"], &slices[1]["ts"]), (&1.into(), &9.into()));
    assert_eq!(slices[1]["args"]["note"], "goes on after the trace");
    assert_eq!(flame::folded(&trace), ["f 7000"]);
}

#[test]
fn entries_are_instants_with_their_caller_and_probes_are_events() {
    let text = "sh-7 [002] ..... 1.5: b <-a\nsh-7 [002] ..... 1.75: p0: (b+0x8/0x20) x=0x1\n";
    let instants = events(&read(text), "i");
    assert_eq!(instants.len(), 2);
    let entry = &instants[0];
    assert_eq!(
        (&entry["pid"], &entry["tid"], &entry["ts"]),
        (&2.into(), &7.into(), &1_500_000.into())
    );
    assert_eq!((&entry["args"]["caller"], &entry["args"]["stack"]), (&"a".into(), &"a;b".into()));
    assert_eq!(
        (&instants[1]["cat"], &instants[1]["name"]),
        (&"event".into(), &"p0: (b+0x8/0x20) x=0x1".into())
    );
    let later = "sh-7 [002] ..... 1.5: b <-a\nsh-7 [002] ..... 1.75: c <-b\n";
    assert_eq!(events(&read(later), "i")[1]["ts"], 1_750_000);
    let whole: Value = serde_json::from_str(&chrome::text(&read(text))).unwrap();
    assert_eq!(whole, chrome::json(&read(text)));
    let threads: Vec<_> =
        events(&read(text), "M").iter().map(|m| m["args"]["name"].clone()).collect();
    assert_eq!(threads, [Value::from("CPU 2"), Value::Null, "sh-7".into()]);
}

struct Two;

impl Names for Two {
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        (at.0 < 0x2000).then(|| if at.0 < 0x1000 { "crc16" } else { "<a::B as c::D>::e" }.into())
    }
}

/// What the kernel's own decoder writes, this reads.
#[test]
fn the_kernels_text_is_read_back() {
    let header = Header {
        tracer: "function",
        in_buffer: 1,
        written: 1,
        cpus: 2,
        options: Options::default(),
    };
    let clock = Clock { ticks_per_second: NonZeroU64::new(512_000_000).unwrap() };
    let record = Record { time: 256_000_000, ip: Vaddr(0x1800), parent: Vaddr(0x100), seq: 1 };
    let task = Task { name: "shell", pid: 1 };
    let line = FunctionLine {
        record,
        task,
        cpu: 1,
        flags: Flags::TICK,
        clock,
        names: &Two,
        options: Options::default(),
    };
    let trace = read(&format!("{header}{line}"));
    assert_eq!(flame::folded(&trace), ["crc16;<a::B as c::D>::e 1"]);
    assert_eq!(trace.calls[1].start, 500_000_000);
    assert_eq!((trace.tracks[0].cpu, trace.noise), (1, 0));
}

#[test]
fn the_picture_is_svg_with_every_function_and_repeats() {
    let trace = read(fixture!("linux-graph.txt"));
    let svg = flame::svg(&trace, "a <title>").unwrap();
    assert_eq!(svg, flame::svg(&trace, "a <title>").unwrap());
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in ["poly1305_core_emit [libpoly1305]", "a &lt;title&gt;", " ns"] {
        assert!(svg.contains(text), "{text}");
    }
    let cut = read(" 0)               |  f() {\n");
    assert!(flame::svg(&cut, "").unwrap_err().starts_with("no call with a time"));
}

#[test]
fn the_summary_has_the_dearest_function_first() {
    let text = flame::summary(&read(fixture!("linux-graph.txt")));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "function_graph: 26 lines, 1 tracks");
    assert!(lines[2].ends_with("LZ4_compress_fast_extState [lz4_compress]"), "{text}");
    assert_eq!(flame::summary(&read(fixture!("linux-function.txt"))).lines().count(), 2 + 13);
}

proptest::proptest! {
    /// Nothing in a text makes it panic, and what it makes can be drawn.
    #[test]
    fn any_text_is_read_or_refused(lines in proptest::collection::vec(
        "( ?[0-3]\\)|sh-[0-9] \\[00[0-2]\\] |[0-9]\\.[0-9]{1,3} \\|)?[ 0-9us+.|]{0,30}\
         (f\\(\\);|g\\(\\) \\{|\\}|\\} /\\* f \\*/|[a-c] <-[a-c]|sh-1 => t-2|: |[{}|;)(-]{0,5})", 0..40)) {
        if let Ok(trace) = Trace::read(&lines.join("\n")) {
            assert_nested(&trace);
            let _ = flame::svg(&trace, "");
            assert!(trace.weights().iter().all(|weight| *weight >= 0));
        }
    }
}
