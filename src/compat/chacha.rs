//! The ChaCha block function, for modules that import `chacha_block_generic`.
//!
//! Reference: RFC 8439, 2.1 to 2.3.

/// One block of key stream: `state` after so many rounds, added to itself.
#[must_use]
pub fn block(state: &[u32; 16], rounds: u32) -> [u8; 64] {
    let mut x = *state;
    for _ in 0..rounds / 2 {
        for i in 0..4 {
            quarter(&mut x, [i, 4 + i, 8 + i, 12 + i]);
        }
        for i in 0..4 {
            quarter(&mut x, [i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]);
        }
    }
    let mut stream = [0; 64];
    for ((out, x), old) in stream.chunks_mut(4).zip(x).zip(state) {
        out.copy_from_slice(&x.wrapping_add(*old).to_le_bytes());
    }
    stream
}

fn quarter(x: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (sum, mixed, with, left) in [(a, d, b, 16), (c, b, d, 12), (a, d, b, 8), (c, b, d, 7)] {
        x[sum] = x[sum].wrapping_add(x[with]);
        x[mixed] = (x[mixed] ^ x[sum]).rotate_left(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, 2.3.2.
    #[test]
    fn the_block_of_the_rfc() {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (i, word) in state[4..12].iter_mut().enumerate() {
            *word = 0x0302_0100 + 0x0404_0404 * i as u32;
        }
        state[12..].copy_from_slice(&[1, 0x0900_0000, 0x4a00_0000, 0]);
        let stream = block(&state, 20);
        assert_eq!(stream[..8], [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15]);
        assert_eq!(stream[56..], [0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e]);
    }
}
