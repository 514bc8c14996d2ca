//! C's string functions, for modules.
//!
//! They have C's contracts: pointers are valid, strings end. Each is a few lines;
//! the ones that are called often and long (`memcpy`) are in `boot/mem.S`.

use core::ffi::{c_char, c_int};

use crate::addr::Vaddr;

/// Byte `index` of the string at `text`.
///
/// # Safety
/// `text + index` may be read.
unsafe fn byte(text: *const c_char, index: usize) -> u8 {
    // SAFETY: the caller's.
    unsafe { text.add(index).cast::<u8>().read() }
}

macro_rules! c_functions {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As in C: pointers are valid for what the function reads and writes.
            pub unsafe extern "C" fn $name($($arg: $type),*) $(-> $ret)? {
                // SAFETY: every access is one that C's contract for this
                // function allows (caller).
                unsafe { $body }
            }
        )*

        /// C name and global entry of each function here: a fault in one of them
        /// is its caller's. What is exported says `compat::exports`.
        pub fn exports() -> impl Iterator<Item = (&'static str, Vaddr)> {
            [$((stringify!($name), Vaddr($name as *const () as u64))),*].into_iter()
        }
    };
}

c_functions! {
    /// Bytes before the NUL.
    fn strlen(text: *const c_char) -> usize {
        let mut len = 0;
        while byte(text, len) != 0 {
            len += 1;
        }
        len
    }

    /// Bytes before the NUL, at most `max`.
    fn strnlen(text: *const c_char, max: usize) -> usize {
        let mut len = 0;
        while len < max && byte(text, len) != 0 {
            len += 1;
        }
        len
    }

    /// Order of two strings: negative, 0, positive.
    fn strcmp(a: *const c_char, b: *const c_char) -> c_int {
        strncmp(a, b, usize::MAX)
    }

    /// Order of the first `max` bytes.
    fn strncmp(a: *const c_char, b: *const c_char, max: usize) -> c_int {
        for index in 0..max {
            let (x, y) = (byte(a, index), byte(b, index));
            if x != y || x == 0 {
                return c_int::from(x) - c_int::from(y);
            }
        }
        0
    }

    /// Order without regard to the case of ASCII letters.
    fn strcasecmp(a: *const c_char, b: *const c_char) -> c_int {
        strncasecmp(a, b, usize::MAX)
    }

    /// As `strcasecmp`, of the first `max` bytes.
    fn strncasecmp(a: *const c_char, b: *const c_char, max: usize) -> c_int {
        for index in 0..max {
            let (x, y) = (byte(a, index).to_ascii_lowercase(), byte(b, index).to_ascii_lowercase());
            if x != y || x == 0 {
                return c_int::from(x) - c_int::from(y);
            }
        }
        0
    }

    /// Copies a string with its NUL.
    fn strcpy(to: *mut c_char, from: *const c_char) -> *mut c_char {
        to.copy_from(from, strlen(from) + 1);
        to
    }

    /// Copies at most `max` bytes and fills up with NULs.
    fn strncpy(to: *mut c_char, from: *const c_char, max: usize) -> *mut c_char {
        let len = strnlen(from, max);
        to.copy_from(from, len);
        to.add(len).write_bytes(0, max - len);
        to
    }

    /// Copies what fits and always ends it; the length, or -E2BIG (7) if cut.
    fn strscpy(to: *mut c_char, from: *const c_char, size: usize) -> isize {
        if size == 0 {
            return -7;
        }
        let len = strnlen(from, size);
        let fits = len.min(size - 1);
        to.copy_from(from, fits);
        to.add(fits).write(0);
        if len < size { len as isize } else { -7 }
    }

    /// Copies what fits and always ends it; the length of `from`.
    fn strlcpy(to: *mut c_char, from: *const c_char, size: usize) -> usize {
        strscpy(to, from, size);
        strlen(from)
    }

    /// Appends a string.
    fn strcat(to: *mut c_char, from: *const c_char) -> *mut c_char {
        strcpy(to.add(strlen(to)), from);
        to
    }

    /// Appends what fits into `size` bytes; the length that was wanted.
    fn strlcat(to: *mut c_char, from: *const c_char, size: usize) -> usize {
        let used = strnlen(to, size);
        used + strlcpy(to.add(used), from, size - used)
    }

    /// The first such byte, or null; the NUL counts.
    fn strchr(text: *const c_char, wanted: c_int) -> *const c_char {
        let mut index = 0;
        loop {
            let found = byte(text, index);
            if found == wanted as u8 {
                return text.add(index);
            }
            if found == 0 {
                return core::ptr::null();
            }
            index += 1;
        }
    }

    /// The last such byte, or null.
    fn strrchr(text: *const c_char, wanted: c_int) -> *const c_char {
        let mut index = strlen(text) + 1;
        while index > 0 {
            index -= 1;
            if byte(text, index) == wanted as u8 {
                return text.add(index);
            }
        }
        core::ptr::null()
    }

    /// The first place where `wanted` stands in `text`, or null.
    fn strstr(text: *const c_char, wanted: *const c_char) -> *const c_char {
        let len = strlen(wanted);
        let mut at = text;
        loop {
            if strncmp(at, wanted, len) == 0 {
                return at;
            }
            if byte(at, 0) == 0 {
                return core::ptr::null();
            }
            at = at.add(1);
        }
    }

    /// The first such byte of `len`, or null.
    fn memchr(start: *const c_char, wanted: c_int, len: usize) -> *const c_char {
        for index in 0..len {
            if byte(start, index) == wanted as u8 {
                return start.add(index);
            }
        }
        core::ptr::null()
    }

    /// The first byte of `len` that is another, or null.
    fn memchr_inv(start: *const c_char, wanted: c_int, len: usize) -> *const c_char {
        for index in 0..len {
            if byte(start, index) != wanted as u8 {
                return start.add(index);
            }
        }
        core::ptr::null()
    }

    /// 0 if equal; looks at every byte, so that the time tells nothing.
    fn __crypto_memneq(a: *const c_char, b: *const c_char, len: usize) -> u64 {
        let mut difference = 0;
        for index in 0..len {
            difference |= byte(a, index) ^ byte(b, index);
        }
        u64::from(core::hint::black_box(difference))
    }
}
