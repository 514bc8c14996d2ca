//! Jobs: calls that run on other CPUs, many at once.
//!
//! ```text
//!  call -c 2 f   ->  Waiting  ->  Running (on CPU 2)  ->  Ended  ->  told and forgotten
//!                       ^ wake                    ^ stop, time limit, fault
//! ```
//!
//! A CPU takes its jobs in the order in which they were started, one at a time,
//! and sleeps when there is none.
//!
//! # Invariants
//! - A job's buffers live until it has ended and was waited for.
//! - A module that a job may be in is not unloaded ([`in_the_way`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::call::{self, CallEnd};
use super::{console, modules};
use crate::addr::Vaddr;
use crate::kprintln;
use crate::machine::lock::{Mutex, pause};
use crate::machine::memory::Block;
use crate::machine::{paca, quiesce, smp, spr, tick};

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its CPU has not begun it.
    Waiting,
    /// It runs.
    Running,
    /// It is over.
    Ended(CallEnd),
}

/// What is to be called, and how.
#[derive(Clone, Debug)]
pub struct Work {
    /// The name that was asked for.
    pub name: String,
    /// Global entry.
    pub entry: Vaddr,
    /// Arguments.
    pub args: Vec<u64>,
    /// How many times.
    pub count: u64,
    /// Ticks of the time base after which it is ended.
    pub limit: Option<u64>,
    /// Arguments whose buffers are shown afterwards.
    pub shown: Vec<usize>,
}

/// A call on some CPU.
pub struct Job {
    /// Its number, from 1.
    pub number: u32,
    /// The CPU that runs it.
    pub cpu: u16,
    /// What it does.
    pub work: Work,
    /// How far it is.
    pub state: State,
    /// Memory that its arguments point to, each with the argument's index.
    pub buffers: Vec<(usize, Block)>,
}

struct Jobs {
    list: Vec<Job>,
    started: u32,
}

static JOBS: Mutex<Jobs> = Mutex::new(Jobs { list: Vec::new(), started: 0 });

/// Calls a function `count` times, here; the last result, or what ended it. The time
/// limit is for all of it.
pub fn run(work: &Work) -> CallEnd {
    let before = tick::set_limit(work.limit);
    let end = run_all(work);
    tick::restore_limit(before);
    end
}

fn run_all(work: &Work) -> CallEnd {
    let mut end = CallEnd::Returned(0);
    for made in 1..=work.count {
        end = call::run(work.entry, &work.args);
        quiesce::here();
        if matches!(end, CallEnd::Oops(_)) {
            break;
        }
        if tick::must_end() {
            let by_hand = tick::end_was_asked();
            let why = if by_hand { "stopped by hand" } else { "time limit reached" };
            // No fault was reported that says so.
            kprintln!("{why} after {made} of {} calls", work.count);
            return CallEnd::Oops(why.into());
        }
    }
    end
}

/// Starts a job on another CPU; its number.
#[optimize(size)]
pub fn start(cpu: u16, work: Work, buffers: Vec<(usize, Block)>) -> u32 {
    let number = {
        let mut jobs = JOBS.lock();
        jobs.started += 1;
        let number = jobs.started;
        jobs.list.push(Job { number, cpu, work, state: State::Waiting, buffers });
        number
    };
    smp::wake(cpu);
    number
}

/// What every CPU but the first does for ever.
#[optimize(size)]
pub fn secondary() -> ! {
    loop {
        match take(smp::this_cpu()) {
            Some((number, work)) => {
                let end = run(&work);
                drop(work);
                let mut jobs = JOBS.lock();
                if let Some(job) = jobs.list.iter_mut().find(|job| job.number == number) {
                    job.state = State::Ended(end);
                }
            }
            None => {
                quiesce::here();
                smp::sleep();
            }
        }
    }
}

fn take(cpu: u16) -> Option<(u32, Work)> {
    let mut jobs = JOBS.lock();
    let waiting = |job: &&mut Job| job.cpu == cpu && job.state == State::Waiting;
    let job = jobs.list.iter_mut().find(waiting)?;
    // Under the lock: a wish to stop this job can only come after it.
    tick::forget_asked();
    job.state = State::Running;
    Some((job.number, job.work.clone()))
}

/// Runs `work` while the jobs are locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _jobs = JOBS.lock();
    work();
}

/// Waits until a job has ended, and takes it off the list. If a person wants no more of
/// it, a job that is `mine` is ended, and one that was there before is left alone.
pub fn wait(number: u32, mine: bool) -> Result<Job, String> {
    let mut looked = spr::timebase();
    loop {
        let mut jobs = JOBS.lock();
        let place = jobs.list.iter().position(|job| job.number == number);
        let place = place.ok_or_else(|| format!("{number}: no such job (see jobs)"))?;
        if matches!(jobs.list[place].state, State::Ended(_)) {
            let job = jobs.list.remove(place);
            if jobs.list.is_empty() {
                jobs.list = Vec::new(); // `mem` is the same before and after
            }
            return Ok(job);
        }
        drop(jobs);
        quiesce::here();
        // This CPU takes no ticks meanwhile.
        if spr::timebase() - looked > tick::period() {
            looked = spr::timebase();
            smp::rouse_the_deaf();
            console::look_for_interrupt();
            if tick::end_was_asked() {
                if !mine {
                    return Err(format!("job {number} goes on (stop {number} ends it)"));
                }
                stop(number)?;
            }
        }
        pause();
    }
}

/// Ends a job: one that waits at once, one that runs at its next tick.
#[optimize(size)]
pub fn stop(number: u32) -> Result<(), String> {
    let mut jobs = JOBS.lock();
    let job = jobs.list.iter_mut().find(|job| job.number == number);
    let job = job.ok_or_else(|| format!("{number}: no such job (see jobs)"))?;
    match job.state {
        State::Waiting => job.state = State::Ended(CallEnd::Oops("stopped by hand".into())),
        State::Running => {
            let cpu = job.cpu;
            if let Some(cpu) = smp::cpus().iter().find(|other| other.number == cpu) {
                paca::ask_stop(cpu.paca);
            }
        }
        State::Ended(_) => {}
    }
    Ok(())
}

/// One line a job: number, CPU, how far, what.
#[optimize(size)]
pub fn lines() -> Vec<String> {
    let line = |job: &Job| {
        let state = match &job.state {
            State::Waiting => "waiting".into(),
            State::Running => "running".into(),
            State::Ended(CallEnd::Returned(value)) => format!("ended = {value:#x}"),
            State::Ended(CallEnd::Oops(cause)) => format!("ended by a fault: {cause}"),
        };
        format!("job {} cpu {} {} {state}", job.number, job.cpu, job.work.name)
    };
    JOBS.lock().list.iter().map(line).collect()
}

/// Numbers of all jobs.
pub fn numbers() -> Vec<u32> {
    JOBS.lock().list.iter().map(|job| job.number).collect()
}

/// What a CPU is doing.
#[optimize(size)]
pub fn doing(cpu: u16) -> String {
    let jobs = JOBS.lock();
    let running = jobs.list.iter().find(|job| job.cpu == cpu && job.state == State::Running);
    match running {
        Some(job) => format!("job {} {}", job.number, job.work.name),
        None if cpu == 0 => "shell".into(),
        None => "idle".into(),
    }
}

/// A job that may be in a module's code, if there is one: it was started there, or
/// given an address there. Whether one is in a live patch's code its stack says
/// (`livepatch::nobody_in`). What a job's module imports is no question: its users keep a module loaded.
pub fn in_the_way(module: &modules::Module) -> Option<u32> {
    let jobs = JOBS.lock();
    let live = |job: &&Job| !matches!(job.state, State::Ended(_));
    let own = |at: Vaddr| module.pages.contains(at, 1);
    let inside =
        |job: &&Job| own(job.work.entry) || job.work.args.iter().any(|arg| own(Vaddr(*arg)));
    jobs.list.iter().filter(live).find(inside).map(|job| job.number)
}
