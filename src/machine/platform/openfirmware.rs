//! Open Firmware's client interface: what the kernel asks before it takes over.
//!
//! Every call costs the firmware up to half a million instructions under SLOF,
//! so boot asks for a fixed list and never walks the tree.
//!
//! ```text
//! /chosen      stdout bootargs bootpath linux,initrd-start linux,initrd-end, what
//!              of translation is offered, and then granted; *-response of a server
//! /            model
//! /memory@0    reg
//! /cpus/*      reg-like: ibm,ppc-interrupt-server#s; timebase-frequency
//! /rtas        rtas-size and the tokens that `pseries` uses
//! ```
//!
//! References: IEEE 1275-1994, "Client interface"; LoPAPR appendix B.

use alloc::vec;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::cell::UnsafeCell;

use core::ffi::CStr;

use crate::machine::spr::msr;

/// Bytes of the frame that `firmware_call` builds.
const FRAME: usize = 208;
const _: () = assert!(FRAME.is_multiple_of(16) && FRAME >= 200);

global_asm!(
    include_str!("../../../boot/endian.S"),
    include_str!("../../../boot/firmware.S"),
    ".purgem turn_little_endian",
    FRAME = const FRAME,
    MSR_KEEP = const msr::ME | msr::FP,
);

unsafe extern "C" {
    fn firmware_call(args: *mut u32, second: u64, entry: u64) -> u32;
}

/// Most cells of one call: service, two counts, arguments, results.
const CELLS: usize = 16;

/// The cells of the call under way. In the image, so below 4 GiB.
struct Cells(UnsafeCell<[u32; CELLS]>);

// SAFETY: firmware is called by the boot CPU, and under a lock once others run
// (`pseries`); `call` never nests.
unsafe impl Sync for Cells {}

static CELLS_BELOW_4G: Cells = Cells(UnsafeCell::new([0; CELLS]));

/// What firmware answers when there is no such thing.
const NONE: u32 = u32::MAX;

/// Calls a firmware routine with cells in its byte order.
///
/// # Safety
/// - `entry` is the entry of a firmware that follows the cell convention
///   (Open Firmware's client interface, or RTAS with its base as `second`).
/// - Addresses in `cells` point to memory that the service may use as it does.
/// - No other CPU is in a firmware call.
pub unsafe fn call_cells(entry: u64, second: u64, cells: &[u32], results: &mut [u32]) -> u32 {
    assert!(cells.len() + results.len() <= CELLS);
    let area = CELLS_BELOW_4G.0.get();
    // SAFETY: no other CPU and no outer call uses the area (caller, no nesting).
    let area = unsafe { &mut *area };
    area.fill(0);
    for (to, from) in area.iter_mut().zip(cells) {
        *to = from.to_be();
    }
    // SAFETY: `area` lies in the image, below 4 GiB; the entry is a firmware's
    // and the addresses are as it wants them (caller).
    let status = unsafe { firmware_call(area.as_mut_ptr(), second, entry) };
    for (to, from) in results.iter_mut().zip(&area[cells.len()..]) {
        *to = u32::from_be(*from);
    }
    status
}

/// The client interface of a running Open Firmware.
pub struct OpenFirmware {
    entry: u64,
}

/// A node of the device tree ("phandle").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(u32);

/// An open device or file ("ihandle").
#[derive(Debug)]
pub struct Instance(u32);

/// A NUL-terminated string below 4 GiB, as the firmware takes names. Constants are, and
/// what lies on the boot stack: both are part of the image.
fn cell(name: &CStr) -> u32 {
    debug_assert!(name.as_ptr() as u64 >> 32 == 0);
    name.as_ptr() as u32
}

/// Names of properties, services and nodes.
type Name = &'static CStr;

impl OpenFirmware {
    /// The interface at `entry`.
    ///
    /// # Safety
    /// `entry` came in r5 at boot, the firmware has not been told to quiesce,
    /// and its memory and exception vectors have not been touched.
    pub unsafe fn new(entry: u64) -> Self {
        Self { entry }
    }

    /// Calls `service`; `None` if it failed or its first result is "none".
    fn call<const R: usize>(&self, service: Name, args: &[u32]) -> Option<[u32; R]> {
        let mut cells = [0; CELLS];
        cells[0] = cell(service);
        cells[1] = args.len() as u32;
        cells[2] = R as u32;
        cells[3..3 + args.len()].copy_from_slice(args);
        let mut results = [0; R];
        // SAFETY: the entry is the client interface's (`new`); the callers in
        // this file pass addresses of constants and of buffers of the length
        // that they state; only the boot CPU runs.
        let status = unsafe { call_cells(self.entry, 0, &cells[..3 + args.len()], &mut results) };
        (status == 0 && results.first() != Some(&NONE)).then_some(results)
    }

    /// The node at `path`.
    pub fn find(&self, path: &CStr) -> Option<Node> {
        self.call::<1>(c"finddevice", &[cell(path)]).map(|[node]| Node(node))
    }

    /// The first child of a node.
    pub fn child(&self, node: Node) -> Option<Node> {
        self.call::<1>(c"child", &[node.0]).and_then(|[node]| (node != 0).then_some(Node(node)))
    }

    /// The next node with the same parent.
    pub fn peer(&self, node: Node) -> Option<Node> {
        self.call::<1>(c"peer", &[node.0]).and_then(|[node]| (node != 0).then_some(Node(node)))
    }

    /// The node behind an instance ("ihandle").
    pub fn package(&self, instance: u32) -> Option<Node> {
        self.call::<1>(c"instance-to-package", &[instance]).map(|[node]| Node(node))
    }

    /// A property's bytes, at most `N` of them, and how many there are.
    pub fn property<const N: usize>(&self, node: Node, name: Name) -> Option<([u8; N], usize)> {
        let mut bytes = [0; N];
        let args = [node.0, cell(name), bytes.as_mut_ptr() as u32, N as u32];
        let [len] = self.call::<1>(c"getprop", &args)?;
        Some((bytes, (len as usize).min(N)))
    }

    /// A property of unknown length.
    pub fn property_bytes(&self, node: Node, name: Name) -> Option<Vec<u8>> {
        let [len] = self.call::<1>(c"getproplen", &[node.0, cell(name)])?;
        let mut bytes = vec![0u8; len as usize];
        let args = [node.0, cell(name), bytes.as_mut_ptr() as u32, len];
        self.call::<1>(c"getprop", &args)?;
        Some(bytes)
    }

    /// A property of one cell, or of two with the upper one ignored if zero.
    pub fn cell(&self, node: Node, name: Name) -> Option<u64> {
        let (bytes, len) = self.property::<8>(node, name)?;
        match len {
            4 => Some(u64::from(u32::from_be_bytes(*bytes.first_chunk()?))),
            8 => Some(u64::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// Opens a device, or a file on it.
    pub fn open(&self, path: &CStr) -> Option<Instance> {
        let [instance] = self.call::<1>(c"open", &[cell(path)])?;
        (instance != 0).then_some(Instance(instance))
    }

    /// Closes what [`open`](Self::open) opened.
    pub fn close(&self, instance: Instance) {
        self.call::<0>(c"close", &[instance.0]);
    }

    /// Reads up to `len` bytes to `at`, which [`claim`](Self::claim) has set aside for
    /// that; how many came.
    pub fn read(&self, instance: &Instance, at: u64, len: u64) -> Option<u64> {
        let args = [instance.0, u32::try_from(at).ok()?, u32::try_from(len).ok()?];
        let [got] = self.call::<1>(c"read", &args)?;
        // Firmware's own errors are negative.
        (u64::from(got) <= len).then_some(got.into())
    }

    /// Reads the next bytes; how many came.
    pub fn read_bytes(&self, instance: &Instance, to: &mut [u8]) -> Option<usize> {
        let got = self.read(instance, to.as_mut_ptr() as u64, to.len() as u64)?;
        Some(got as usize)
    }

    /// Goes back to a file's start; false if it cannot.
    pub fn rewind(&self, instance: &Instance) -> bool {
        self.call::<1>(c"seek", &[instance.0, 0, 0]).is_some()
    }

    /// Loads the whole of a file to `at`, as firmware loads what it boots; its bytes.
    pub fn load(&self, instance: &Instance, at: u64) -> Option<u64> {
        let args = [cell(c"load"), instance.0, u32::try_from(at).ok()?];
        let [status, len] = self.call::<2>(c"call-method", &args)?;
        (status == 0 && len.cast_signed() >= 0).then_some(len.into())
    }

    /// Sets `len` bytes at `at` aside, so that firmware does not use them; false if it
    /// has, or if there is no such memory.
    pub fn claim(&self, at: u64, len: u64) -> bool {
        let (Ok(at), Ok(len)) = (u32::try_from(at), u32::try_from(len)) else { return false };
        self.call::<1>(c"claim", &[at, len, 0]) == Some([at])
    }

    /// Gives back what [`claim`](Self::claim) has set aside.
    pub fn release(&self, at: u64, len: u64) {
        if let (Ok(at), Ok(len)) = (u32::try_from(at), u32::try_from(len)) {
            self.call::<0>(c"release", &[at, len]);
        }
    }

    /// Starts RTAS at `base`, which has room for `rtas-size` bytes; its entry.
    pub fn instantiate_rtas(&self, base: u32) -> Option<u32> {
        let [instance] = self.call::<1>(c"open", &[cell(c"/rtas")])?;
        let [status, entry] =
            self.call::<2>(c"call-method", &[cell(c"instantiate-rtas"), instance, base])?;
        (status == 0).then_some(entry)
    }

    /// Tells the hypervisor what this kernel can do (`mmu::negotiate`); true if it
    /// agrees. It may also start the machine again instead, and agree then.
    pub fn ask_support(&self, request: &[u8]) -> bool {
        let Some([root]) = self.call::<1>(c"open", &[cell(c"/")]) else { return false };
        let args = [cell(c"ibm,client-architecture-support"), root, request.as_ptr() as u32];
        // Two results: whether there was such a method, and its own.
        let answer = self.call::<2>(c"call-method", &args);
        self.call::<0>(c"close", &[root]);
        answer == Some([0, 0])
    }

    /// Ends the firmware's hold on the machine. No call may follow.
    pub fn quiesce(self) {
        self.call::<0>(c"quiesce", &[]);
    }
}
