//! call and buf: functions of modules with numbers, texts and buffers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Done;
use crate::addr::Vaddr;
use crate::kernel::call::CallEnd;
use crate::kernel::jobs::{self, State, Work};
use crate::kernel::modules::{self, Failure};
use crate::kernel::symbols;
use crate::machine::lock::Mutex;
use crate::machine::memory::{self, Block};
use crate::machine::{smp, text};
use crate::shell::args::{Arg, BufferLine, SymbolName};
use crate::shell::command::CallRequest;
use crate::sorted::SortedMap;
use crate::{kprint, kprintln};

/// The buffers that `buf` made.
static NAMED: Mutex<SortedMap<String, Block>> = Mutex::new(SortedMap::new());

/// Where a named buffer lies, and its bytes.
#[optimize(size)]
pub fn named(name: &str) -> Result<(Vaddr, u64), String> {
    let buffers = NAMED.lock();
    let block =
        buffers.get(name).ok_or_else(|| format!("&{name}: no such buffer (make it with buf)"))?;
    Ok((block.start(), block.size() as u64))
}

/// Hands over the names of the buffers.
pub fn each_name(offer: &mut dyn FnMut(&str)) {
    NAMED.lock().iter().for_each(|(name, _)| offer(name));
}

/// A block with what a buffer argument begins with.
#[optimize(size)]
fn block(content: &Arg) -> Result<Block, String> {
    let (len, bytes) = match content {
        // Blocks come zeroed; a copy of so much might find no room.
        Arg::Zeroed(len) => (*len, Vec::new()),
        other => {
            let none = || "a buffer is made of a size, a text or hex:".to_string();
            let bytes = other.initial_bytes().ok_or_else(none)?;
            (bytes.len(), bytes)
        }
    };
    let mut block = Block::take(len)
        .ok_or_else(|| format!("no memory for a buffer of {len} bytes (see mem)"))?;
    block.fill(&bytes);
    Ok(block)
}

/// Makes a named buffer.
#[optimize(size)]
pub fn buf(name: &str, content: &Arg) -> Done {
    let block = block(content)?;
    NAMED.lock().insert(name.into(), block);
    Ok(())
}

/// A function and its arguments, ready to be called.
pub struct Prepared {
    /// Global entry.
    pub entry: Vaddr,
    /// What goes into the registers.
    pub values: Vec<u64>,
    /// Memory that some of the values point to, each with the argument's index.
    pub buffers: Vec<(usize, Block)>,
    /// Arguments whose buffers are shown afterwards.
    pub shown: Vec<usize>,
}

/// Looks up a function that may be called, and makes its arguments.
#[optimize(size)]
pub fn prepare(symbol: &SymbolName, args: &[Arg]) -> Result<Prepared, Failure> {
    let (owner, entry) = symbols::resolve(symbol)?;
    let module = owner.as_deref().and_then(modules::find);
    if let Some(module) = module.as_ref().filter(|module| module.options.link_only) {
        return Err(
            format!("{}: loaded with --link-only, so its code never runs", module.name).into()
        );
    }
    if !text::is_executable(entry) {
        return Err(format!("{}: data, not a function", symbol.name).into());
    }
    let mut buffers = Vec::new();
    let mut values = Vec::new();
    for arg in args {
        values.push(match arg {
            Arg::Int(value) => *value,
            Arg::Named(name) => named(name)?.0.0,
            _ => {
                let block = block(arg)?;
                let at = block.start().0;
                buffers.push((values.len(), block));
                at
            }
        });
    }
    let shown = (0..args.len()).filter(|index| matches!(args[*index], Arg::Zeroed(_))).collect();
    Ok(Prepared { entry, values, buffers, shown })
}

/// Seconds as ticks of the time base.
pub fn limit(seconds: Option<u32>, timebase_hz: u64) -> Option<u64> {
    seconds.map(|seconds| u64::from(seconds).saturating_mul(timebase_hz))
}

/// Calls a function and prints the last result; in the background, says which job
/// does.
#[optimize(size)]
pub fn call(request: &CallRequest, timebase_hz: u64) -> Done {
    let CallRequest { symbol, args, .. } = request;
    let cpu = request.cpu.unwrap_or(0);
    let running = smp::cpus();
    let Some(cpu) = running.iter().find(|other| u32::from(other.number) == cpu) else {
        let last = running.len().saturating_sub(1);
        return Err(format!("CPU {cpu} is not running (0 to {last} are, see cpus)").into());
    };
    if request.background && cpu.number == 0 {
        return Err("CPU 0 runs the shell: say -c CPU with -b".to_string().into());
    }
    let Prepared { entry, values, buffers, shown } = prepare(symbol, args)?;
    let limit = limit(request.seconds, timebase_hz);
    let name = symbol.name.clone();
    let work = Work { name, entry, args: values, count: request.count, limit, shown };
    if cpu.number == 0 {
        let end = jobs::run(&work);
        return tell(&work.name, &end, &work.shown, &buffers);
    }
    let number = jobs::start(cpu.number, work, buffers);
    if request.background {
        kprintln!("job {number} cpu {}", cpu.number);
        return Ok(());
    }
    told(number, true)
}

/// Waits for a job and prints what came of it.
#[optimize(size)]
fn told(number: u32, mine: bool) -> Done {
    let job = jobs::wait(number, mine)?;
    match &job.state {
        State::Ended(end) => tell(&job.work.name, end, &job.work.shown, &job.buffers),
        State::Waiting | State::Running => Ok(()),
    }
}

/// Prints a result and the buffers that were to be shown.
#[optimize(size)]
pub fn tell(name: &str, end: &CallEnd, shown: &[usize], buffers: &[(usize, Block)]) -> Done {
    let value = match end {
        CallEnd::Returned(value) => value,
        CallEnd::Oops(cause) => return Err(Failure::Oops(format!("{name}: {cause}"))),
    };
    kprintln!("= {value:#x}");
    for (index, block) in buffers.iter().filter(|(index, _)| shown.contains(index)) {
        print_buffer(index + 1, block);
    }
    Ok(())
}

/// Prints a buffer as [`BufferLine`] does, in pieces: a copy might find no room.
#[optimize(size)]
fn print_buffer(number: usize, block: &Block) {
    kprint!("{}", BufferLine { number, bytes: &[] });
    let mut bytes = [0; 64];
    for offset in (0..block.size()).step_by(bytes.len()) {
        let len = bytes.len().min(block.size() - offset);
        memory::read(block.start().offset(offset as i64), &mut bytes[..len]);
        let hex: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        kprint!("{hex}");
    }
    kprintln!();
}

/// Lists jobs.
#[optimize(size)]
pub fn jobs() -> Done {
    jobs::lines().iter().for_each(|line| kprintln!("{line}"));
    Ok(())
}

/// Waits for one job, or for all; the first that failed is the failure.
#[optimize(size)]
pub fn wait(job: Option<u32>) -> Done {
    if let Some(number) = job {
        return told(number, false);
    }
    let mut done = Ok(());
    for number in jobs::numbers() {
        kprintln!("job {number}");
        let this = told(number, false);
        if done.is_ok() {
            done = this;
        }
    }
    done
}

/// Ends a job.
#[optimize(size)]
pub fn stop(job: u32) -> Done {
    Ok(jobs::stop(job)?)
}
