//! Names of the error numbers that kernel functions return negated.
//!
//! The numbers are Linux's as powerpc has them: the generic ones, 58 for
//! `EDEADLOCK` (other machines let it equal `EDEADLK`), and those above 511,
//! which only kernel code sees.
//!
//! # References
//! Linux 6.1, `include/uapi/asm-generic/errno-base.h`, `errno.h`, powerpc's
//! `asm/errno.h`, `include/linux/errno.h`.

/// Largest number that a pointer-sized result can mean as an error.
pub const MAX_ERRNO: u64 = 4095;

/// Names of the numbers from 1, a - where there is none; in one text, for a list has 16
/// bytes more for each.
const NAMES: &str = "\
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD \
    EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV \
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC \
    ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK \
    ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT \
    EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO \
    EBADRQC EBADSLT EDEADLOCK EBFONT ENOSTR ENODATA ETIME ENOSR ENONET \
    ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT \
    EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN \
    ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK \
    EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT \
    ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE \
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET \
    ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED \
    EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM \
    ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED \
    ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE \
    ERFKILL EHWPOISON";

/// Names of the numbers from 512, which never leave Linux's kernel.
const INTERNAL: &str = "\
    ERESTARTSYS ERESTARTNOINTR ERESTARTNOHAND ENOIOCTLCMD ERESTART_RESTARTBLOCK \
    EPROBE_DEFER EOPENSTALE ENOPARAM - EBADHANDLE ENOTSYNC EBADCOOKIE \
    ENOTSUPP ETOOSMALL ESERVERFAULT EBADTYPE EJUKEBOX EIOCBQUEUED \
    ERECALLCONFLICT ENOGRACE";

/// The name of error `number`, which is positive.
#[must_use]
pub fn name(number: u32) -> Option<&'static str> {
    let (names, first) = if number < 512 { (NAMES, 1) } else { (INTERNAL, 512) };
    let place = usize::try_from(number.checked_sub(first)?).ok()?;
    names.split(' ').nth(place).filter(|name| *name != "-")
}

/// The error number in a register that holds an `int` result: negative and at
/// least −[`MAX_ERRNO`].
#[must_use]
pub fn from_int(result: u64) -> Option<u32> {
    let number = (result as u32).wrapping_neg();
    (1..=MAX_ERRNO).contains(&u64::from(number)).then_some(number)
}

/// The error number in a pointer, of which Linux gives the last page to errors.
#[must_use]
pub fn from_pointer(pointer: u64) -> Option<u32> {
    let number = pointer.wrapping_neg();
    // Fits: at most `MAX_ERRNO`.
    (1..=MAX_ERRNO).contains(&number).then_some(number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers out of Linux's headers, one on each side of every gap and end.
    #[test]
    fn numbers_have_the_names_that_the_headers_give_them() {
        for (number, expected) in [
            (1, "EPERM"),
            (11, "EAGAIN"),
            (22, "EINVAL"),
            (34, "ERANGE"),
            (35, "EDEADLK"),
            (40, "ELOOP"),
            (42, "ENOMSG"),
            (57, "EBADSLT"),
            (58, "EDEADLOCK"),
            (59, "EBFONT"),
            (75, "EOVERFLOW"),
            (95, "EOPNOTSUPP"),
            (110, "ETIMEDOUT"),
            (133, "EHWPOISON"),
            (512, "ERESTARTSYS"),
            (517, "EPROBE_DEFER"),
            (519, "ENOPARAM"),
            (521, "EBADHANDLE"),
            (524, "ENOTSUPP"),
            (531, "ENOGRACE"),
        ] {
            assert_eq!(name(number), Some(expected));
        }
        for number in [0, 41, 134, 511, 520, 532, u32::MAX] {
            assert_eq!(name(number), None, "{number}");
        }
    }

    #[test]
    fn only_the_last_4095_values_are_errors() {
        assert_eq!(from_int(0xffff_ffff_ffff_ffea), Some(22));
        assert_eq!(from_int(0xffff_ffea), Some(22));
        assert_eq!(from_int(0), None);
        assert_eq!(from_int(22), None);
        assert_eq!(from_int(4095u64.wrapping_neg()), Some(4095));
        assert_eq!(from_int(4096u64.wrapping_neg()), None);
        assert_eq!(from_pointer(u64::MAX), Some(1));
        assert_eq!(from_pointer(0xffff_ffff), None);
        assert_eq!(from_pointer(4096u64.wrapping_neg()), None);
    }
}
