//! Linux's `klp_state`: what patches have changed in the system besides code, and
//! whether a later patch knows about it.
//!
//! Reference: Linux 6.1, `Documentation/livepatch/system-state.rst`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{PATCHES, callbacks, mirror};
use crate::addr::Vaddr;
use crate::compat::klp::{self, PatchDesc, State};
use crate::kernel::compat::print::Machine;
use crate::livepatch::set::PatchId;
use crate::machine::lock::Mutex;

static STATES: Mutex<Vec<(String, Vec<State>)>> = Mutex::new(Vec::new());

/// The states that a patch says it has.
#[optimize(size)]
pub fn read(desc: &PatchDesc) -> Result<Vec<State>, String> {
    let Some(at) = desc.states else { return Ok(Vec::new()) };
    klp::read_states(&Machine, at).map_err(|error| error.to_string())
}

/// Remembers a patch's states.
#[optimize(size)]
pub fn add(patch: &str, states: Vec<State>) {
    if !states.is_empty() {
        STATES.lock().push((patch.to_string(), states));
    }
}

/// Forgets them.
#[optimize(size)]
pub fn forget(patch: &str) {
    let mut states = STATES.lock();
    states.retain(|(name, _)| name != patch);
    states.shrink_to_fit();
}

#[optimize(size)]
fn of(patch: &str) -> Vec<State> {
    let states = STATES.lock();
    states.iter().find(|(name, _)| name == patch).map_or(Vec::new(), |(_, own)| own.clone())
}

/// Whether a patch knows what the enabled ones have changed: a replacing patch all of
/// it, any patch at least the version of what it names too.
#[optimize(size)]
pub fn check(id: PatchId) -> Result<(), String> {
    let patches = PATCHES.lock();
    let Some(desc) = patches.desc(id) else { return Ok(()) };
    let own = of(&desc.name);
    for other in patches.enabled_names() {
        for state in of(&other) {
            match own.iter().find(|own| own.id == state.id) {
                None if desc.replace => {
                    return Err(format!(
                        "not compatible: {other} has changed state {}, which this patch would \
                         replace and does not name (add it to klp_patch.states)",
                        state.id
                    ));
                }
                Some(own) if own.version < state.version => {
                    return Err(format!(
                        "not compatible: {other} has changed state {} as of version {}, this \
                         patch knows version {} (bring it up to date)",
                        state.id, state.version, own.version
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// `klp_get_state(patch, id)`: the patch's own, or null.
#[optimize(size)]
pub extern "C" fn klp_get_state(patch: u64, id: u64) -> u64 {
    let Some(name) = mirror::patch_at(Vaddr(patch)) else { return 0 };
    of(&name).iter().find(|state| state.id == id).map_or(0, |state| state.at.0)
}

/// `klp_get_prev_state(id)`: that of the patch enabled last before the one that is being
/// enabled or disabled, or null.
#[optimize(size)]
pub extern "C" fn klp_get_prev_state(id: u64) -> u64 {
    let Some(now) = callbacks::called() else { return 0 };
    let patches = PATCHES.lock().before(&now);
    let found =
        patches.iter().rev().find_map(|patch| of(patch).into_iter().find(|state| state.id == id));
    found.map_or(0, |state| state.at.0)
}
