//! Parameters of modules: given on the `insmod` line, read and written through
//! `/sys/module/M/parameters/P`.
//!
//! | operations | at `insmod` | later |
//! |---|---|---|
//! | the kernel's (`param_ops_int` ...) | stored between link and init | stored, shown |
//! | the module's own | its `set` is called before init | its `set` and `get` are called |
//!
//! A parameter's permission bits say whether it has a file and what may be done with
//! it: without a read or write bit not even the shell, which is everybody, may.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::call::{self, CallEnd};
use super::compat::param::{SHOWN_MAX, carry_out, text_at, type_of};
use super::modules::{Failure, Module, leads_into};
use crate::addr::Vaddr;
use crate::compat::errno;
use crate::loader::params::{self, Memory, Param, ParamFault, ParamType};
use crate::loader::{Layout, Object};
use crate::machine::memory::{self, Block};
use crate::shell::command;

/// Any read bit, any write bit.
const READ: u16 = 0o444;
const WRITE: u16 = 0o222;
/// Offsets of the two functions in `struct kernel_param_ops`.
const SET: i64 = 8;
const GET: i64 = 16;

/// Stores the given values that the kernel knows how to store; those that it does
/// not are left to [`set_own`]: the addresses of their entries, and the values.
#[optimize(size)]
pub fn store_given<'g>(
    object: &Object<'_>,
    layout: &Layout,
    base: Vaddr,
    given: &'g [command::Param],
) -> Result<Vec<(Vaddr, &'g str)>, String> {
    let image = Memory::Live { base, len: layout.size, read: &memory::read };
    // Also without any given: what it says is wrong with the file.
    let list = params::list_params(object, layout, image).map_err(|error| error.to_string())?;
    let mut own = Vec::new();
    for command::Param { name, value } in given {
        let value = value.as_deref().map(core::str::from_utf8).transpose();
        let value = value.map_err(|_| format!("{name}: the value is no text"))?;
        let param = params::find_param(&list, name).map_err(|error| error.to_string())?;
        let stores = match params::plan_param(param, value, &type_of, image) {
            Err(error) if matches!(error.fault, ParamFault::UnknownType { .. }) => {
                // What a bare name means is not asked of the module.
                let Some(value) = value else {
                    return Err(format!("parameter {name}: {}", ParamFault::NoValue));
                };
                own.push((param.entry, value));
                continue;
            }
            other => other.map_err(|error| error.to_string())?,
        };
        params::refuse_fixed(param, &stores, layout, base).map_err(|error| error.to_string())?;
        if !carry_out(stores) {
            return Err(format!("{name}: no memory for it, or its variable cannot be written"));
        }
    }
    Ok(own)
}

/// The names of a loaded module's parameters that have a control file.
#[optimize(size)]
pub fn files(module: &Module) -> Vec<&str> {
    let list = all(module).into_iter().filter(|param| param.perm & (READ | WRITE) != 0);
    list.map(|param| param.name).collect()
}

#[optimize(size)]
fn all(module: &Module) -> Vec<Param<'_>> {
    params::list_params(module.object(), &module.layout, live(module)).unwrap_or_default()
}

#[optimize(size)]
fn with_file<'m>(module: &'m Module, name: &str) -> Option<Param<'m>> {
    let found = all(module).into_iter().find(|param| param.name == name);
    found.filter(|param| param.perm & (READ | WRITE) != 0)
}

fn live(module: &Module) -> Memory<'static> {
    Memory::Live { base: module.linked().base, len: module.layout.size, read: &memory::read }
}

/// What the control file shows. `None`: there is no such file.
#[optimize(size)]
pub fn show(module: &Module, name: &str) -> Option<Result<String, String>> {
    let param = with_file(module, name)?;
    if param.perm & READ == 0 {
        return Some(Err(format!("cannot be read (its permissions are {:04o})", param.perm)));
    }
    if is_gone(module, &param) {
        return Some(Err(GONE.to_string()));
    }
    Some(match params::show_param(&param, &type_of, live(module), &text_at) {
        Err(ParamFault::UnknownType { .. }) => get_own(module, &param),
        other => other.map_err(|fault| fault.to_string()),
    })
}

/// Writes to the control file; `None`: there is no such file.
#[optimize(size)]
pub fn write(module: &Module, name: &str, value: &str) -> Option<Result<(), Failure>> {
    let param = with_file(module, name)?;
    if param.perm & WRITE == 0 {
        let why = format!("cannot be written (its permissions are {:04o})", param.perm);
        return Some(Err(why.into()));
    }
    if module.options.link_only {
        return Some(Err("loaded with --link-only, so nobody writes to it".to_string().into()));
    }
    if is_gone(module, &param) {
        return Some(Err(GONE.to_string().into()));
    }
    Some(match params::plan_param(&param, Some(value), &type_of, live(module)) {
        Err(error) if matches!(error.fault, ParamFault::UnknownType { .. }) => {
            set(module, &param, value)
        }
        Err(error) => Err(error.fault.to_string().into()),
        Ok(stores) => carry_out(stores).then_some(()).ok_or_else(|| {
            "no memory for it, or its variable cannot be written".to_string().into()
        }),
    })
}

/// Says no to a parameter that went with what only init used.
const GONE: &str =
    "it went with the init memory it lay in; build the module without __initdata for it";

/// True if init memory was given back, and the variable was in it, or what describes it,
/// or the module's own operations.
#[optimize(size)]
fn is_gone(module: &Module, param: &Param<'_>) -> bool {
    let part = module.given_back();
    let (at, size) = match type_of(param.ops) {
        Some(ParamType::Array) => (param.arg, 32),
        Some(ParamType::Text) => (param.arg, 16),
        Some(ParamType::CharP) => (param.arg, 8),
        Some(_) => (param.arg, 0),
        None => (param.ops, 32),
    };
    part.contains(&param.arg) || leads_into(&part, at, size)
}

/// One of the module's own operations.
#[optimize(size)]
fn operation(module: &Module, param: &Param<'_>, offset: i64) -> Result<Vaddr, String> {
    let entry = memory::read_u64(param.ops.offset(offset)).map(Vaddr);
    match entry {
        Some(entry) if module.options.link_only || !entry.is_aligned(4) || entry == Vaddr(0) => {
            Err(format!("{}: its type is the module's own, and has no such operation", param.name))
        }
        Some(entry) => Ok(entry),
        None => Err(format!("{}: its operations at {} cannot be read", param.name, param.ops)),
    }
}

/// Has the module itself take a value for the parameter with this entry.
#[optimize(size)]
pub fn set_own(module: &Module, entry: Vaddr, value: &str) -> Result<(), Failure> {
    let Some(param) = all(module).into_iter().find(|param| param.entry == entry) else {
        return Ok(()); // it was there a moment ago
    };
    set(module, &param, value).map_err(|failure| match failure {
        Failure::Refused(why) => format!("parameter {}: {why}", param.name).into(),
        oops => oops,
    })
}

#[optimize(size)]
fn set(module: &Module, param: &Param<'_>, value: &str) -> Result<(), Failure> {
    let set = operation(module, param, SET)?;
    let mut text = Block::take(value.len() + 1).ok_or("no memory for a parameter".to_string())?;
    text.fill(value.as_bytes());
    match call::run(set, &[text.start().0, param.entry.0]) {
        CallEnd::Returned(result) => match result as i32 {
            0.. => Ok(()),
            error => Err(format!("{value}: the module's own set answered {}", named(error)).into()),
        },
        CallEnd::Oops(cause) => Err(Failure::Oops(format!("{}: its own set: {cause}", param.name))),
    }
}

/// Has the module itself show a value.
#[optimize(size)]
fn get_own(module: &Module, param: &Param<'_>) -> Result<String, String> {
    let get = operation(module, param, GET)?;
    let text = Block::take(SHOWN_MAX).ok_or("no memory for a parameter")?;
    match call::run(get, &[text.start().0, param.entry.0]) {
        CallEnd::Returned(result) => match result as i32 {
            len @ 0.. => {
                let mut bytes = text.bytes();
                bytes.truncate(len as usize);
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            error => Err(format!("the module's own get answered {}", named(error))),
        },
        CallEnd::Oops(cause) => Err(format!("its own get: {cause}")),
    }
}

/// An error number with its name.
#[optimize(size)]
fn named(error: i32) -> String {
    format!("{error} ({})", errno::name(error.unsigned_abs()).unwrap_or("unknown error"))
}
