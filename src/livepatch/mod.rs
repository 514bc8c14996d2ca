//! Live patches: which functions are replaced by which, and what has to change
//! when a patch is enabled or disabled. Pure: it plans, the kernel carries out.
//!
//! ```text
//!   patch module --compat--> PatchDesc          desc.rs
//!        | register
//!        v             plan_enable               PlanStep::Redirect  stub, then site
//!   LivePatches  ----  plan_disable  --> Plan --           Retarget  stub's data word
//!        ^   set.rs    plan_coming               \         Restore   site
//!        +----------------- begin ... finish <--- the kernel has done it
//! ```
//!
//! `refusal.rs` has the reasons why not; `shadow.rs` what patches tie to others' data; `patch/state.rs` what a redirected site
//! looks like; `loader/stubs/redirect.rs` what it leads through.
#![forbid(unsafe_code)]

pub mod desc;
pub mod refusal;
pub mod set;
pub mod shadow;
