//! The branch filter for big-endian PowerPC code (`xz --powerpc`), undone.
//!
//! The compressor made the distance in each `bl` absolute, so that calls of one
//! function look alike; words that only look like a `bl` were changed just so,
//! and change back.
//!
//! # References
//! "The .xz File Format", "Branch/Call/Jump Filters for Executables". Of little
//! use for little-endian modules, but somebody packs one so.

/// Makes the `bl` targets in `code`, which begins at `start`, relative again.
pub fn undo_powerpc(code: &mut [u8], start: u32) {
    for (index, bytes) in code.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let word = u32::from_be_bytes(*bytes);
        // Opcode 18, AA clear, LK set.
        if word & 0xfc00_0003 == 0x4800_0001 {
            let at = start.wrapping_add(index as u32 * 4);
            let distance = (word & 0x03ff_fffc).wrapping_sub(at) & 0x03ff_fffc;
            *bytes = (0x4800_0001 | distance).to_be_bytes();
        }
    }
}
