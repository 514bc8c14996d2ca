//! Files from the boot medium, read through Open Firmware before it is told to go.
//!
//! `crate::media` says under which names. There is no heap yet, since it begins
//! behind what is read here:
//!
//! ```text
//!   image | archive | commands | heap ->
//!         ^ each at a multiple of 64 KiB, claimed from the firmware
//! ```
//!
//! A disk's file system is asked for so many bytes as the archive's seal says, a
//! mebibyte at a time; what has no seal is read by one call into all memory that there
//! is. From a network comes the whole file or nothing, by the method `load`, which is
//! what firmware boots with.

use core::fmt;

use super::openfirmware::{Instance, OpenFirmware};
use crate::addr::Vaddr;
use crate::initrd;
use crate::machine::memory;
use crate::media::{self, ARCHIVE, COMMANDS, Kind, Path};

/// What is set aside at once, and what a read asks for.
const PIECE: u64 = 1 << 20;

/// Where ranges begin behind the image.
pub(super) const GRAIN: u64 = 0x1_0000;

/// Most bytes of commands.
const COMMANDS_MAX: u64 = 128 * 1024;

/// A file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Where it lies.
    pub start: Vaddr,
    /// Its bytes.
    pub len: u64,
    /// Where it came from.
    pub path: Path,
}

/// Why a file that is there could not be had.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    path: Path,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// So many bytes; there is room for so many.
    Large(Option<u64>, u64),
    /// More bytes than such a file may have.
    Above(u64),
    /// So many bytes came, of so many.
    Short(u64, u64),
    /// Nothing came.
    Unreadable,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.text())?;
        match self.why {
            Why::Large(Some(bytes), room) => {
                write!(f, ": too large: {bytes} bytes, memory for {room} (give the machine more)")
            }
            Why::Large(None, room) => {
                write!(f, ": too large: memory for {room} bytes (give the machine more)")
            }
            Why::Above(most) => write!(f, ": too large: at most {most} bytes are read"),
            Why::Short(has, wants) => write!(f, ": cut short: {has} bytes of {wants}"),
            Why::Unreadable => f.write_str(": the firmware cannot read it"),
        }
    }
}

/// What was found on the medium.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// The archive of modules.
    pub archive: Option<Loaded>,
    /// Boot words and commands.
    pub commands: Option<Loaded>,
    /// A file that could not be had.
    pub trouble: Option<Trouble>,
    /// The first address behind all that was read; 0 if nothing was.
    pub end: u64,
}

/// Looks on the medium that the kernel came from. `from` is the first address behind
/// what is in memory already, `ram_end` the first behind what the kernel may use.
pub fn find(firmware: &OpenFirmware, bootpath: &[u8], from: Vaddr, ram_end: u64) -> Found {
    let mut found = Found::default();
    let Some(device) = Path::of(&[media::device(bootpath)]) else { return found };
    let Some(node) = firmware.find(device.c_str()) else { return found };
    let kind = match firmware.property::<16>(node, c"device_type") {
        Some((bytes, len)) if bytes[..len].starts_with(b"block") => Kind::Block,
        Some((bytes, len)) if bytes[..len].starts_with(b"network") => Kind::Network,
        _ => return found,
    };
    let reply = firmware.find(c"/chosen").and_then(|chosen| {
        [c"bootp-response", c"dhcp-response"]
            .iter()
            .find_map(|name| firmware.property::<240>(chosen, name))
    });
    let reply = reply.as_ref().map_or(&[][..], |(bytes, len)| &bytes[..*len]);
    let mut reader = Reader { firmware, at: from.0.next_multiple_of(GRAIN), ram_end, kind };
    for attempt in 0.. {
        let place = |file| media::place(bootpath, kind, reply, attempt, file);
        let (Some(archive), Some(commands)) = (place(ARCHIVE), place(COMMANDS)) else { break };
        let mut read = |path: &Path, most| {
            reader.read(path, most).unwrap_or_else(|why| {
                found.trouble.get_or_insert(Trouble { path: *path, why });
                None
            })
        };
        found.archive = read(&archive, u64::MAX);
        // Over a network each question takes seconds: not without an archive.
        if kind == Kind::Block || found.archive.is_some() {
            found.commands = read(&commands, COMMANDS_MAX);
        }
        if found.trouble.is_some() || found.archive.is_some() || found.commands.is_some() {
            found.end = reader.at;
            // The heap begins there: nothing of firmware's may.
            firmware.claim(reader.at, PIECE);
            break;
        }
    }
    found
}

struct Reader<'a> {
    firmware: &'a OpenFirmware,
    /// Where the next file goes.
    at: u64,
    ram_end: u64,
    kind: Kind,
}

impl Reader<'_> {
    /// Reads a file of at most `most` bytes; `None` if it is not there.
    fn read(&mut self, path: &Path, most: u64) -> Result<Option<Loaded>, Why> {
        let Some(instance) = self.firmware.open(path.c_str()) else { return Ok(None) };
        let result = match self.kind {
            Kind::Block => self.read_block(&instance, most),
            Kind::Network => self.read_network(&instance, most),
        };
        self.firmware.close(instance);
        let Some(len) = result? else { return Ok(None) };
        let start = Vaddr(self.at);
        self.at = (self.at + len).next_multiple_of(GRAIN);
        Ok(Some(Loaded { start, len, path: *path }))
    }

    /// Bytes that there is room for.
    fn room(&self) -> u64 {
        self.ram_end.saturating_sub(memory::LEAST).saturating_sub(self.at)
    }

    /// Claims as much memory as there is, at most `most`; how much.
    fn claim_most(&self, most: u64) -> Result<u64, Why> {
        let mut size = self.room().min(most).min(u64::from(u32::MAX) - self.at);
        while size >= GRAIN {
            if self.firmware.claim(self.at, size) {
                return Ok(size);
            }
            size -= (size / 8).max(GRAIN / 2);
        }
        Err(Why::Large(None, size))
    }

    /// Gives back what was claimed and is not needed.
    fn keep(&self, claimed: u64, len: u64) {
        self.firmware.release(self.at, claimed);
        if len > 0 {
            self.firmware.claim(self.at, len.next_multiple_of(GRAIN).min(claimed));
        }
    }

    fn read_block(&self, instance: &Instance, most: u64) -> Result<Option<u64>, Why> {
        let mut head = [0; initrd::SEAL_BYTES];
        let got = self.firmware.read_bytes(instance, &mut head).ok_or(Why::Unreadable)?;
        if !self.firmware.rewind(instance) {
            return Err(Why::Unreadable);
        }
        let Some(seal) = initrd::seal(&head[..got]) else {
            // One more shows that the file has ended.
            let room = self.claim_most(most.saturating_add(1))?;
            let len = self.firmware.read(instance, self.at, room);
            self.keep(room, len.unwrap_or(0));
            return match len {
                Some(len) if len < room => Ok(Some(len)),
                Some(_) if room > most => Err(Why::Above(most)),
                Some(_) => Err(Why::Large(None, room)),
                None => Err(Why::Unreadable),
            };
        };
        let total = seal.total;
        if total > most {
            return Err(Why::Above(most));
        }
        if total > self.room() || !self.firmware.claim(self.at, total) {
            return Err(Why::Large(Some(total), self.room()));
        }
        let mut done = 0;
        while done < total {
            let wanted = (total - done).min(PIECE);
            match self.firmware.read(instance, self.at + done, wanted) {
                Some(len) if len > 0 => done += len,
                _ => return Err(Why::Short(done, total)),
            }
        }
        Ok(Some(total))
    }

    /// What the server does not have is not there: firmware does not say why.
    fn read_network(&self, instance: &Instance, most: u64) -> Result<Option<u64>, Why> {
        // Firmware wants memory for packets as well.
        let room = self.claim_most(self.room() / 4 * 3)?;
        let len = self.firmware.load(instance, self.at).filter(|len| *len > 0);
        self.keep(room, len.unwrap_or(0));
        match len {
            Some(len) if len > most => Err(Why::Above(most)),
            Some(len) if len > room => Err(Why::Large(Some(len), room)),
            len => Ok(len),
        }
    }
}
